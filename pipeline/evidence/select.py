"""Which records belong to a task: what it did and rests on, and nothing of other tasks.

Taken are its own records; from its start to its final verdicts the readings, late flags, gaps and events of
its instruments, and the ticks; every record that a verdict, result or disposition cites; the configuration
and the registry entries in force that these records mention by id, and what those mention in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.evidence.story import CITING, citations
from pipeline.records.envelope import BULK_KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline.records import Record

OWN_KINDS = frozenset({"task", "result", "verdict", "review", "entry"})
WINDOW_KINDS = frozenset({"data", "flags", "gap", "reading", "event", "tick"})


class NoEvidenceError(Exception):
    """There is nothing to make evidence of; the message says what to do."""


class NotSealedError(NoEvidenceError):
    """Nothing has sealed so much of the log yet; the next checkpoint does, within seconds."""


class Source(Protocol):
    """The records of one journal, wherever they are kept."""

    journal: bytes

    def record(self, seq: int) -> Record | None:
        """Return one record; None when it is not here."""
        ...

    def after(self, seq: int, kinds: Collection[str]) -> Iterator[Record]:
        """Go through the records of some kinds behind `seq`, in order."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """Return a node of the Merkle tree. Raises HashGoneError when a record below it is not here."""
        ...


@dataclass(slots=True)
class Selected:
    """The records of a task, as far as it goes today."""

    task: str
    start_seq: int
    seqs: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)
    """Cited, and not kept here any more."""
    final: bool = False


def select(source: Source, task: str) -> Selected:
    """Choose the records of a task.

    Raises:
        NoEvidenceError: there is no such task here.
    """
    start = next((r for r in source.after(-1, {"task"}) if _is_start(r, task)), None)
    if start is None:
        raise NoEvidenceError(f"no task {task!r} has begun here; see: yaosu task list")
    found = Selected(task, start.seq)
    own = [r for r in source.after(start.seq - 1, OWN_KINDS) if r.body.get("task") == task]
    found.seqs.update(record.seq for record in own)
    found.final = any(r.kind == "verdict" and r.body.get("finality") == "final" for r in own)
    end, instruments = _end_of_window(own), _instruments(own)
    mentioned = _strings([record.body for record in own])
    for seq in {seq for record in own if record.kind in CITING for seq in citations(record.body)}:
        cited = source.record(seq)
        if cited is None:
            found.missing.add(seq)
            continue
        found.seqs.add(seq)
        mentioned |= _strings(cited.body) if cited.kind not in BULK_KINDS else set()
        if cited.kind == "data" and start.seq < seq <= end:
            instruments.add(str(cited.body["instrument"]))  # whole windows: no row in between is left out
    for record in source.after(start.seq, WINDOW_KINDS):
        if record.seq > end:
            break
        if record.kind == "tick" or _concerns(record.body, task, instruments):
            found.seqs.add(record.seq)
    last = max(found.seqs)
    found.seqs |= _registry(source, mentioned | instruments, last)
    found.seqs |= _configuration(source, start.seq, last)
    return found


def _is_start(record: Record, task: str) -> bool:
    return record.body.get("task") == task and record.body.get("action") == "start"


def _end_of_window(own: list[Record]) -> int:
    """Seq of the last of the verdicts that first were final; of the last record while there is none."""
    finals = [r.seq for r in own if r.kind == "verdict" and r.body.get("finality") == "final"]
    first: dict[str, int] = {}
    for record in own:
        if record.seq in finals:
            first.setdefault(str(record.body.get("element")), record.seq)
    return max(first.values(), default=own[-1].seq)


def _instruments(own: list[Record]) -> set[str]:
    """Instruments whose readings the task uses: its own, and those of bound channels and environments."""
    names: set[str] = set()
    for record in own:
        body = record.body
        names.update(str(name) for name in body.get("instruments", ()))
        bindings = [*body.get("bindings", ()), *([body["binding"]] if "binding" in body else [])]
        targets = [str(binding["target"]) for binding in bindings]
        facts = body.get("facts", {})
        targets += list(facts.get("channels", ()))
        names.update(target.rpartition(".")[0] for target in targets if "." in target)
    return names


def _concerns(body: dict[str, Any], task: str, instruments: set[str]) -> bool:
    args = body.get("args")
    if isinstance(args, dict) and "task" in args:
        return bool(args["task"] == task)
    return body.get("instrument") in instruments


def _strings(value: object) -> set[str]:
    """Collect every text in a body: any of them may be the id of an entry of the registry."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return {text for one in inner for text in _strings(one)}


def _registry(source: Source, mentioned: set[str], last: int) -> set[int]:
    entries = [record for record in source.after(-1, {"registry"}) if record.seq <= last]
    taken: set[int] = set()
    while True:
        fresh = [r for r in entries if r.seq not in taken and _is_mentioned(r.body, mentioned)]
        if not fresh:
            return taken
        taken.update(record.seq for record in fresh)
        mentioned = mentioned | _strings([record.body for record in fresh])


def _is_mentioned(body: dict[str, Any], mentioned: set[str]) -> bool:
    data = body.get("data")
    instrument = data.get("instrument") if isinstance(data, dict) else None
    return body.get("id") in mentioned or instrument in mentioned


def _configuration(source: Source, start_seq: int, last: int) -> set[int]:
    """The start and the application of a configuration that were in force, and changes since."""
    in_force: dict[bool, int] = {}
    changes: set[int] = set()
    for record in source.after(-1, {"config"}):
        if record.seq > last:
            break
        if record.seq < start_seq:
            in_force[record.body.get("action") == "apply"] = record.seq
        else:
            changes.add(record.seq)
    return changes | set(in_force.values())
