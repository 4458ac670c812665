"""What every command shares: output, exit codes, running a role, asking the daemon."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import httpx
import orjson
import typer
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from config import ConfigInvalid, Exit
from gateway.cli.kept import told_from_store
from gateway.door.client import DoorClient, DoorClosedError
from gateway.site import load_site
from gateway.site.rehearsal import rehearsal_site
from gateway.tuning import tune
from pipeline.records.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from config import Finding
    from gateway.site import LoadedSite

# Rich colours on a terminal only, and not where NO_COLOR is set.
ERR = Console(stderr=True, highlight=False, soft_wrap=True)
OUT = Console(highlight=False, soft_wrap=True)

ConfigOption = Annotated[
    Path, typer.Option("--config", "-c", help="The site file.", envvar="YAOSU_CONFIG", show_default=True)
]
RehearsalOption = Annotated[
    bool,
    typer.Option(
        "--rehearsal", help="The rehearsal journal beside: rows of what was found to be simulated.",
    ),
]  # fmt: skip
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on standard output, nothing else.")]
PersonOption = Annotated[
    str,
    typer.Option(
        "--as", help="Id of the person who acts; the PIN is asked for (or YAOSU_PIN).", envvar="YAOSU_PERSON"
    ),
]
KeyOption = Annotated[
    str,
    typer.Option(
        "--key", help="Given again with the same key, a command is done once. Made up when left out.",
    ),
]  # fmt: skip
DEFAULT_CONFIG = Path("gateway.toml")

SET_UP, ROLES, WORK, LOOK = "Set up", "Long-running roles", "Daily work", "Look and check"
"""Panels of the help."""

RETRY_CODES = frozenset({"locked", "not-durable"})
"""Refusals that pass by themselves."""


def example(*lines: str) -> str:
    """Make the end of a command's help: command lines to copy, without the leading `yaosu`."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    return "\n\n".join([heading, *(f"yaosu {line}" for line in lines)])


def tell_error(message: str) -> None:
    """Say what went wrong on standard error."""
    ERR.print(Text.assemble(("error", "bold red"), ": ", message))


def tell_warning(message: str) -> None:
    """Say on standard error what somebody should know who goes on."""
    ERR.print(Text.assemble(("warning", "bold yellow"), ": ", message))


def tell(message: str) -> None:
    """Say on standard error what a command is doing, or how it understood what it was given."""
    ERR.print(Text(message))


def fail(code: Exit, message: str) -> NoReturn:
    """Say what went wrong on standard error and leave with a code."""
    tell_error(message)
    raise typer.Exit(int(code))


def show_findings(findings: Iterable[Finding]) -> None:
    """Print findings on standard error, one a line, the severity coloured on a terminal."""
    for finding in findings:
        text = Text(str(finding))
        mark = f"{finding.severity}[{finding.code}]"
        text.highlight_words([mark], "bold red" if finding.severity == "error" else "bold yellow")
        ERR.print(text)


def leave_invalid(invalid: ConfigInvalid) -> NoReturn:
    """Print every finding of a file and leave with 78."""
    show_findings(invalid.findings)
    raise typer.Exit(int(Exit.CONFIG)) from None


def site_of(path: Path, *, rehearsal: bool = False) -> LoadedSite:
    """Read the site file, or print every finding and leave with 78.

    With `rehearsal` it is the site of the rehearsal journal beside a production gateway.
    """
    try:
        site = load_site(path)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    show_findings(site.warnings)
    if rehearsal and site.settings.site.purpose != "production":
        fail(Exit.USAGE, "this gateway rehearses in its own journal; leave --rehearsal out")
    return rehearsal_site(site) if rehearsal else site


def _as_json(value: Any) -> Any:
    if isinstance(value, RangeSet):
        return list(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_json(content: Any) -> None:
    """Write one JSON object."""
    options = (
        orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    )
    sys.stdout.buffer.write(orjson.dumps(content, default=_as_json, option=options))
    sys.stdout.flush()


def table(*columns: str) -> Table:
    """Make a table whose cells are folded, never cut; the first, an id to be copied, stays on one line."""
    made = Table()
    for position, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=position == 0)
    return made


