"""`archive`, `dead-letter`: what the centre keeps, and what its store refused."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import httpx
import typer

from config import CredentialUnavailableError, Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    LOOK,
    OUT,
    WORK,
    ConfigOption,
    JsonOption,
    example,
    fail,
    print_json,
    run,
    site_of,
    table,
)
from gateway.cli.record import KeyOption, PolicyOption, policy_of, show_facts, verify_archive
from gateway.collector.dead_letters import DeadLetters, read_letters
from gateway.collector.requeue import requeue
from gateway.door.client import DoorClosedError
from gateway.edge.state import StateFolder
from pipeline.archive import Archive, ArchiveBusyError, ArchiveError, Checker, Hold, Holds, HoldsError
from pipeline.archive.index import INDEX_NAME
from pipeline.archive.restore import Restored, restore
from pipeline.store import open_store
from pipeline.store.door import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.site import LoadedSite

archive_app = typer.Typer(
    no_args_is_help=True, help="The archive of record bytes: check, hold, merge, restore."
)
letters_app = typer.Typer(no_args_is_help=True, help="Records that the store refused: look, and offer again.")
READER = bytes(16)
"""Number under which the command line opens an archive; it appends nothing."""


def _folder(config: Path) -> Path:
    folder = site_of(config).state.archive
    if not (folder / INDEX_NAME).exists():
        fail(Exit.UNAVAILABLE, f"there is no archive in {folder}; the first start of the collector makes it")
    return folder


def _with_archive(folder: Path, work: Callable[[Archive], Awaitable[Any]]) -> Any:
    """Open an archive that no collector has open, and do something with it."""

    async def opened() -> Any:
        archive = await Archive.open(folder, READER)
        try:
            return await work(archive)
        finally:
            await archive.close()

    try:
        return asyncio.run(opened())
    except ArchiveBusyError:
        fail(Exit.UNAVAILABLE, "the collector runs; stop it first: systemctl stop yaosu-collect")
    except (ArchiveError, HoldsError) as error:
        fail(Exit.IO, str(error))
    except (StoreError, CredentialUnavailableError) as error:
        fail(Exit.UNAVAILABLE, str(error))


@archive_app.command("verify", epilog=example("archive verify -c collector.toml --policy policy.txt"))
def verify(
    config: ConfigOption = DEFAULT_CONFIG, policy: PolicyOption = None, key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Read every byte again and hold each journal against its checkpoints; works while the collector runs."""
    keys = {log.name: log.public for log in policy_of(policy, key).logs} if policy or key else {}
    content, sound = verify_archive(_folder(config), keys)
    show_facts(content, as_json=as_json)
    raise typer.Exit(int(Exit.OK if sound else Exit.FINDINGS))


