"""From records to rows: what each ledger record changes in the index."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from pipeline.elements.answers import answer_of, keyed, merged
from pipeline.elements.state import Answer
from pipeline.elements.vocabulary import DISPOSED, ELEMENTS, sum_up
from pipeline.ledger.rows import TaskRow

if TYPE_CHECKING:
    import sqlite3

    from pipeline.elements.vocabulary import Disposition, TaskPhase
    from pipeline.records.envelope import Body, Record

_COLUMNS = ", ".join(TaskRow._fields)
_MARKS = ", ".join("?" * len(TaskRow._fields))
_SET = ", ".join(f"{name} = ?" for name in TaskRow._fields)
_AMENDED = ("sample", "item", "clause", "attempt")
_TASK_KINDS = frozenset({"task", "verdict", "result", "review"})


def task_of(record: Record) -> str | None:
    """Tell which task a ledger record speaks of; None for one that speaks of none."""
    body = record.body
    task = body.get("task")
    if task is None and record.kind == "event":
        args = body.get("args")
        task = args.get("task") if isinstance(args, dict) else None
    return task if isinstance(task, str) else None


def find_answer(connection: sqlite3.Connection, person: str, key: str) -> Answer | None:
    """Find what a command did; None for a key that its person has not used."""
    found = connection.execute(
        "SELECT command, first_seq, last_seq, result FROM answer WHERE person = ? AND key = ?", (person, key)
    ).fetchone()
    return None if found is None else Answer(found[0], [found[1], found[2]], json.loads(found[3]))


class Drawing:
    """The rows that a batch of records touches: read once, changed in memory, written once.

    A body that cannot be read changes nothing: the elements have made an event of it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}

    def take(self, record: Record) -> None:
        """Draw from one record."""
        self._answer(record)
        task = task_of(record)
        if task is None:
            return
        try:
            known = self._known(task)
            if known is None and record.kind == "task" and record.body.get("action") == "start":
                known = self._start(task, record)
            if known is None:
                return
            identifier, row = known
            if record.kind in _TASK_KINDS or record.kind == "event":
                self._change(identifier, row, record)
        except (KeyError, TypeError, ValueError, AttributeError):
            return
        self._connection.execute("INSERT OR IGNORE INTO mention VALUES (?, ?)", (identifier, record.seq))

    def _answer(self, record: Record) -> None:
        """Note what the command behind a record did, under its person and idempotency key."""
        asked = keyed(record)
        if asked is None:
            return
        try:
            done = answer_of(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            return
        if done is None:
            return
        known = find_answer(self._connection, *asked)
        if known is None:
            known = Answer(done[0], [record.seq, record.seq], done[1])
        else:
            merged(known, record, done)
        first, last = known.seqs
        self._connection.execute(
            "INSERT OR REPLACE INTO answer VALUES (?, ?, ?, ?, ?, ?)",
            (*asked, known.command, first, last, json.dumps(known.result)),
        )

    def write(self) -> None:
        """Write the rows that were touched."""
        for identifier, row in self._rows.values():
            disposition = cast("Disposition | None", row["disposition"] or None)
            row["final"] = int(_is_final(row["elements"]))
            row["overall"] = sum_up(
                cast("TaskPhase", row["phase"]), disposition, held=bool(row["held"]), final=bool(row["final"])
            )
            values = [
                json.dumps(value) if isinstance(value, list | dict) else value for value in row.values()
            ]
            self._connection.execute(f"UPDATE task SET {_SET} WHERE id = ?", [*values, identifier])  # noqa: S608

    def _known(self, task: str) -> tuple[int, dict[str, Any]] | None:
        if task not in self._rows:
            found = self._connection.execute(
                f"SELECT id, {_COLUMNS} FROM task WHERE task = ?",  # noqa: S608 - names of our columns
                (task,),
            ).fetchone()
            if found is None:
                return None
            row = TaskRow._make(found[1:])._asdict()
            for name in ("instruments", "operators", "held", "elements", "results", "links"):
                row[name] = json.loads(row[name])
            self._rows[task] = int(found[0]), row
        return self._rows[task]

    def _start(self, task: str, record: Record) -> tuple[int, dict[str, Any]]:
        body = record.body
        bindings = [(each["role"], each["target"], each["from_run_ns"], each["to_run_ns"])
                    for each in body["bindings"]]  # fmt: skip
        row = {
            "task": task, "start_seq": record.seq, "purpose": body["purpose"], "sample": body["sample"],
            "item": body["item"], "clause": body["clause"], "method": body["method"],
            "edition": body["edition"], "batch": body["batch"], "attempt": body["attempt"],
            "instruments": list(body["instruments"]),
            "operators": [target for role, target, *_ in bindings if role == "operator"],
            "phase": "running", "overall": "provisional", "final": 0, "held": [], "elements": {},
            "results": [], "links": [], "disposition": "", "abort_reason": "",
            "started_utc_ns": body["at_utc_ns"],
            "started_run_ns": body["at_run_ns"], "ended_utc_ns": None, "ended_run_ns": None,
        }  # fmt: skip
        values = _stored(row)
        identifier = self._connection.execute(
            f"INSERT INTO task ({_COLUMNS}) VALUES ({_MARKS})",  # noqa: S608 - names of our columns
            values,
        ).lastrowid
        if identifier is None:
            raise ValueError("SQLite gave no id")
        self._rows[task] = identifier, row
        parts = [*bindings, *(("instrument", name, body["at_run_ns"], None) for name in row["instruments"])]
        if body["sample"] is not None:
            parts.append(("sample", body["sample"], body["at_run_ns"], None))
        self._add_parts(identifier, parts)
        return self._rows[task]

    def _add_parts(self, identifier: int, parts: list[tuple[str, str, int, int | None]]) -> None:
        self._connection.executemany(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?)", [(identifier, *part) for part in parts]
        )

    def _change(self, identifier: int, row: dict[str, Any], record: Record) -> None:
        body = record.body
        if record.kind == "task":
            self._act(identifier, row, body)
        elif record.kind == "verdict":
            row["elements"][body["element"]] = [body["status"], body["finality"], record.seq]
        elif record.kind == "result":
            _put_result(row["results"], record)
        elif record.kind == "review":
            row["held"] = []
            if body["disposition"] in DISPOSED:
                row["disposition"] = body["disposition"]
        elif record.kind == "event" and body.get("code") == "element-held":
            element = body["args"]["element"]
            if element not in row["held"]:
                row["held"].append(element)

    def _act(self, identifier: int, row: dict[str, Any], body: Body) -> None:
        action = body.get("action")
        if action == "bind":
            self._bind(identifier, row, body["binding"])
        elif action == "handover":
            self._connection.execute(
                "UPDATE part SET to_run_ns = ? WHERE id = ? AND role = 'operator' AND to_run_ns IS NULL",
                (body["at_run_ns"], identifier),
            )
            self._bind(
                identifier, row,
                {"role": "operator", "target": body["operator"], "from_run_ns": body["at_run_ns"]},
            )  # fmt: skip
        elif action in {"stop", "abort"}:
            row["phase"] = "stopped" if action == "stop" else "aborted"
            row["ended_utc_ns"], row["ended_run_ns"] = body["at_utc_ns"], body["at_run_ns"]
            if action == "abort":
                row["abort_reason"], row["held"] = body["reason"], []
        elif action == "link":
            self._connection.execute(
                "INSERT INTO link VALUES (?, ?, ?)", (body["system"], body["external_id"], identifier)
            )
            row["links"].append([body["system"], body["external_id"]])
        elif action == "amend":
            self._amend(identifier, row, body)

    def _bind(self, identifier: int, row: dict[str, Any], binding: Body) -> None:
        role, target = binding["role"], binding["target"]
        self._add_parts(identifier, [(role, target, binding["from_run_ns"], binding.get("to_run_ns"))])
        if role == "operator":
            row["operators"].append(target)

    def _amend(self, identifier: int, row: dict[str, Any], body: Body) -> None:
        for name in _AMENDED:
            if body.get(name) is not None:
                row[name] = body[name]
        if body.get("sample") is not None:
            self._add_parts(identifier, [("sample", body["sample"], row["started_run_ns"], None)])


def _put_result(results: list[list[Any]], record: Record) -> None:
    """Note a result, in the place of the one that it supersedes."""
    body = record.body
    told = [body["quantity"], body["value"], body["unit"], record.seq]
    places = [place for place, known in enumerate(results) if known[3] == body.get("supersedes")]
    if places:
        results[places[0]] = told
    else:
        results.append(told)


def _stored(row: dict[str, Any]) -> list[Any]:
    return [json.dumps(value) if isinstance(value, list | dict) else value for value in row.values()]


def _is_final(elements: dict[str, list[str]]) -> bool:
    return all(element in elements and elements[element][1] == "final" for element in ELEMENTS)
