"""`journal`: what is on disk."""

from __future__ import annotations

from dataclasses import asdict
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
    fail,
    local_time,
    print_json,
    site_of,
)
from pipeline.journal import stat, verify
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from pathlib import Path

journal_app = typer.Typer(no_args_is_help=True, help="The journal on disk: size, and whether it is whole.")


def _folder(config: Path) -> Path:
    folder = site_of(config).state.journal
    if not folder.is_dir():
        fail(Exit.UNAVAILABLE, f"there is no journal at {folder}; make one: yaosu init -c {config}")
    return folder


def _text(name: str, value: Any) -> str:
    if isinstance(value, RangeSet):
        return ", ".join(f"{first}–{last}" for first, last in value) or "nothing"
    if isinstance(value, list):
        return "; ".join(str(each) for each in value) or "none"
    return local_time(value) if name.endswith("_utc_ns") and value else str(value)


def _show(content: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    for key, value in content.items():
        OUT.print(f"{key.removesuffix('_utc_ns').replace('_', ' '):24} {_text(key, value)}", markup=False)


@journal_app.command("stat", epilog=example("journal stat -c gateway.toml"))
def show_stat(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how large the journal is and how far it is receipted; works while the daemon runs."""
    _show(asdict(stat(_folder(config))), as_json=as_json)


@journal_app.command("verify", epilog=example("journal verify -c gateway.toml"))
def run_verify(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check every checksum, the order of records and the checkpoints. Ends with 1 when something is wrong."""
    report = verify(_folder(config))
    _show(asdict(report), as_json=as_json)
    if not report.sound:
        raise typer.Exit(int(Exit.FINDINGS))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(journal_app, name="journal", rich_help_panel=LOOK)
