"""`status`: is all well, and since when not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    LOOK,
    OUT,
    ConfigOption,
    JsonOption,
    example,
    local_time,
    nobody_there,
    print_json,
    run,
    site_of,
    table,
)
from gateway.door.client import DoorClient, DoorClosedError

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite

Json = dict[str, Any]
RECEIPT_AGE_NS_MAX = 60_000_000_000
"""Receipts come within seconds; a first republication is due after 10 s."""


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the health of this site's roles. Ends with 0 ok, 1 when something is wrong, 69 not running."""
    site = site_of(config)
    daemon, collector, witness = run(_ask_all(site))
    findings = find(
        daemon, collector, expects_daemon=bool(site.settings.instrument), witness=witness, config=config
    )
    if as_json:
        roles = {"daemon": daemon, "collector": collector}
        print_json({**roles, **({"witness": witness} if witness else {}), "findings": findings})
    else:
        if daemon is not None:
            _show_daemon(daemon, site)
        if collector is not None:
            _show_collector(collector)
        if witness is not None:
            _show_witness(witness)
        for finding in findings:
            OUT.print(finding, markup=False)
    if daemon is None and collector is None and witness is None:
        raise typer.Exit(int(Exit.UNAVAILABLE))
    if findings:
        raise typer.Exit(int(Exit.FINDINGS))


async def _ask_all(site: LoadedSite) -> tuple[Json | None, Json | None, Json | None]:
    async def ask(role: str) -> Json | None:
        try:
            async with DoorClient(site.state.socket(role)) as door:
                answer: Json = await door.get("status")
                return answer
        except DoorClosedError as error:
            if nobody_there(error):
                return None
            raise

    daemon, collector, witness = await asyncio.gather(ask("door"), ask("collect"), ask("witness"))
    return daemon, collector, witness


def find(
    daemon: Json | None, collector: Json | None, *, expects_daemon: bool, witness: Json | None = None,
    config: Path = DEFAULT_CONFIG,
) -> list[str]:  # fmt: skip
    """Say what is wrong, a sentence each; an empty list is well."""
    found: list[str] = []
    if daemon is not None:
        found += _find_in_daemon(daemon)
    elif expects_daemon or (collector is None and witness is None):
        found.append(f"daemon: not running; start it with: yaosu run -c {config}")
    if collector is not None:
        found += _find_in_collector(collector)
    if witness is not None:
        found += _find_in_witness(witness)
    return found


def _find_in_daemon(daemon: Json) -> list[str]:
    found = []
    trouble = daemon["journal"]["trouble"]
    if trouble is not None:
        found.append(
            f"journal: not writable since {local_time(trouble['since_utc_ns'])} ({trouble['error']})"
        )
    if daemon["journal"].get("reserve") == "used":
        room = daemon["journal"].get("room_bytes", 0) / 2**20
        found.append(
            "journal: the disk is full, no rows are taken; make room on the disk of [site] state_dir (df -h) "
            f"until {room:.0f} MiB are free: it goes on by itself then"
        )
    if daemon["journal"].get("damaged"):
        found.append(f"journal: {daemon['journal']['damaged']} records were found damaged; see: yaosu events")
    if daemon["journal"]["over_limit"]:
        found.append("journal: larger than [journal] size_max_bytes; the oldest rows are given up")
    publisher = daemon.get("publisher")
    if publisher is None:
        found.append("journal: what was recorded is not durable yet; counters are not shown")
    else:
        found += _find_in_link("broker", publisher["link"], _waiting(daemon["journal"]))
        if publisher["no_collector"]:
            found.append(f"collector: none listens at the broker; {_waiting(daemon['journal'])}")
        if publisher["receipts_refused"] and (publisher["refusing"] or _is_old(daemon)):
            found.append(
                f"receipts: refused since {local_time(publisher['refusing_since_utc_ns'])}, "
                f"{publisher['receipts_refused']} since the start, the last: {publisher['receipt_error']}; "
                f"{_waiting(daemon['journal'])}; compare yaosu keys show at the collector and here, then "
                "yaosu keys trust PUBLIC-KEY, or stop the collector that is not yours"
            )
    if beside := daemon.get("rehearsal"):
        found += _find_in_rehearsal(beside)
    found += [_told_gap(row) for row in daemon.get("instruments", ()) if row.get("gap")]
    found += [
        f"{part}: failed {health['restarts']} times, last: {health['error']}"
        for part, health in daemon["failing_parts"].items()
    ]
    return found


