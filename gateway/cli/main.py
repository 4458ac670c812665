"""Entry point of `yaosu`."""

from __future__ import annotations

import errno
import sys
from functools import cache
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated

import typer

from config import Exit
from gateway.cli.common import OUT, tell_error

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOMS = {
    "demo": ("demo",), "roles": ("run", "collect", "web", "witness"), "people": ("init", "person"),
    "keys": ("keys",), "files": ("check", "explain", "config"), "scan": ("scan",), "profile": ("profile",),
    "status": ("status",), "read": ("read",), "wire": ("wire",), "replay": ("replay",),
    "tasks": ("task", "hold", "instrument"), "entries": ("task",),
    "registry": ("registry", "material", "certificate"), "results": ("result",),
    "batches": ("batch", "chart", "control"), "write": ("write",), "alarms": ("alarm", "lookback"),
    "risk": ("risk",), "journal": ("journal",), "events": ("events",), "record": ("verify", "evidence"),
    "archive": ("archive", "dead-letter"), "qc": ("qc",), "sim": ("sim",), "bench": ("bench",),
}  # fmt: skip
"""Modules of this folder and the words that they add, in the order in which they are listed. A command loads
no room but its own: it starts in three quarters of the time, and a role takes less memory."""


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


def build(rooms: Iterable[str] = tuple(ROOMS)) -> typer.Typer:
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
        own = [room for room, words in ROOMS.items() if set(sys.argv[1:2]) & set(words)]
        (build(own) if own else _whole())()
    except OSError as error:
        tell_error(_in_a_sentence(error))
        sys.exit(int(Exit.IO))


_ADVICE = {
    errno.EACCES: "run as the user that owns it, or name another folder in the site file",
    errno.EPERM: "run as the user that owns it, or name another folder in the site file",
    errno.ENOENT: "check the path",
    errno.EISDIR: "name a file in it",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.EEXIST: "nothing is overwritten: name another file, or take that one away",
    errno.ENOSPC: "make room on that disk (df -h), then try again",
    errno.EDQUOT: "make room: the quota of this user is used up",
    errno.EROFS: "name a folder on a disk that can be written",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n)",
}
"""What a person does about what the system refuses."""


def _in_a_sentence(error: OSError) -> str:
    """Say which file it is, what the system says, and what to do."""
    where = f"{error.filename}: " if error.filename else ""
    said = error.strerror or str(error)
    return f"{where}{said[:1].lower()}{said[1:]}; {_ADVICE.get(error.errno or 0, 'check path and disk')}"
