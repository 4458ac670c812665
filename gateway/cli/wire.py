"""`wire`: the daemon's own recordings of what went over the lines."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from config import Exit
from drivers.errors import Fatal
from drivers.transport.recording import join_parts, read_recording
from gateway.cli.common import (
    DEFAULT_CONFIG,
    LOOK,
    OUT,
    ConfigOption,
    JsonOption,
    example,
    fail,
    local_time,
    print_json,
    site_of,
    table,
)
from gateway.edge.wire_recording import recordings, run_and_number

if TYPE_CHECKING:
    from typing import Any

wire_app = typer.Typer(no_args_is_help=True, help="Recordings of every byte on the lines.")


def _runs(folder: Path) -> dict[str, list[Path]]:
    """Return the parts of each run, the oldest first."""
    found: dict[str, list[Path]] = {}
    for part in recordings(folder):
        found.setdefault(run_and_number(part)[0], []).append(part)
    return found


def _about(name: str, parts: list[Path]) -> dict[str, Any]:
    numbers = [run_and_number(part)[1] for part in parts]
    missing = [at for at in range(numbers[0], numbers[-1]) if at not in set(numbers)]
    shown: dict[str, Any] = {
        "name": name, "parts": numbers, "missing_parts": missing, "instruments": [],
        "bytes": sum(part.stat().st_size for part in parts), "to_utc_ns": parts[-1].stat().st_mtime_ns,
    }  # fmt: skip
    try:
        head, _ = read_recording(parts[0])
    except (OSError, Fatal) as error:
        return {**shown, "problem": str(error)}
    return {**shown, "from_utc_ns": head.utc_ns, "instruments": [one["id"] for one in head.instruments]}


@wire_app.command("list", epilog=example("wire list -c gateway.toml"))
def list_recordings(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the recordings that there are: one for each run of the daemon, where [recording] is on."""
    found = [_about(name, parts) for name, parts in _runs(site_of(config).state.wire).items()]
    if as_json:
        print_json(found)
        return
    rows = table("recording", "bytes", "from", "until", "parts", "instruments")
    for each in found:
        begun = local_time(each["from_utc_ns"]) if "from_utc_ns" in each else each["problem"]
        rows.add_row(
            each["name"], str(each["bytes"]), begun, local_time(each["to_utc_ns"]), _as_parts(each),
            ", ".join(each["instruments"]),
        )  # fmt: skip
    OUT.print(rows if found else Text("there are none; switch them on: [recording] enabled = true"))


def _as_parts(about: dict[str, Any]) -> str:
    first, last, missing = about["parts"][0], about["parts"][-1], about["missing_parts"]
    reach = f"{first} to {last}" if last > first else str(first)
    return f"{reach} without {', '.join(str(at) for at in missing)}" if missing else reach


@wire_app.command(
    "export",
    epilog=example(
        "wire export 20261122T190000.000000Z bug.wire",
        "wire export 20261122T190000.000000Z bug.wire --from 2026-11-22T20:00+08:00",
    ),
)
def export(
    name: Annotated[str, typer.Argument(help="Name of the recording, as `wire list` shows it.")],
    file: Annotated[Path, typer.Argument(help="New file; play it back: yaosu replay FILE")],
    from_utc: Annotated[
        str, typer.Option("--from", help="Leave out the parts that ended before; ISO 8601 with offset.")
    ] = "",
    to_utc: Annotated[
        str, typer.Option("--to", help="Leave out the parts that began after; ISO 8601 with offset.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Copy a recording, the one that is being made too. It holds bytes and settings, no names of people."""
    parts = _runs(site_of(config).state.wire).get(name)
    if parts is None:
        fail(Exit.USAGE, f"there is no recording '{name}'; see: yaosu wire list")
    if file.exists():
        fail(Exit.USAGE, f"{file} is there already")
    chosen = _within(parts, _instant_ns(from_utc, "--from"), _instant_ns(to_utc, "--to"))
    if not chosen:
        fail(Exit.USAGE, f"no part of '{name}' is of that time; see: yaosu wire list")
    try:
        join_parts(chosen, file)
    except OSError as error:
        file.unlink(missing_ok=True)
        fail(Exit.IO, f"{file} cannot be written: {error}")
    OUT.print(f"{file}: play it back with: yaosu replay {file}", markup=False)


def _instant_ns(text: str, option: str) -> int | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        fail(Exit.USAGE, f"{option} is no ISO 8601 time: {text}")
    if at.tzinfo is None:
        fail(Exit.USAGE, f"{option} needs an offset from UTC, as in 2026-11-22T20:00+08:00")
    return round(at.timestamp() * 1e9)


def _within(parts: list[Path], from_ns: int | None, to_ns: int | None) -> list[Path]:
    """Return the parts that are of a time, by when each was begun and written to last."""
    late = [part for part in parts if from_ns is None or part.stat().st_mtime_ns >= from_ns]
    return [part for part in late if to_ns is None or read_recording(part)[0].utc_ns <= to_ns]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(wire_app, name="wire", rich_help_panel=LOOK)
