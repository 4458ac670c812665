"""What commands with an idempotency key did, so that a repetition gets the same answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.state import Answer

if TYPE_CHECKING:
    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.state import State
    from pipeline.records.envelope import Body, Record


def answer_key(person: str, key: str) -> str:
    """Name a remembered command: one person's key is not another's."""
    return f"{person}|{key}"


def remember(
    state: State, settings: ElementsSettings, record: Record, command: str, result: dict[str, str | int]
) -> None:
    """Keep what the command behind a record did; the oldest gives way to the newest."""
    actor: Body = record.body.get("actor") or {}
    key = answer_key(str(actor.get("person", "")), str(actor.get("idempotency_key", "")))
    if not actor.get("idempotency_key"):
        return
    answers = state.answers
    known = answers.get(key)
    if known is not None and known.command == command == "registry.import":
        # One import is many records; they are appended in one go.
        known.seqs = [known.seqs[0], record.seq]
        known.result = {"imported": int(known.result["imported"]) + 1}
    elif known is None:
        answers[key] = Answer(command, [record.seq, record.seq], result)
    while len(answers) > settings.recent_keys:
        del answers[next(iter(answers))]
