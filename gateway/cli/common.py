"""What every command shares: output, exit codes, running a role, asking the daemon."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import orjson
import typer
import uvloop
from rich.console import Console

from config import ConfigInvalid, Exit
from gateway.door.client import DoorClient, DoorClosedError
from gateway.site import load_site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from gateway.site import LoadedSite

ERR = Console(stderr=True, highlight=False, soft_wrap=True)
OUT = Console(highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The site file.", envvar="YAOSU_CONFIG", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]
PersonOption = Annotated[
    str,
    typer.Option(
        "--as", help="Id of the person who acts; the PIN is asked for (or YAOSU_PIN).", envvar="YAOSU_PERSON"
    ),
]
DEFAULT_CONFIG = Path("gateway.toml")


def fail(code: Exit, message: str) -> NoReturn:
    """Say what went wrong on standard error and leave with a code."""
    ERR.print(f"[bold red]error[/]: {message}", markup=True)
    raise typer.Exit(int(code))


def site_of(path: Path) -> LoadedSite:
    """Read the site file, or print every finding and leave with 78."""
    try:
        site = load_site(path)
    except ConfigInvalid as invalid:
        for finding in invalid.findings:
            ERR.print(str(finding), markup=False)
        raise typer.Exit(int(Exit.CONFIG)) from None
    for warning in site.warnings:
        ERR.print(str(warning), markup=False)
    return site


def print_json(content: Any) -> None:
    """Write one JSON object."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE
    sys.stdout.buffer.write(orjson.dumps(content, option=options))
    sys.stdout.flush()


def run_role(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a role until SIGTERM or SIGINT, then let it end in order."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    uvloop.run(supervised())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a short piece of asynchronous work; a closed door leaves with 69."""
    try:
        return uvloop.run(work)
    except DoorClosedError as error:
        fail(Exit.UNAVAILABLE, str(error))


def secret_for(person: str) -> dict[str, str]:
    """The acting person with a PIN or password: from the environment, else asked for on the terminal."""
    for kind, variable in (("pin", "YAOSU_PIN"), ("password", "YAOSU_PASSWORD")):
        if os.environ.get(variable):
            return {"person": person, kind: os.environ[variable]}
    if not sys.stdin.isatty():
        fail(Exit.USAGE, f"no terminal to ask {person} for a PIN; set YAOSU_PIN or YAOSU_PASSWORD")
    return {"person": person, "pin": getpass.getpass(f"PIN of {person}: ")}


def station() -> str:
    """Where the command is given, for the record."""
    return f"cli {os.uname().nodename}"


def command(
    config: Path, name: str, args: dict[str, Any], actor: dict[str, Any], *, as_json: bool
) -> dict[str, Any]:
    """Send a command to the running daemon; print a refusal and leave with 1."""
    socket = site_of(config).state.socket("door")

    async def send() -> Any:
        async with DoorClient(socket) as door:
            return await door.command(name, args, {"station": station(), **actor})

    answer: dict[str, Any] = run(send())
    if not answer.get("ok"):
        if as_json:
            print_json(answer)
        else:
            ERR.print(f"[bold red]refused[/] ({answer['code']}): {answer['en']}", markup=True)
            if answer.get("hint"):
                ERR.print(answer["hint"], markup=False)
        raise typer.Exit(int(Exit.FINDINGS))
    if as_json:
        print_json(answer)
    return answer


def view(config: Path, path: str) -> Any:
    """Read a view of the running daemon."""
    socket = site_of(config).state.socket("door")

    async def get() -> Any:
        async with DoorClient(socket) as door:
            return await door.get(path)

    return run(get())
