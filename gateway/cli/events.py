"""`events`: what happened at the gateway, in words."""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from config import Exit
from dashboard.events import event_texts
from dashboard.language import messages
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
)
from gateway.cli.journal import Moment, journal_folder, utc_ns
from gateway.logs import visible
from pipeline.journal.export import export_records

if TYPE_CHECKING:
    from pipeline.records import Record

NEWEST = 100


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


_WORSE = list(Severity)


def _shown(record: Record, language: Literal["en", "zh"]) -> dict[str, Any]:
    body = record.body
    text, _ = event_texts(body, "lab", messages(language), {})
    return {
        "seq": record.seq, "t_utc_ns": record.t_utc_ns, "severity": body.get("severity", "info"),
        "code": body.get("code"), "instrument": body.get("instrument"), "text": text,
    }  # fmt: skip


def events(
    since: Moment = None,
    until: Moment = None,
    severity: Annotated[Severity, typer.Option(help="This severity and worse ones.")] = Severity.INFO,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = NEWEST,
    language: Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the texts.")] = "en",
    config: ConfigOption = DEFAULT_CONFIG,
    rehearsal: RehearsalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what happened, oldest first: from the journal on disk, whether the daemon runs or not.

    People are shown by their ids; `--json` gives an object for each event, with its code. Ends with 0 also
    when there was nothing. The journal belongs to the user of the daemon: call it by `sudo -u yaosu`.
    """
    wanted = _WORSE[_WORSE.index(severity) :]
    chosen: deque[Record] = deque(maxlen=limit)
    count, folder = 0, journal_folder(config, rehearsal=rehearsal)
    try:
        for record in export_records(
            folder, kinds={"event"}, from_utc_ns=utc_ns(since), to_utc_ns=utc_ns(until)
        ):
            if record.body.get("severity", "info") in wanted:
                chosen.append(record)
                count += 1
    except OSError as error:
        fail(Exit.IO, f"the journal cannot be read: {error}; run as the user that owns it")
    rows = [_shown(record, language) for record in chosen]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        text = visible(row["text"])  # an instrument's own words must not drive this terminal
        OUT.print(
            f"{local_time(row['t_utc_ns'])}  {row['severity']:7}  {text}  (record {row['seq']})", markup=False
        )
    if count > len(rows):
        ERR.print(f"the newest {len(rows)} of {count}; more with --limit", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel=LOOK,
        epilog=example("events -c gateway.toml --severity warning", "events --since 2026-11-01 --lang zh"),
    )(events)
