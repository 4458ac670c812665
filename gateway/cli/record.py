"""`evidence`, `verify`: the record for somebody who trusts nobody here."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    print_json,
    site_of,
    tell,
)
from pipeline.archive import Checker
from pipeline.archive.archive import FORKS_MAX
from pipeline.archive.index import INDEX_NAME
from pipeline.evidence.create import create
from pipeline.evidence.findings import Checked, Refused
from pipeline.evidence.policy import Policy, read_policy
from pipeline.evidence.redo import redo_file
from pipeline.evidence.report import report, seen
from pipeline.evidence.select import NoEvidenceError, NotSealedError
from pipeline.evidence.show import show
from pipeline.evidence.sources import ArchiveSource, JournalSource
from pipeline.evidence.trail import check_trail
from pipeline.evidence.verify import check_file
from pipeline.journal import verify as verify_journal
from pipeline.journal.disk import RealDisk
from pipeline.journal.start import META_NAMES, read_meta_public

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.site import LoadedSite
    from pipeline.evidence.create import Made

SHOWN_MAX = 20
"""Entries of a list that a terminal shows; --json has all."""

evidence_app = typer.Typer(no_args_is_help=True, help="One task's records in one file, with their proofs.")

SEAL_WAIT_S = 15.0
"""A gateway seals every 10 s; its collector has the checkpoint soon after."""
ASKED_AGAIN_S = 0.5

PolicyOption = Annotated[
    Path | None,
    typer.Option("--policy", help="Trust policy: keys of log and witnesses, and how many must have seen it."),
]
KeyOption = Annotated[
    list[str] | None,
    typer.Option("--key", help="Instead of a policy: key of the log (name+hash+key); asks for no witness."),
]


def policy_of(path: Path | None, keys: list[str] | None) -> Policy:
    """Read the policy that was named, or make one of bare keys of logs."""
    if (path is None) == (not keys):
        fail(
            Exit.USAGE,
            "name a policy (--policy FILE), or at least the log's key (--key); see docs/evidence.md",
        )
    try:
        if path is not None:
            return read_policy(path.read_text(encoding="utf-8"))
        return read_policy("\n".join([*(f"log {key}" for key in keys or ()), "quorum none"]))
    except ValueError as error:
        fail(Exit.CONFIG, str(error))


def verify(
    what: Annotated[Path, typer.Argument(help="Evidence file, or folder of an archive or a journal.")],
    policy: PolicyOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check an evidence file offline, or every byte of an archive or a journal. Ends with 1 if it is wrong.

    It needs nothing but the public keys: no network, no database, no trust in whoever made the file.
    """
    if not what.is_dir():
        checked = check_file(what, policy_of(policy, key))
        redone = _correct_again(what, checked)
        if as_json:
            cosigned = [one._asdict() for one in checked.cosigned]
            content = {**asdict(checked), "cosigned": cosigned, "corrected_again": redone}
            print_json({**content, "verified": not checked.problems})
        else:
            if redone:
                told = f"{redone} corrected values computed again from the readings and the registry"
                OUT.print(told, markup=False)
            OUT.print(report(checked), markup=False, end="")
        raise typer.Exit(int(Exit.FINDINGS if checked.problems else Exit.OK))
    if any((what / name).exists() for name in META_NAMES):
        content, sound = _verify_journal(what, policy_of(policy, key) if policy or key else None)
    elif (what / INDEX_NAME).exists():
        keys = {log.name: log.public for log in policy_of(policy, key).logs} if policy or key else {}
        content, sound = verify_archive(what, keys)
        if policy or key:
            named = policy_of(policy, key)
            journals = [bytes.fromhex(one["journal"]) for one in content["journals"]]
            content["trail"] = [
                trail for journal in journals for trail in _trail(ArchiveSource(what, journal), named)
            ]
            sound = sound and not any(one["problems"] for one in content["trail"])
    else:
        fail(Exit.USAGE, f"{what} is neither an evidence file nor the folder of an archive or a journal")
    show_facts(content, as_json=as_json)
    raise typer.Exit(int(Exit.OK if sound else Exit.FINDINGS))


def _correct_again(file: Path, checked: Checked) -> int:
    """Compute the corrected values of a file whose seals hold again; a difference is a problem of it."""
    if checked.problems:
        return 0
    try:
        redone = redo_file(file)
    except Refused as refused:
        checked.add(str(refused), refused.seq)
        return 0
    checked.problems += redone.problems
    return redone.values


def _verify_journal(folder: Path, policy: Policy | None) -> tuple[dict[str, Any], bool]:
    """Check every byte of a journal, and that its key is the one that a policy names."""
    result = verify_journal(folder)
    content, sound = {**asdict(result), "key": "not given"}, result.sound
    meta = read_meta_public(RealDisk(), folder)
    if policy is not None and meta is not None:
        pinned = bool(set(result.keys) & {log.public.hex() for log in policy.logs})
        content["key"] = "pinned" if pinned else "NOT one of the policy's"
        sound = sound and pinned
        content["trail"] = _trail(JournalSource(folder), policy)
        sound = sound and not any(one["problems"] for one in content["trail"])
    return content, sound


def _trail(source: JournalSource | ArchiveSource, policy: Policy) -> list[dict[str, Any]]:
    """Check the cosignatures that a journal or an archive holds; nothing where no witness is named."""
    with closing(source):
        checked = check_trail(source, policy) if policy.witnesses else None
    if checked is None:
        return []
    return [
        {
            "journal": checked.journal, "witnesses": [seen(one) for one in checked.cosigned],
            "changes": checked.changes, "ignored": checked.ignored, "problems": checked.problems,
        }
    ]  # fmt: skip