@archive_app.command("stat", epilog=example("archive stat -c collector.toml"))
def stat(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show how much is kept of which journal, and what is under a legal hold."""
    folder = _folder(config)
    try:
        holds = Holds(folder).ever()
        with closing(Checker(folder)) as checker:
            segments = checker.segments()
            journals = {journal.hex(): count for journal, count in checker.index.journals().items()}
            size = sum(checker.size(segment) for segment in segments)
    except HoldsError as error:
        fail(Exit.IO, str(error))
    content = {
        "segments": len(segments), "bytes": size, "records": journals,
        "holds": [asdict(hold) for hold in holds if not hold.released_utc_ns],
        "released_holds": [asdict(hold) for hold in holds if hold.released_utc_ns],
    }  # fmt: skip
    show_facts(content, as_json=as_json)


@archive_app.command(
    "hold",
    epilog=example(
        'archive hold case-17 --journal 00112233445566778899aabbccddeeff --reason "dispute" --as p-0001'
    ),
)
def hold(
    name: Annotated[str, typer.Argument(help="Name of the hold, such as the number of the case.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str, typer.Option("--as", help="Id of the person who asks for it.")],
    journal: Annotated[str, typer.Option(help="Id of one journal; default: every journal.")] = "",
    from_seq: Annotated[int, typer.Option(min=0, help="First record.")] = 0,
    to_seq: Annotated[int | None, typer.Option(help="Last record; default: all that follow.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Keep records whatever their age, until the hold is released. Works while the collector runs."""
    if journal and not (len(journal) == 32 and set(journal) <= set("0123456789abcdef")):
        fail(Exit.USAGE, "--journal is 32 hexadecimal digits; see: yaosu archive stat")
    made = Hold(name, journal, from_seq, to_seq, reason, by, time.time_ns())
    try:
        Holds(_folder(config)).add(made)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    except HoldsError as error:
        fail(Exit.IO, str(error))
    if as_json:
        print_json(asdict(made))
    else:
        OUT.print(f"held: {name}", markup=False)


@archive_app.command(
    "release", epilog=example('archive release case-17 --reason "settled" --as p-0001 -c collector.toml')
)
def release(
    name: Annotated[str, typer.Argument(help="Name of the hold.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str, typer.Option("--as", help="Id of the person who lets it go.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Release a hold: what is over age goes at the collector's next daily turn. Who did it is kept."""
    try:
        Holds(_folder(config)).release(name, by, reason, time.time_ns())
    except KeyError:
        fail(Exit.FINDINGS, f"there is no hold '{name}'; see: yaosu archive stat")
    except HoldsError as error:
        fail(Exit.IO, str(error))
    OUT.print(f"released: {name}", markup=False)


@archive_app.command("merge", epilog=example("archive merge /mnt/collector-2/archive -c collector.toml"))
def merge(
    other: Annotated[Path, typer.Argument(help="Folder of the other collector's archive, or a copy of it.")],
    with_open: Annotated[
        bool, typer.Option("--with-open", help="Also its last segment: its collector must not run.")
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take in what another collector archived: the union. Contradictions are kept; then it ends with 1."""
    if not other.is_dir():
        fail(Exit.USAGE, f"{other} is no folder")
    merged = _with_archive(_folder(config), lambda archive: archive.merge(other, with_open=with_open))
    content = {
        "segments": merged.segments, "records": merged.records, "refused": merged.refused,
        "forks": [f"journal {journal.hex()} seq {seq}" for journal, seq in merged.forks],
    }  # fmt: skip
    show_facts(content, as_json=as_json)
    if merged.forks or merged.refused:
        raise typer.Exit(int(Exit.FINDINGS))


@archive_app.command("restore", epilog=example("archive restore -c collector.toml"))
def restore_store(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Write everything that is archived into the store of the site file, as after the loss of a database."""
    site, folder = site_of(config), _folder(config)

    async def into_store(archive: Archive) -> Restored:
        async with open_store(site.store, credentials=site.path.parent) as store:
            return await restore(archive, store)

    done = _with_archive(folder, into_store)
    show_facts(asdict(done), as_json=as_json)
    if done.dead or done.forked:
        raise typer.Exit(int(Exit.FINDINGS))


@letters_app.command("list", epilog=example("dead-letter list -c collector.toml"))
def list_letters(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List what the store refused, and why."""
    letters = read_letters(site_of(config).state.dead_letters)
    if as_json:
        print_json([{"id": name, **letter} for name, letter in letters.items()])
        return
    shown = table("id", "from", "journal", "seq", "reason")
    for name, letter in letters.items():
        whence = (
            f"{letter.get('lab')}/{letter.get('gateway')}" if "lab" in letter else letter.get("topic", "")
        )
        journal = str(letter.get("journal", ""))[:8]
        shown.add_row(name, whence, journal, str(letter.get("seq", "")), str(letter.get("reason", ""))[:200])
    OUT.print(shown if letters else "no dead letters")


@letters_app.command("show", epilog=example("dead-letter show 0a1b2c3d4e5f -c collector.toml"))
def show_letter(
    name: Annotated[str, typer.Argument(help="Id of the letter.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Show one letter whole."""
    letter = read_letters(site_of(config).state.dead_letters).get(name)
    if letter is None:
        _no_letter(name)
    print_json(letter)


def _no_letter(name: str) -> NoReturn:
    fail(Exit.FINDINGS, f"there is no letter '{name}'; see: yaosu dead-letter list")


@letters_app.command(
    "requeue", epilog=example("dead-letter requeue 0a1b2c3d4e5f", "dead-letter requeue --all")
)
def requeue_letters(
    names: Annotated[list[str] | None, typer.Argument(help="Ids of letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Offer letters to the store again, from the archive; a record is stored once, however often offered.

    While the collector runs, it does this itself; else this command does.
    """
    if bool(names) == everything:
        fail(Exit.USAGE, "name letters, or say --all")
    site = site_of(config)
    answer = run(_ask_collector(site.state, names or []))
    if answer is None:
        answer = _requeue_here(site, names or [])
    if not answer["ok"]:
        fail(Exit.UNAVAILABLE, answer["error"])
    if as_json:
        print_json(answer)
    else:
        OUT.print(f"stored: {len(answer['stored'])}", markup=False)
        for name, reason in answer["refused"].items():
            OUT.print(f"{name} stays: {reason}", markup=False)
    if answer["stopped"]:
        fail(Exit.UNAVAILABLE, f"the others stay as they are: {answer['stopped']}")
    if answer["unknown"]:
        _no_letter(answer["unknown"][0])
    if answer["refused"]:
        raise typer.Exit(int(Exit.FINDINGS))


async def _ask_collector(state: StateFolder, names: list[str]) -> dict[str, Any] | None:
    """Let the running collector do it; None when none runs."""
    transport = httpx.AsyncHTTPTransport(uds=str(state.socket("collect")))
    async with httpx.AsyncClient(transport=transport, base_url="http://collector", timeout=600) as client:
        try:
            answer = await client.post("/v1/dead-letters/requeue", json={"ids": names})
        except httpx.ConnectError:
            return None
        except httpx.TransportError as error:
            raise DoorClosedError("the collector took the call and did not answer") from error
        content: dict[str, Any] = answer.json()
        return content


def _requeue_here(site: LoadedSite, names: list[str]) -> dict[str, Any]:
    letters = read_letters(site.state.dead_letters)
    chosen = {name: letter for name, letter in letters.items() if not names or name in names}

    async def offer(archive: Archive) -> dict[str, Any]:
        file = DeadLetters(site.state.dead_letters, site.settings.collector.dead_letter_bytes_max)
        async with open_store(site.store, credentials=site.path.parent) as store:
            return asdict(await requeue(file, chosen, archive, store))

    done: dict[str, Any] = _with_archive(site.state.archive, offer)
    return {"ok": True, "unknown": sorted(set(names) - set(letters)), **done}


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(archive_app, name="archive", rich_help_panel=LOOK)
    app.add_typer(letters_app, name="dead-letter", rich_help_panel=WORK)
