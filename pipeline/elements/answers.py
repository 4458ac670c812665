"""What commands with an idempotency key did, so that a repetition gets the same answer.

What was answered follows from the command's record alone: the fold remembers the newest keys, the index over
the ledger all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.alarms.part import REACHED
from pipeline.elements.batches.shapes import ChartRecord
from pipeline.elements.batches.state import chart_key
from pipeline.elements.codec import from_body
from pipeline.elements.state import Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.settings import ElementsSettings
    from pipeline.elements.state import State
    from pipeline.records.envelope import Body, Record

Result = dict[str, str | int | bool]
Done = tuple[str, Result]
IMPORT = "registry.import"
"""Registry records of one key are one command, however many they are."""
OF_REGISTRY = frozenset({IMPORT, "material.handover", "material.open", "certificate.withdraw"})
"""Commands whose records are registry records: those do not tell them apart."""


def answer_key(person: str, key: str) -> str:
    """Name a remembered command: one person's key is not another's."""
    return f"{person}|{key}"


def keyed(record: Record) -> tuple[str, str] | None:
    """Give person and idempotency key of a command's record; None for a record that no command made."""
    actor = record.body.get("actor")
    if not isinstance(actor, dict) or not actor.get("idempotency_key"):
        return None
    return str(actor.get("person", "")), str(actor["idempotency_key"])


def answer_of(record: Record) -> Done | None:
    """Tell which command a record is of, and what was answered; None where it is of none.

    Raises:
        KeyError, TypeError, AttributeError: the body is not of its shape.
    """
    teller = _TELLERS.get(record.kind)
    return None if teller is None else teller(record.body)


def _task(body: Body) -> Done:
    result: Result = {"task": str(body["task"])}
    if body["action"] == "start":
        result["attempt"] = int(body["attempt"])
    return f"task.{body['action']}", result


def _entry(body: Body) -> Done:
    command = "task.enter" if body["corrects"] is None else "task.correct"
    return command, {
        "task": str(body["task"]), "channel": f"{body['instrument']}.{body['channel']}",
        "foreseen": bool(body["foreseen"]),
    }  # fmt: skip


def _event(body: Body) -> Done | None:
    code, args = body.get("code"), body.get("args") or {}
    if code == "person-changed":
        return f"person.{args['action']}", {"person": str(args["person"])}
    if code == "service-state":
        return "instrument.state", {"instrument": str(body["instrument"]), "state": str(args["state"])}
    if code == "trust-signed":
        return "keys.apply", {"file": str(args["file"]), "sha256": str(args["after"])}
    if code == "credit-class":
        return "risk.class", {"credit_class": str(args["credit_class"])}
    if code == "spot-check-table":
        return "risk.table", {"title": str(args["title"])}
    if code == "read-notice":
        told: Result = {"task": str(args["task"]), "channel": str(args["channels"][0])}
        return "window.read", told | {
            name: int(args[name]) for name in ("trigger_seq", "from_utc_ns", "to_utc_ns")
        }
    return None


def _config(body: Body) -> Done | None:
    applied = body.get("action") == "apply"
    return ("config.apply", {"sha256": str(body.get("sha256"))}) if applied else None


def _chart(body: Body) -> Done:
    told = from_body(ChartRecord, body)
    about = told.chart.id
    key = chart_key(told.method, told.instrument, told.quantity, about.material, about.level)
    return f"chart.{told.action}", {"chart": key, "version": told.chart.version}


_TELLERS: dict[str, Callable[[Body], Done | None]] = {
    "task": _task,
    "entry": _entry,
    "event": _event,
    "config": _config,
    "registry": lambda body: (IMPORT, {"imported": 1, "id": str(body["id"])}),
    "review": lambda body: (
        "hold.release", {"task": str(body["task"]), "disposition": str(body["disposition"])}
    ),
    "batch": lambda body: (f"batch.{body['action']}", {"batch": str(body["batch"])}),
    "control": lambda body: ("control.assess", {"task": str(body["task"])}),
    "chart": _chart,
    "lookback": lambda body: (f"lookback.{body['action']}", {"lookback": str(body["lookback"])}),
    "alarm": lambda body: (
        f"alarm.{body['deed']}", {"alarm": str(body["alarm"]), "step": REACHED[body["deed"]]}
    ),
}  # fmt: skip
"""Kind of a record to what tells the command that it is of."""


def merged(known: Answer, record: Record, done: Done) -> None:
    """Add a further record of the same command: an import is many, appended in one go."""
    if known.command == done[0] == IMPORT:
        known.seqs = [known.seqs[0], record.seq]
        known.result = {**known.result, "imported": int(known.result["imported"]) + 1}


def remember(state: State, settings: ElementsSettings, record: Record) -> None:
    """Keep what the command behind a record did; the oldest gives way to the newest."""
    asked = keyed(record)
    done = None if asked is None else answer_of(record)
    if asked is None or done is None:
        return
    answers, key = state.answers, answer_key(*asked)
    known = answers.get(key)
    if known is not None:
        merged(known, record, done)
    else:
        answers[key] = Answer(done[0], [record.seq, record.seq], done[1])
    while len(answers) > settings.recent_keys:
        del answers[next(iter(answers))]
