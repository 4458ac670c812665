"""`journal`: what is on disk."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ERR,
    LOOK,
    OUT,
    ConfigOption,
    JsonOption,
    RehearsalOption,
    example,
    fail,
    local_time,
    print_json,
    site_of,
)
from pipeline.journal import JournalBusyError, stat, verify
from pipeline.journal.export import export_records, json_line
from pipeline.journal.repair import repair
from pipeline.records.ranges import RangeSet


class Form(StrEnum):
    """How records are exported."""

    JSONL = "jsonl"
    BYTES = "bytes"


journal_app = typer.Typer(
    no_args_is_help=True,
    help="The journal on disk: size, whether it is whole, its records for other programs.",
)
Moment = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="A day, or a moment; UTC."),
]


def journal_folder(config: Path, *, rehearsal: bool = False) -> Path:
    """Return the folder of a site's journal, or leave with 69 where there is none."""
    folder = site_of(config, rehearsal=rehearsal).state.journal
    if not folder.is_dir() and rehearsal:
        fail(Exit.UNAVAILABLE, f"there is no journal at {folder}: nothing was found to be simulated")
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


@journal_app.command("stat", epilog=example("journal stat -c gateway.toml", "journal stat --rehearsal"))
def show_stat(
    config: ConfigOption = DEFAULT_CONFIG, rehearsal: RehearsalOption = False, as_json: JsonOption = False
) -> None:
    """Show how large the journal is and how far it is receipted; works while the daemon runs."""
    _show(asdict(stat(journal_folder(config, rehearsal=rehearsal))), as_json=as_json)


@journal_app.command("verify", epilog=example("journal verify -c gateway.toml"))
def run_verify(
    config: ConfigOption = DEFAULT_CONFIG, rehearsal: RehearsalOption = False, as_json: JsonOption = False
) -> None:
    """Check every checksum, the order of records and the checkpoints. Ends with 1 when something is wrong."""
    report = verify(journal_folder(config, rehearsal=rehearsal))
    _show(asdict(report), as_json=as_json)
    if not report.sound:
        raise typer.Exit(int(Exit.FINDINGS))


@journal_app.command(
    "export",
    epilog=example(
        "journal export -c gateway.toml --kind event --since 2026-11-01 --out events.jsonl",
        "journal export -c gateway.toml --from 1000 --to 1999 --format bytes --out records.bin",
    ),
)
def run_export(
    config: ConfigOption = DEFAULT_CONFIG,
    first_seq: Annotated[int, typer.Option("--from", help="First seq.", min=0)] = 0,
    last_seq: Annotated[int | None, typer.Option("--to", help="Last seq; the end when left out.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Only this kind; may be given again.")] = None,
    since: Moment = None,
    until: Moment = None,
    form: Annotated[
        Form, typer.Option("--format", help="JSON lines, or the records' own bytes.")
    ] = Form.JSONL,
    out: Annotated[Path | None, typer.Option(help="A new file; standard output when left out.")] = None,
    rehearsal: RehearsalOption = False,
) -> None:
    """Write records as JSON lines or as bytes, end to end; works while the daemon runs. Times are UTC."""
    records = export_records(
        journal_folder(config, rehearsal=rehearsal), first_seq=first_seq, last_seq=last_seq,
        kinds=kind or None, from_utc_ns=utc_ns(since), to_utc_ns=utc_ns(until),
    )  # fmt: skip
    count = 0
    try:
        with nullcontext(sys.stdout.buffer) if out is None else out.open("xb") as stream:
            for record in records:
                stream.write(record.data if form is Form.BYTES else json_line(record))
                count += 1
    except FileExistsError:
        fail(Exit.USAGE, f"{out} is there already; give another name")
    except OSError as error:
        fail(Exit.IO, f"records cannot be written or read: {error}")
    ERR.print(f"{count} records", markup=False)


def utc_ns(moment: datetime | None) -> int | None:
    """Read a moment of the command line, in UTC, as ns."""
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp()) * 10**9


@journal_app.command("repair", epilog=example("journal repair -c gateway.toml"))
def run_repair(
    config: ConfigOption = DEFAULT_CONFIG, rehearsal: RehearsalOption = False, as_json: JsonOption = False
) -> None:
    """Go over every byte of a journal that no daemon has open, and make anew what can be made from the rest.

    A start needs no repair; this is for a disk that has lost bytes. Nothing is destroyed: what is replaced is
    moved to the journal's quarantine folder. Ends with 1 when something is lost.
    """
    try:
        report = repair(journal_folder(config, rehearsal=rehearsal))
    except JournalBusyError as error:
        fail(Exit.RETRY, str(error))
    except OSError as error:
        fail(Exit.IO, f"the journal cannot be read or written: {error}")
    _show(asdict(report), as_json=as_json)
    if report.lost:
        raise typer.Exit(int(Exit.FINDINGS))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(journal_app, name="journal", rich_help_panel=LOOK)
