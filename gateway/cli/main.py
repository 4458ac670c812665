"""Entry point of `yaosu`."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

from config import Exit
from gateway.cli.common import OUT, tell_error

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOMS = (
    "demo", "roles", "people", "keys", "files", "scan", "profile", "status", "read", "wire", "replay",
    "tasks", "entries", "registry", "results", "batches", "write", "alarms", "risk", "journal", "events",
    "record", "archive", "qc", "sim", "bench",
)  # fmt: skip
"""Modules of this folder that add commands, in the order in which they are listed."""
LONG_RUNNING = ("run", "collect", "web", "witness")
"""Commands of the room `roles`, which load no other: it starts in half the time and takes less memory."""


def _show_version(wanted: bool) -> None:
    if wanted:
        OUT.print(version("yaosu"), markup=False)
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave."),
    ] = False,
) -> None:
    pass


def build(rooms: Sequence[str] = ROOMS) -> typer.Typer:
    """Make the command line of some rooms."""
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
    app.callback()(_root)
    for room in rooms:
        import_module(f"gateway.cli.{room}").register(app)
    return app


@cache
def _whole() -> typer.Typer:
    return build()


def __getattr__(name: str) -> typer.Typer:
    """Make `app`, all commands, when somebody asks for it."""
    if name == "app":
        return _whole()
    raise AttributeError(name)


def main() -> None:
    """Run the command line. A file or folder that cannot be used is told in a sentence and ends with 74."""
    try:
        (build(["roles"]) if sys.argv[1:2] and sys.argv[1] in LONG_RUNNING else _whole())()
    except PermissionError as error:
        tell_error(f"{error}; run as the user that owns it, or name another folder in the site file")
        sys.exit(int(Exit.IO))
    except OSError as error:
        tell_error(f"{error}; check path and disk")
        sys.exit(int(Exit.IO))
