"""`read`: one instrument, directly, before it goes into service."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import Exit
from config.validation import did_you_mean
from drivers.compose import open_drivers
from drivers.recorded import note_of
from drivers.transport import Stamp
from drivers.transport.line import direct
from drivers.transport.ports import holder_of
from drivers.transport.recording import Head, WireRecorder
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ERR,
    LOOK,
    OUT,
    ConfigOption,
    JsonOption,
    example,
    fail,
    print_json,
    run,
    site_of,
    table,
)
from gateway.cli.read_corrected import CorrectionsOnRecord
from gateway.cli.read_orders import read_orders
from pipeline.qc import QcEngine
from pipeline.records import Block, DeviceEvent, Flag, Gap, Status, SystemClock
from pipeline.records.events import render_event, told
from pipeline.records.flags import status_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from drivers.registry import AnyInstrument
    from gateway.site import LoadedSite
    from pipeline.records import Item

Json = dict[str, Any]
PATIENCE_S = 5.0
"""Beyond three time-outs of the instrument: the first poll comes within a second, a connection takes some."""
LOST = "instrument-lost"
SILENT = frozenset({int(Status.NO_ANSWER), int(Status.DISCONNECTED)})


def read(
    instrument: Annotated[str, typer.Argument(help="Id of the instrument in the site file.")],
    config: ConfigOption = DEFAULT_CONFIG,
    watch: Annotated[bool, typer.Option("--watch/--once", help="Go on until Ctrl-C.")] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            help="Record every byte with its time in this new file; play it back: yaosu replay FILE"
        ),
    ] = None,
    orders: Annotated[
        str | None,
        typer.Option(
            metavar="CHANNEL", help="Show this channel under all byte orders and one register to either side."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read one instrument directly and show raw bytes, values, status and QC flags. Records nothing.

    Where a correction is registered, the corrected value stands beside the reading, with what it comes from.

    A serial port serves one program: stop the daemon first. Ends with 0 when every value came, 1 when one
    is missing, 69 when nothing answers.
    """
    site = site_of(config)
    settings = _chosen(site, instrument, config)
    _refuse_held_port(settings, site)
    if orders is not None:
        read_orders(settings, orders, PATIENCE_S + 3 * settings.timeout_s, as_json=as_json)
        return
    shown: Json | None = run(_read(site, settings, watch=watch, as_json=as_json, record=record))
    if shown is None or {each["status_code"] for each in shown["channels"]} <= SILENT:
        fail(
            Exit.UNAVAILABLE,
            f"no answer from {instrument} at {settings.endpoint}; check power, cable, address and line "
            "settings",
        )
    if any(each["status_code"] != Status.GOOD for each in shown["channels"]):
        raise typer.Exit(int(Exit.FINDINGS))


def _chosen(site: LoadedSite, instrument: str, config: Path) -> AnyInstrument:
    known = [settings.id for settings in site.settings.instrument]
    if instrument not in known:
        advice = did_you_mean(instrument, known) or f"there are: {', '.join(known) or 'none'}"
        fail(Exit.USAGE, f"no instrument '{instrument}' in {config}; {advice}")
    return site.settings.instrument[known.index(instrument)]


def _refuse_held_port(settings: AnyInstrument, site: LoadedSite) -> None:
    """Name the first cause: a serial port that another program holds gives no answer to anybody else."""
    port = Path(settings.endpoint.removeprefix("serial:"))
    holder = holder_of(port) if settings.endpoint.startswith("serial:") else None
    if holder is None:
        return
    daemon = site.state.socket("door").exists()
    remedy = "stop the daemon first: systemctl stop yaosu" if daemon else "stop it first"
    fail(
        Exit.UNAVAILABLE,
        f"{port} of {settings.id} is in use by {holder}; a port serves one program: {remedy}",
    )


