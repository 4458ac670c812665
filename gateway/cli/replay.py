"""`replay`: a wire recording once more through decode and QC."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import orjson
import typer

from config import Exit
from drivers.errors import Fatal
from drivers.replay import Replay
from gateway.cli.common import (
    ERR,
    LOOK,
    OUT,
    JsonOption,
    example,
    fail,
    local_time,
    print_json,
    run,
    site_of,
)
from gateway.site.checks import channel_qc, intervals_s
from gateway.wire_audit import WireAudit
from pipeline.elements import Elements
from pipeline.journal.readonly import JournalReader
from pipeline.qc import QcEngine
from pipeline.records import Block, DeviceEvent, Flag, Gap
from pipeline.records.events import render_event, told
from pipeline.records.flags import status_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.replay import Lapse
    from gateway.site import LoadedSite
    from gateway.wire_audit import Report
    from pipeline.records import Item

Json = dict[str, Any]


def replay(
    file: Annotated[Path, typer.Argument(help="A recording, made with: yaosu read INSTRUMENT --record FILE")],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="SITE", help="Compare with the journal of this site file: elements too."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Play a wire recording back through decode and quality control. Nothing is recorded or sent.

    The same bytes at the same times give the same rows and flags, bit for bit; with --json one object a line.
    With --against every row, late flag and derived record is compared with the journal: 1 if any differs.
    """
    if against is not None:
        _compare(file, site_of(against), as_json=as_json)
        return
    try:
        counts, lapses = run(_replay(file, as_json=as_json))
    except Fatal as error:
        fail(Exit.IO, str(error))
    _tell_lapses(lapses)
    summary = ", ".join(f"{number} {what}" for what, number in counts.items())
    ERR.print(f"{file}: {summary or 'nothing'}", markup=False)


def _compare(file: Path, site: LoadedSite, *, as_json: bool) -> None:
    try:
        report, lapses = run(_audited(file, site))
    except Fatal as error:
        fail(Exit.IO, str(error))
    if as_json:
        print_json({**asdict(report), "lapses": [asdict(one) for one in lapses]})
    else:
        _tell_lapses(lapses)
        for difference in report.differences:
            ERR.print(difference, markup=False)
        OUT.print(
            f"{report.rows} rows, {report.late_flags} late flags and {report.derived} derived records again; "
            f"{report.other_rows} rows are not of this recording; {report.different} differences",
            markup=False,
        )
    if report.different:
        raise typer.Exit(int(Exit.FINDINGS))


async def _audited(file: Path, site: LoadedSite) -> tuple[Report, list[Lapse]]:
    played = Replay(file)
    engine = QcEngine(site.qc(), site.intervals_s())
    engine.warm()
    audit = WireAudit(played, engine, Elements(site.settings.elements))
    report = await audit.run(JournalReader(site.state.journal).after(-1, None))
    return report, played.lapses


def _tell_lapses(lapses: Iterable[Lapse]) -> None:
    """Say what the recording does not have."""
    for one in lapses:
        since = local_time(one.from_utc_ns) if one.from_utc_ns else "the start of the run"
        ERR.print(f"nothing to play from {since} to {local_time(one.to_utc_ns)}: {one.why}", markup=False)


async def _replay(file: Path, *, as_json: bool) -> tuple[dict[str, int], list[Lapse]]:
    played = Replay(file)
    engine = QcEngine(
        {one.id: {c.name: channel_qc(c.qc) for c in one.channels} for one in played.instruments},
        intervals_s(played.instruments),
    )
    engine.warm()
    counts: dict[str, int] = {}
    n_next: dict[str, int] = {}
    async for item in played.items():
        what = {Block: "rows", Gap: "gaps", DeviceEvent: "events"}.get(type(item), "readings")
        counts[what] = counts.get(what, 0) + (len(item) if isinstance(item, Block) else 1)
        for shown in _as_shown(item, engine, n_next):
            if as_json:
                sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
            else:
                OUT.print(_as_line(shown), markup=False)
    return counts, played.lapses


def _as_shown(item: Item, engine: QcEngine, n_next: dict[str, int]) -> list[Json]:
    match item:
        case Block():
            n_first = n_next.get(item.instrument, 0)
            n_next[item.instrument] = n_first + len(item)
            return _rows(item, engine, n_first)
        case Gap():
            engine.gap(item.instrument)
            return [
                {"instrument": item.instrument, "gap": item.cause, "polls": item.polls, "ended": item.ended}
            ]
        case DeviceEvent():
            text = render_event(told(item), "en")
            return [{"instrument": item.instrument, "event": item.code, "text": text}]
    return []


def _rows(block: Block, engine: QcEngine, n_first: int) -> list[Json]:
    result = engine.process(block, n_first)
    return [
        {
            "instrument": block.instrument,
            "n": n_first + row,
            "t_utc_ns": int(block.t_utc_ns[row]),
            "channels": {
                channel.name: {
                    "value": _value(block, channel.name, row) if block.status[at, row] == 0 else None,
                    "status": status_name(int(block.status[at, row])),
                    "flag": Flag(int(result.flag[at, row])).name.lower(),
                    "reasons": int(result.reason[at, row]),
                }
                for at, channel in enumerate(block.layout.channels)
            },
        }
        for row in range(len(block))
    ]


def _value(block: Block, channel: str, row: int) -> float | int | str | None:
    found = block.column(channel)[row]
    value: float | int | str | None = found.item() if isinstance(found, np.generic) else found
    return value


def _as_line(shown: Json) -> str:
    if "channels" not in shown:
        rest = ", ".join(f"{key} {value}" for key, value in shown.items() if key != "instrument")
        return f"{shown['instrument']}: {rest}"
    cells = "  ".join(
        f"{name}={each['status'] if each['value'] is None else each['value']} ({each['flag']})"
        for name, each in shown["channels"].items()
    )
    return f"{shown['instrument']} {shown['n']}: {cells}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel=LOOK,
        epilog=example(
            "replay wire.yaosu", "replay wire.yaosu --json", "replay bug.wire --against gateway.toml"
        ),
    )(replay)
