"""Whether a file tells the whole story: what its verdicts rest on, without a gap in the rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgpack

from pipeline.evidence.findings import Refused

if TYPE_CHECKING:
    from pipeline.evidence.findings import Checked

CITING = frozenset({"verdict", "result", "review"})
"""Kinds of a task whose cited records must be in the file."""

CHANGING = frozenset({"key", "witness-key"})
"""Kinds in which the log's key, or a witness's, names its successor."""


class Story:
    """Whether what was left out of the file is missing from it."""

    def __init__(self, task: str, checked: Checked) -> None:
        self._task = task
        self._checked = checked
        self._cited: dict[int, int] = {}
        self._rows: dict[str, int] = {}
        self._changes: dict[int, Any] = {}
        self._start: int | None = None
        self._ended = False

    def take(self, seq: int, kind: str, body: dict[str, Any]) -> None:
        """Take the next record, whose bytes are those that were sealed."""
        if kind in CHANGING:
            self._changes[seq] = body.get("note")
        own = body.get("task") == self._task
        if own and kind == "task" and body.get("action") == "start":
            self._start = seq
        if own and kind in CITING:
            self._cited.update(dict.fromkeys(citations(body), seq))
            self._ended = self._ended or body.get("finality") == "final"
        if kind == "data" and self._start is not None and not self._ended:
            instrument, n = str(body["instrument"]), int(body["n"])
            if self._rows.get(instrument, n) != n:
                gap = f"{self._rows[instrument]} to {n - 1}"
                self._checked.add(f"rows {gap} of {instrument} are missing before this record", seq)
            self._rows[instrument] = n + int(body["rows"])

    def end(self, there: set[int], changes: list[Any]) -> None:
        """Say what is missing; `changes` of keys (seq, note) must be records themselves."""
        for seq, note in changes:
            if self._changes.get(seq) != note:
                self._checked.add("the log does not say here that a key was changed as in the header", seq)
        if self._start is None:
            self._checked.add(f"the start of task {self._task!r} is not in the file")
        for seq in sorted(set(self._cited) - there):
            self._checked.add(f"missing, although the record of seq {self._cited[seq]} rests on it", seq)


def opened(data: bytes, seq: int) -> tuple[str, bytes, int, dict[str, Any]]:
    """Read a record: kind, journal, seq, body. Raises Refused."""
    try:
        _, kind, _, journal, _, _, own_seq, _, _, _, _, body = msgpack.unpackb(data, strict_map_key=False)
        body.get("task"), kind != "data" or (body["instrument"], int(body["n"]), int(body["rows"]))
    except (ValueError, TypeError, LookupError, AttributeError, msgpack.UnpackException) as error:
        raise Refused(f"sealed, but no record that this program knows: {error}", seq) from error
    return kind, journal, own_seq, body


def citations(body: object, depth: int = 32) -> set[int]:
    """Collect the seqs that a body names: values of keys such as `seqs`, `cause_seq`, `supersedes`."""
    found: set[int] = set()
    if not depth:
        return found
    inner = body.items() if isinstance(body, dict) else enumerate(body if isinstance(body, list) else ())
    for key, value in inner:
        if re.fullmatch("seq|seqs|seq_.*|.*_seqs?|supersedes|verdicts|results", str(key)):
            listed = value if isinstance(value, list) else [value]
            found.update(one for one in listed if type(one) is int and one >= 0)
        found |= citations(value, depth - 1)
    return found