async def _read(
    site: LoadedSite, settings: AnyInstrument, *, watch: bool, as_json: bool, record: Path | None
) -> Json | None:
    """Show exchanges; returns the last one, None when there was none."""
    engine = QcEngine({settings.id: site.qc()[settings.id]}, site.intervals_s())
    await asyncio.to_thread(engine.warm)
    corrections = await asyncio.to_thread(CorrectionsOnRecord, site.state.journal)
    clock = SystemClock()
    n_next, shown = 0, None
    with _recorder(record, settings) as recorder:
        wires = direct if recorder is None else recorder.connect
        (driver,) = open_drivers([settings], clock, random.Random(), wires=wires)  # noqa: S311 - jitter
        try:
            async with asyncio.timeout(None if watch else PATIENCE_S + 3 * settings.timeout_s), driver:
                async for item in driver.stream():
                    if recorder is not None:
                        recorder.note(Stamp(clock.utc_ns(), clock.run_ns()), note_of(item))
                    if isinstance(item, Block):
                        shown = _as_shown(item, engine, n_next, corrections)
                        n_next += len(item)
                        (print_json if as_json else _show)(shown)
                    else:
                        _tell(item)
                    gave_up = isinstance(item, DeviceEvent) and item.code == LOST
                    if not watch and (shown is not None or gave_up):
                        break
        except TimeoutError:
            return shown
    return shown


def _tell(item: Item) -> None:
    if isinstance(item, DeviceEvent):
        ERR.print(render_event(told(item), "en"), markup=False)
    elif isinstance(item, Gap) and not item.ended:
        ERR.print(f"not polled: {item.cause}", markup=False)


@contextmanager
def _recorder(file: Path | None, settings: AnyInstrument) -> Iterator[WireRecorder | None]:
    if file is None:
        yield None
        return
    recorder = WireRecorder(file, Head([settings.model_dump(mode="json")], f"yaosu {version('yaosu')}"))
    try:
        yield recorder
    finally:
        recorder.close()
        ERR.print(f"recorded in {file}; play it back: yaosu replay {file}", markup=False)


def _as_shown(block: Block, engine: QcEngine, n_first: int, corrections: CorrectionsOnRecord) -> Json:
    """Gather what is shown of a block's last row."""
    result = engine.process(block, n_first)
    channels = []
    for position, channel in enumerate(block.layout.channels):
        code = int(block.status[position, -1])
        value = block.column(channel.name)[-1]
        corrected, by = corrections.of(block, channel.name)
        channels.append({
            "channel": channel.name,
            "value": getattr(value, "item", lambda value=value: value)() if code == Status.GOOD else None,
            "corrected": corrected,
            "correction": by,
            "unit": channel.unit,
            "status": status_name(code),
            "status_code": code,
            "flag": Flag(int(result.flag[position, -1])).name.lower(),
        })  # fmt: skip
    return {
        "t_utc_ns": int(block.t_utc_ns[-1]),
        "channels": channels,
        "round_trip_ms": (int(block.t_response_ns[-1]) - int(block.t_request_ns[-1])) / 1e6,
        "raw": block.raw[-1].hex(" ") if block.raw is not None else "",
    }


def _show(shown: Json) -> None:
    corrected = any(each["correction"] for each in shown["channels"])
    rows = table("channel", "value", *(["corrected", "by"] if corrected else []), "unit", "status", "flag")
    for each in shown["channels"]:
        value = "-" if each["value"] is None else str(each["value"])
        true = "-" if each["corrected"] is None else str(each["corrected"])
        beside = [true, each["correction"]] if corrected else []
        rows.add_row(each["channel"], value, *beside, each["unit"], each["status"], each["flag"])
    OUT.print(rows)
    OUT.print(f"round trip {shown['round_trip_ms']:.2f} ms  raw {shown['raw'] or 'not kept'}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel=LOOK,
        epilog=example(
            "read -c gateway.toml balance-1",
            "read -c gateway.toml balance-1 --watch",
            "read -c gateway.toml meter-1 --orders voltage",
        ),
    )(read)