def verify_archive(folder: Path, keys: dict[str, bytes]) -> tuple[dict[str, Any], bool]:
    """Check bytes and history of an archive; with the public keys of the logs that are known."""
    try:
        with closing(Checker(folder)) as checker:
            findings = [f for segment in checker.segments() for f in checker.check(segment)]
            histories = [checker.history(journal, keys) for journal in checker.journals()]
            forks = checker.index.forks(FORKS_MAX)
    except sqlite3.Error as error:
        fail(Exit.IO, f"{folder / INDEX_NAME}: {error}; a start of the collector makes it anew")
    content = {
        "damaged": [f"segment {f.segment}, byte {f.offset}: {f.what}" for f in findings],
        "forks": [f"journal {journal.hex()} seq {seq}" for journal, seq in forks],
        "journals": [
            {
                **asdict(one),
                "journal": one.journal.hex(),
                "key": "pinned" if one.origin in keys else "not given",
            }
            for one in histories
        ],
    }
    return content, not (findings or forks or any(one.problems for one in histories))


def show_facts(content: dict[str, Any], *, as_json: bool, indent: str = "") -> None:
    """Print a map as lines, or as JSON."""
    if as_json:
        print_json(content)
        return
    for name, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            for one in value:
                OUT.print(f"{indent}{name.rstrip('s')}", markup=False)
                show_facts(one, as_json=False, indent=f"{indent}  ")
        else:
            text = _listed(value) if isinstance(value, list | tuple) else value
            OUT.print(f"{indent}{name.replace('_', ' '):24} {text}", markup=False)


def _listed(values: Sequence[object]) -> str:
    more = f"; and {len(values) - SHOWN_MAX} more, see --json" if len(values) > SHOWN_MAX else ""
    return "; ".join(map(str, values[:SHOWN_MAX])) + more if values else "none"


@evidence_app.command(
    "create", epilog=example("evidence create --task 82069143-00007 -c /etc/yaosu/collector.toml")
)
def create_evidence(
    task: Annotated[str, typer.Option(help="Id of the task.")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default TASK.evidence.")] = None,
    journal: Annotated[str, typer.Option(help="Id of the journal, where the archive has several.")] = "",
    wait: Annotated[
        float,
        typer.Option(
            help="Seconds to wait until the last records are sealed and witnessed.", min=0, max=3600
        ),
    ] = SEAL_WAIT_S,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Write one file of a task's records with inclusion proofs, checkpoints and cosignatures.

    Taken from the collector's archive where there is one, else from the gateway's journal, also while in use.

    Ends with 75 when the last records of the task are still not sealed after --wait; --wait 0 ends at once.
    """
    site = site_of(config)
    path = Path(f"{task}.evidence") if out is None else out
    try:
        made = _create_when_seen(site, journal, task, path, wait)
    except NotSealedError as error:
        fail(Exit.RETRY, str(error))
    except NoEvidenceError as error:
        fail(Exit.FINDINGS, str(error))
    except sqlite3.Error as error:
        fail(Exit.IO, f"the archive's index cannot be read: {error}")
    if as_json:
        print_json({"file": path, **asdict(made)})
        return
    OUT.print(f"wrote {path}: {made.records} records, {made.bytes} bytes", markup=False)
    if not made.final:
        OUT.print(
            "the task's verdicts are provisional: make the file again when they are final", markup=False
        )
    if not made.seen:
        OUT.print("no witness has seen all of it yet: make the file again later", markup=False)


def _create_when_seen(site: LoadedSite, journal: str, task: str, path: Path, wait_s: float) -> Made:
    """Make the file; again until its last records are sealed, and seen by a witness if there is one."""
    until_s = time.monotonic() + wait_s
    told: set[str] = set()
    while True:
        left_s = until_s - time.monotonic()
        try:
            with closing(_source(site, journal)) as source:
                made = create(source, task, path)
        except NotSealedError:
            if left_s <= 0:
                raise
            lacking = "not sealed yet"
        else:
            if left_s <= 0 or made.seen or not made.witnesses:
                return made
            lacking = "sealed, but no witness has seen them yet"
        if lacking not in told:
            tell(f"the last records of the task are {lacking}; waiting up to {left_s:.0f} s for that")
            told.add(lacking)
        time.sleep(min(ASKED_AGAIN_S, left_s))


def _source(site: LoadedSite, journal: str) -> ArchiveSource | JournalSource:
    if (site.state.archive / INDEX_NAME).exists():
        try:
            return ArchiveSource(site.state.archive, bytes.fromhex(journal) or None)
        except ValueError:
            fail(Exit.USAGE, "--journal is 32 hexadecimal digits, as yaosu status shows them")
    if not site.state.journal.is_dir():
        fail(Exit.UNAVAILABLE, f"there is neither an archive nor a journal in {site.state.root}")
    return JournalSource(site.state.journal)


@evidence_app.command("show", epilog=example("evidence show 82069143-00007.evidence"))
def show_evidence(
    file: Annotated[Path, typer.Argument(help="Evidence file.")], as_json: JsonOption = False
) -> None:
    """Show what an evidence file says. This checks nothing: for that there is `yaosu verify`."""
    try:
        content = show(file)
    except Refused as refused:
        fail(Exit.FINDINGS, str(refused))
    show_facts(content, as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        rich_help_panel=LOOK,
        epilog=example(
            "verify 82069143-00007.evidence --policy policy.txt", "verify /var/lib/yaosu-collect/archive"
        ),
    )(verify)
    app.add_typer(evidence_app, name="evidence", rich_help_panel=LOOK)
