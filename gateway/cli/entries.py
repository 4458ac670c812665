"""`task enter`, `task correct`: readings that a person takes from an instrument without a line."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    done,
    example,
    fail,
    secret_for,
)
from gateway.cli.tasks import ReasonOption, TaskArgument, task_app

if TYPE_CHECKING:
    from collections.abc import Mapping

ValueArgument = Annotated[
    str,
    typer.Argument(help="Figures exactly as they are shown: 12.50 keeps its resolution. Negative: -- -3."),
]
UnitArgument = Annotated[str, typer.Argument(help="Unit as the method states it; leave out for a number.")]
PhotoOption = Annotated[
    Path | None,
    typer.Option(help="Photograph of the display: its SHA-256 goes into the record, the file stays here."),
]
ENTER_EXAMPLES = example(
    'task enter 5b41ec3a-00001 cal-1.length 12.50 mm --reason "no line" --as p-0002',
    'task enter 5b41ec3a-00001 cal-1.length 12.5 mm --at 2026-03-01T08:00:00+08:00 --reason "…" --as p-0002',
)
CORRECT_EXAMPLE = example('task correct 5b41ec3a-00001 30123 12.05 mm --reason "digits swapped" --as p-0002')


def enter(
    task: TaskArgument,
    channel: Annotated[str, typer.Argument(help="Channel of the task: instrument.channel.")],
    value: ValueArgument,
    person: PersonOption,
    reason: ReasonOption,
    unit: UnitArgument = "",
    at: Annotated[str, typer.Option(help="When it was read, with offset from UTC; else now.")] = "",
    occurrence: Annotated[str, typer.Option(help="first or second, where the clock showed it twice.")] = "",
    serial: Annotated[str, typer.Option(help="Serial number on the plate of the instrument.")] = "",
    photo: PhotoOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Enter a reading that you took from an instrument; you are an operator of the task."""
    args = {"task": task, "channel": channel, "value": value, "reason": reason}
    given = {
        "unit": unit, "at_utc": at, "occurrence": occurrence, "serial": serial,
        "photo_sha256": "" if photo is None else photo_hash(photo),
    }  # fmt: skip
    answer = command(config, "task.enter", args | _given(given), secret_for(person), key=key, as_json=as_json)
    entered = f"{channel} = {value} {unit}".rstrip() + f" entered for {task}"
    if answer["result"].get("foreseen") is False:
        entered += "; the method does not provide for entries by hand: it is kept and counts for nothing"
    done(answer, entered, as_json=as_json)


def correct(
    task: TaskArgument,
    entry: Annotated[int, typer.Argument(min=0, help="Record of the entry, as `task show` tells it.")],
    value: ValueArgument,
    person: PersonOption,
    reason: ReasonOption,
    unit: UnitArgument = "",
    photo: PhotoOption = None,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Correct a hand-entered reading; what it was stays readable, and the task is judged anew."""
    args: dict[str, Any] = {"task": task, "entry": entry, "value": value, "reason": reason}
    given = {"unit": unit, "photo_sha256": "" if photo is None else photo_hash(photo)}
    answer = command(
        config, "task.correct", args | _given(given), secret_for(person), key=key, as_json=as_json
    )
    done(answer, f"entry {entry} corrected to {value} {unit}".rstrip(), as_json=as_json)


def photo_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; leaves with 74 where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        fail(Exit.IO, f"the photograph cannot be read: {error}")


def _given(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def register(_app: typer.Typer) -> None:
    """Add the commands to the group `task`."""
    task_app.command("enter", epilog=ENTER_EXAMPLES)(enter)
    task_app.command("correct", epilog=CORRECT_EXAMPLE)(correct)