def _find_in_rehearsal(beside: Json) -> list[str]:
    found = []
    if trouble := beside["journal"]["trouble"]:
        since = local_time(trouble["since_utc_ns"])
        found.append(f"rehearsal journal: not writable since {since} ({trouble['error']})")
    for topic, error in beside["publisher"]["refused"].items():
        found.append(
            f"rehearsal journal: the broker refuses {topic} ({error}); its rules must let this gateway "
            f"publish as '{beside['gateway']}' too"
        )
    return found


def _told_gap(row: Json) -> str:
    if row["gap"] == "rehearsal":
        return (
            f"{row['id']}: found to be simulated; its rows go to the rehearsal journal and count for nothing"
        )
    return f"{row['id']}: not polled ({row['gap']})"


def _find_in_collector(collector: Json) -> list[str]:
    waiting = f"{collector['waiting']} messages wait here, the rest in the gateways' journals"
    found = _find_in_link("broker of the collector", collector["link"], "gateways keep their records")
    for name in ("store", "archive"):
        target = collector[name]
        if not target["ok"]:
            hint = f"; {target['hint']}" if target["hint"] else ""
            since = local_time(target["since_utc_ns"])
            found.append(f"{name}: away since {since} ({target['error']}); {waiting}{hint}")
    if collector["forks"]:
        found.append(f"forks: {collector['forks']} records came with different bytes; none was receipted")
    if collector["dead_letters"]:
        letters = f"{collector['dead_letters']} lines that the store refused"
        found.append(f"dead letters: {letters}; see: yaosu dead-letter list")
    if damaged := collector["archive"].get("damaged"):
        segments = ", ".join(map(str, damaged[:5]))
        found.append(f"archive: damaged segments {segments}; see: yaosu archive verify, restore from a copy")
    if collector["dead_letters_full"]:
        found.append("dead letters: the file is full; what belongs in it gets no receipt")
    if collector["receipts_refused"]:
        found.append(f"receipts: the broker refused one ({collector['receipts_refused']})")
    return found


def _find_in_witness(witness: Json) -> list[str]:
    found = _find_in_link("broker of the witness", witness["link"], "nothing is cosigned")
    if alarm := witness["last_alarm"]:
        found.append(f"witness: {witness['alarms']} alarms, the last: {alarm['kind']}, {alarm['reason']}")
    for origin, log in witness["logs"].items():
        if log["refused"]:
            found.append(f"{origin}: not cosigned ({log['refused']})")
        elif log["silent"]:
            found.append(f"{origin}: the gateway does not answer")
    return found


def _find_in_link(name: str, link: Json, waiting: str) -> list[str]:
    if link["connected"]:
        return []
    since = f" since {local_time(link['since_utc_ns'])}" if link["since_utc_ns"] else ""
    return [f"{name}: away{since} ({link['error'] or 'not reached yet'}); {waiting}"]


def _is_old(daemon: Json) -> bool:
    """Tell whether records wait for longer than receipts take: a refusal of the past is no finding."""
    oldest_ns = daemon["journal"]["backlog_since_utc_ns"]
    return oldest_ns is not None and daemon["now_utc_ns"] - oldest_ns > RECEIPT_AGE_NS_MAX


def _waiting(journal: Json) -> str:
    oldest = journal["backlog_since_utc_ns"]
    since = f", the oldest of {local_time(oldest)}" if oldest else ""
    return f"{journal['backlog_records']} records wait{since}"


