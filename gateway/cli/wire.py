"""`wire`: the daemon's own recordings of what went over the lines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config import Exit
from drivers.errors import Fatal
from drivers.transport.recording import read_recording
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
from gateway.edge.wire_recording import recordings

if TYPE_CHECKING:
    from typing import Any

wire_app = typer.Typer(no_args_is_help=True, help="Recordings of every byte on the lines.")


def _about(path: Path) -> dict[str, Any]:
    known = path.stat()
    try:
        instruments = [one["id"] for one in read_recording(path)[0].instruments]
    except (OSError, Fatal) as error:
        return {"name": path.name, "bytes": known.st_size, "problem": str(error), "instruments": []}
    return {
        "name": path.name, "bytes": known.st_size, "to_utc_ns": known.st_mtime_ns, "instruments": instruments
    }  # fmt: skip


@wire_app.command("list", epilog=example("wire list -c gateway.toml"))
def list_recordings(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the recordings that there are: one for each run of the daemon, where [recording] is on."""
    found = [_about(path) for path in recordings(site_of(config).state.wire)]
    if as_json:
        print_json(found)
        return
    rows = table("recording", "bytes", "until", "instruments")
    for each in found:
        until = local_time(each["to_utc_ns"]) if "to_utc_ns" in each else each["problem"]
        rows.add_row(each["name"], str(each["bytes"]), until, ", ".join(each["instruments"]))
    OUT.print(rows if found else "there are none; switch them on: [recording] enabled = true")


@wire_app.command("export", epilog=example("wire export 20261122T190000.000000Z.wire bug.wire"))
def export(
    name: Annotated[str, typer.Argument(help="Name of the recording, as `wire list` shows it.")],
    file: Annotated[Path, typer.Argument(help="New file; play it back: yaosu replay FILE")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Copy a recording, the one that is being made too. It holds bytes and settings, no names of people."""
    known = {path.name: path for path in recordings(site_of(config).state.wire)}
    if name not in known:
        fail(Exit.USAGE, f"there is no recording '{name}'; see: yaosu wire list")
    if file.exists():
        fail(Exit.USAGE, f"{file} is there already")
    shutil.copyfile(known[name], file)
    OUT.print(f"{file}: play it back with: yaosu replay {file}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(wire_app, name="wire", rich_help_panel=LOOK)
