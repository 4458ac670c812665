"""Entry point of `yaosu`."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from config import Exit
from gateway.cli import (
    alarms,
    archive,
    batches,
    bench,
    demo,
    files,
    journal,
    keys,
    people,
    profile,
    qc,
    read,
    record,
    registry,
    replay,
    results,
    risk,
    roles,
    scan,
    sim,
    status,
    tasks,
    wire,
    write,
)
from gateway.cli.common import OUT, tell_error

app = typer.Typer(
    name="yaosu",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="要素 Yaosu: the online-testing gateway for laboratories.\n\n"
    "Try it: [bold]yaosu demo[/]. Set up: [bold]init[/], [bold]check[/], [bold]run[/]. "
    "Exit codes: 0 ok, 1 findings, 2 usage, 69 unavailable, 74 I/O, 75 retry, 78 configuration.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        OUT.print(version("yaosu"), markup=False)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


for _room in (
    demo, roles, people, keys, files, scan, profile, status, read, wire, replay, tasks, registry, results,
    batches, write, alarms, risk, journal, record, archive, qc, sim, bench,
):  # fmt: skip
    _room.register(app)


def main() -> None:
    """Run the command line. A file or folder that cannot be used is told in a sentence and ends with 74."""
    try:
        app()
    except PermissionError as error:
        tell_error(f"{error}; run as the user that owns it, or name another folder in the site file")
        sys.exit(int(Exit.IO))
    except OSError as error:
        tell_error(f"{error}; check path and disk")
        sys.exit(int(Exit.IO))