def of_kernels(daemon: Json) -> str:
    """Say that the rules do not judge yet, or what their compilation costs for good; else nothing."""
    warm_up = daemon.get("kernels_warm_up") or {"state": "loading", "problem": ""}
    if warm_up["problem"]:
        return f"rules: compiled by the daemon itself, which keeps some 150 MB for it: {warm_up['problem']}"
    if daemon.get("kernels") == "warming":
        return "rules: their kernels are compiled for the first time; until then they say not evaluated"
    return ""


def _show_daemon(daemon: Json, site: LoadedSite) -> None:
    journal = daemon["journal"]
    OUT.print(
        f"daemon: {daemon['state']}, {daemon['lab']}/{daemon['gateway']} ({daemon['purpose']}), "
        f"boot {daemon['boot']}, started {local_time(daemon['started_utc_ns'])}",
        markup=False,
    )
    OUT.print(
        f"journal: durable to seq {journal['durable_seq']}, "
        f"{journal['backlog_records']} records without receipt",
        markup=False,
    )
    link = (daemon.get("publisher") or {}).get("link")
    if link is not None and link["connected"]:
        OUT.print(f"broker: connected since {local_time(link['since_utc_ns'])}", markup=False)
    if beside := daemon.get("rehearsal"):
        _show_rehearsal(beside)
    if refused := (daemon.get("publisher") or {}).get("receipts_refused"):
        last = daemon["publisher"]["receipt_error"]
        OUT.print(f"receipts: {refused} refused since the start, the last: {last}", markup=False)
    if told := of_kernels(daemon):
        OUT.print(told, markup=False)
    for name, one in (daemon.get("witnesses") or {}).items():
        seen = f"has seen the first {one['size']} records, {local_time(one['t_s'] * 10**9)} by its clock"
        OUT.print(f"witness {name} ({one['operator']}): {seen}", markup=False)
    if daemon["config_sha256"] != site.sha256:
        OUT.print(
            f"configuration: {site.path} was changed since the start; in force after "
            "yaosu config apply and a restart",
            markup=False,
        )
    shown = table("instrument", "service", "rows", "last row", "gap")
    for row in daemon.get("instruments", ()):
        last_ns = row.get("last_utc_ns")
        age = f"{(daemon['now_utc_ns'] - last_ns) / 1e9:.1f} s ago" if last_ns else "-"
        shown.add_row(row["id"], row["service"], str(row.get("rows", 0)), age, row.get("gap") or "")
    if shown.row_count:
        OUT.print(shown)


def _show_rehearsal(beside: Json) -> None:
    OUT.print(
        f"rehearsal journal {beside['gateway']}: {beside['rows']} rows of what is found to be simulated, "
        f"durable to seq {beside['journal']['durable_seq']}, "
        f"{beside['journal']['backlog_records']} records without receipt",
        markup=False,
    )


def _show_collector(collector: Json) -> None:
    lag = "-" if collector["lag_s"] is None else f"{collector['lag_s']:.1f} s"
    OUT.print(
        f"collector: {collector['records']} records stored, lag {lag}, "
        f"{len(collector['gateways'])} gateways, key {collector['key']}",
        markup=False,
    )
    for name in ("store", "archive"):
        if collector[name]["ok"] and collector[name]["since_utc_ns"]:
            OUT.print(f"{name}: good since {local_time(collector[name]['since_utc_ns'])}", markup=False)


def _show_witness(witness: Json) -> None:
    OUT.print(f"witness for {witness['operator']}: key {witness['key']}", markup=False)
    for origin in witness["logs"]:
        last = witness["cosigned"].get(origin)
        told = "nothing cosigned yet"
        if last is not None:
            told = f"the first {last['size']} records cosigned, {local_time(last['t_s'] * 10**9)}"
        OUT.print(f"{origin}: {told}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=LOOK, epilog=example("status -c /etc/yaosu/gateway.toml", "status --json"))(
        status
    )
