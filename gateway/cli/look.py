"""`status`, `read`: what is going on."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from config import Exit
from config.validation import did_you_mean
from drivers.compose import open_drivers
from gateway.cli.common import DEFAULT_CONFIG, OUT, ConfigOption, JsonOption, fail, print_json, run, site_of
from gateway.door.client import DoorClient, DoorClosedError
from pipeline.qc import QcEngine
from pipeline.records import Block, DeviceEvent, Flag, Gap, SystemClock
from pipeline.records.events import render_event, told
from pipeline.records.flags import status_name

if TYPE_CHECKING:
    from gateway.site import LoadedSite

READ_TIMEOUT_S = 15.0


def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the health of daemon and collector. Ends with 0 ok, 1 degraded, 69 not running."""
    site = site_of(config)

    async def ask(role: str) -> Any:
        try:
            async with DoorClient(site.state.socket(role)) as door:
                return await door.get("status")
        except DoorClosedError:
            return None

    async def both() -> Any:
        return await asyncio.gather(ask("door"), ask("collect"))

    daemon, collector = run(both())
    if as_json:
        print_json({"daemon": daemon, "collector": collector})
    else:
        _show(daemon, collector)
    if daemon is None and collector is None:
        raise typer.Exit(int(Exit.UNAVAILABLE))
    if daemon is not None and daemon["state"] != "ok":
        raise typer.Exit(int(Exit.FINDINGS))


def _show(daemon: Any, collector: Any) -> None:
    if daemon is None:
        OUT.print("daemon: not running; start it with: yaosu run", markup=False)
    else:
        journal, link = daemon["journal"], daemon["publisher"]["link"]
        OUT.print(
            f"daemon: {daemon['state']}, {daemon['lab']}/{daemon['gateway']} ({daemon['purpose']}), "
            f"boot {daemon['boot']}",
            markup=False,
        )
        OUT.print(
            f"journal: durable to seq {journal['durable_seq']}, backlog {journal['backlog_records']} records",
            markup=False,
        )
        broker = "connected" if link["connected"] else f"away ({link['error']})"
        OUT.print(
            f"broker: {broker}" + (", no collector listens" if daemon["publisher"]["no_collector"] else ""),
            markup=False,
        )
        table = Table("instrument", "service", "rows", "last row", "gap")
        for row in daemon.get("instruments", ()):
            age = (
                "-"
                if not row.get("last_utc_ns")
                else f"{(daemon['now_utc_ns'] - row['last_utc_ns']) / 1e9:.1f} s ago"
            )
            table.add_row(row["id"], row["service"], str(row.get("rows", 0)), age, row.get("gap") or "")
        OUT.print(table)
        for part, health in daemon["failing_parts"].items():
            OUT.print(f"{part}: failed {health['restarts']} times, last: {health['error']}", markup=False)
    if collector is not None:
        OUT.print(
            f"collector: {collector['records']} records stored, {collector['forks']} forks, "
            f"{collector['dead_letters']} dead letters",
            markup=False,
        )


def read(
    instrument: Annotated[str, typer.Argument(help="Id of the instrument in the site file.")],
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Read one instrument directly and show raw bytes, values, status and QC flags. Records nothing."""
    site = site_of(config)
    known = [settings.id for settings in site.settings.instrument]
    if instrument not in known:
        advice = did_you_mean(instrument, known) or f"there are: {', '.join(known)}"
        fail(Exit.USAGE, f"no instrument '{instrument}' in {config}; {advice}")
    run(_read(site, instrument, watch=watch))


async def _read(site: LoadedSite, instrument: str, *, watch: bool) -> None:
    settings = [one for one in site.settings.instrument if one.id == instrument]
    engine = QcEngine({instrument: site.qc()[instrument]}, site.intervals_s())
    await asyncio.to_thread(engine.warm)
    (driver,) = open_drivers(settings, SystemClock(), random.Random())  # noqa: S311 - jitter
    n_next = 0
    async with asyncio.timeout(None if watch else READ_TIMEOUT_S), driver:
        async for item in driver.stream():
            if isinstance(item, Block):
                _show_block(item, engine, n_next)
                n_next += len(item)
                if not watch:
                    return
            elif isinstance(item, DeviceEvent):
                OUT.print(
                    render_event(told(item), "en"),
                    markup=False,
                )
            elif isinstance(item, Gap) and not item.ended:
                OUT.print(f"not polled: {item.cause}", markup=False)


def _show_block(block: Block, engine: QcEngine, n_first: int) -> None:
    result = engine.process(block, n_first)
    table = Table("channel", "value", "unit", "status", "flag")
    for position, channel in enumerate(block.layout.channels):
        code = int(block.status[position, -1])
        value = block.column(channel.name)[-1] if code == 0 else "-"
        table.add_row(
            channel.name,
            repr(value),
            channel.unit,
            status_name(code),
            Flag(int(result.flag[position, -1])).name.lower(),
        )
    OUT.print(table)
    took_ms = (int(block.t_response_ns[-1]) - int(block.t_request_ns[-1])) / 1e6
    raw = block.raw[-1].hex(" ") if block.raw is not None else ""
    OUT.print(f"round trip {took_ms:.2f} ms  raw {raw}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(read)
