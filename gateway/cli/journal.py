"""`journal`: what is on disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import typer

from config import Exit
from gateway.cli.common import DEFAULT_CONFIG, OUT, ConfigOption, JsonOption, print_json, site_of
from pipeline.journal import stat, verify

journal_app = typer.Typer(no_args_is_help=True, help="The journal on disk: size, and whether it is whole.")


def _show(content: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(content)
        return
    for key, value in content.items():
        OUT.print(f"{key.replace('_', ' '):24} {value}", markup=False)


@journal_app.command("stat")
def show_stat(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how large the journal is and how far it is receipted; works while the daemon runs."""
    _show(asdict(stat(site_of(config).state.journal)), as_json=as_json)


@journal_app.command("verify")
def run_verify(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Check every checksum, the order of records and the checkpoints. Ends with 1 when something is wrong."""
    report = verify(site_of(config).state.journal)
    _show(asdict(report), as_json=as_json)
    if not report.sound:
        raise typer.Exit(int(Exit.FINDINGS))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(journal_app, name="journal")