def local_time(t_utc_ns: int) -> str:
    """Show an instant with this machine's offset from UTC, to the second."""
    return datetime.fromtimestamp(t_utc_ns / 1e9, UTC).astimezone().isoformat(sep=" ", timespec="seconds")


def run_role(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a role until SIGTERM or SIGINT, then let it end in order."""

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    tune()
    uvloop.run(supervised())


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a short piece of asynchronous work; a closed door leaves with 69, a locked 74, a silent one 75."""
    try:
        return uvloop.run(work)
    except DoorClosedError as error:
        if _is_locked(error):
            fail(Exit.IO, "this user may not open the door's socket; act as a member of its group (yaosu)")
        if nobody_there(error):
            fail(Exit.UNAVAILABLE, str(error))
        fail(Exit.RETRY, "the daemon took the call and did not answer; look at it: yaosu status")


def is_served(config: Path) -> bool:
    """Tell whether a daemon answers at the door of a site."""
    socket = site_of(config).state.socket("door")

    async def ask() -> bool:
        try:
            async with DoorClient(socket) as door:
                await door.get("status")
        except DoorClosedError as error:
            return not nobody_there(error)
        return True

    return bool(uvloop.run(ask()))


def nobody_there(error: DoorClosedError) -> bool:
    """Tell a door that nobody serves from one that is locked or whose server does not answer."""
    return isinstance(error.__cause__, httpx.ConnectError) and not _is_locked(error)


def _is_locked(error: BaseException) -> bool:
    """Tell whether the system refused this user the socket, however deep the client wrapped it."""
    reason: BaseException | None = error
    while reason is not None and not isinstance(reason, PermissionError):
        reason = reason.__cause__ or reason.__context__
    return reason is not None


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


def leave_refused(answer: dict[str, Any], *, as_json: bool) -> NoReturn:
    """Show a refusal of the daemon and leave with 1, or with 75 when it passes by itself."""
    if as_json:
        print_json(answer)
    else:
        ERR.print(Text.assemble(("refused", "bold red"), f" ({answer['code']}): {answer['en']}"))
        if answer.get("hint"):
            ERR.print(answer["hint"], markup=False)
    raise typer.Exit(int(Exit.RETRY if answer["code"] in RETRY_CODES else Exit.FINDINGS))


def command(
    config: Path, name: str, args: dict[str, Any], actor: dict[str, Any], *, key: str = "", as_json: bool
) -> dict[str, Any]:
    """Send a command to the running daemon; print a refusal and leave with 1."""
    socket = site_of(config).state.socket("door")

    async def send() -> Any:
        async with DoorClient(socket) as door:
            return await door.command(name, args, {"station": station(), **actor}, key=key or None)

    answer: dict[str, Any] = run(send())
    if not answer.get("ok"):
        leave_refused(answer, as_json=as_json)
    if as_json:
        print_json(answer)
    return answer


def done(answer: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Say what was done, with its records."""
    if not as_json:
        seqs = RangeSet((seq, seq) for seq in answer["seq"])
        shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in seqs)
        OUT.print(f"{text} (record {shown})" if shown else text, markup=False)


def view(config: Path, path: str, *, as_json: bool) -> Any:
    """Read a view of the running daemon, or of its stored records; print a refusal and leave with 1."""
    site = site_of(config)

    async def get() -> Any:
        try:
            async with DoorClient(site.state.socket("door")) as door:
                return await door.get(path)
        except DoorClosedError as error:
            told = await told_from_store(site, path) if nobody_there(error) else None
            if told is None:
                raise
            ERR.print(f"no gateway answers here; told from its stored records, through {told.through_seq}")
            return told.content

    answer = run(get())
    if isinstance(answer, dict) and answer.get("ok") is False:
        leave_refused(answer, as_json=as_json)
    return answer
