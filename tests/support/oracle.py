"""Hold what is stored against the simulators' own log of answers: truth that no part of the gateway made."""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.support.simulated import answers_of

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.store.door import Row

NEAR_NS = 1_500_000_000
"""An answer's row is stamped within this time of the answer: time-outs of the site are shorter."""


@dataclass
class Answer:
    """One answer that left a simulator with values."""

    t_utc_ns: int
    values: dict[str, Any]
    fault: str | None


@dataclass
class Findings:
    """Differences between log and store; all empty when they agree."""

    lost: list[str] = field(default_factory=list)
    """Answers without a row."""
    invented: list[str] = field(default_factory=list)
    """Values in a row that no answer carried."""
    matched: int = 0

    def __bool__(self) -> bool:
        return bool(self.lost or self.invented)


def good_answers(log: Path, channels: dict[str, set[str]]) -> dict[str, list[Answer]]:
    """By instrument: the answers that carried a value of a configured channel, in order."""
    answers: dict[str, list[Answer]] = defaultdict(list)
    for line in answers_of(log):
        wanted = channels.get(line["instrument"], set())
        values = {
            name: value
            for name, value in (line["values"] or {}).items()
            if name in wanted and value is not None
        }
        if line["answer"] is not None and values:
            answers[line["instrument"]].append(Answer(line["t_utc_ns"], values, line["fault"]))
    return answers


def same(one: Any, other: Any) -> bool:
    """Equal to the bit: 0.0 is not -0.0, and an integer is not a float."""
    if isinstance(one, float) and isinstance(other, float):
        return struct.pack("<d", one) == struct.pack("<d", other)
    return type(one) is type(other) and bool(one == other)


class _Taken:
    """Which channels of which rows have found their answer."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = sorted(rows, key=lambda row: row.t_utc_ns)
        self.times = [row.t_utc_ns for row in self.rows]
        self.channels: list[set[str]] = [set() for _ in self.rows]

    def nearest(self, answer: Answer) -> int | None:
        """The free row next in time whose values are the answer's."""
        centre = bisect_left(self.times, answer.t_utc_ns)
        best, best_ns = None, NEAR_NS
        for step in (1, -1):
            at = centre if step == 1 else centre - 1
            while 0 <= at < len(self.rows) and abs(self.times[at] - answer.t_utc_ns) < best_ns:
                if self._fits(at, answer):
                    best, best_ns = at, abs(self.times[at] - answer.t_utc_ns)
                    break
                at += step
        return best

    def _fits(self, at: int, answer: Answer) -> bool:
        row, taken = self.rows[at], self.channels[at]
        return all(
            name not in taken and same(row.values.get(name), value) for name, value in answer.values.items()
        )


def compare(answers: list[Answer], rows: list[Row], exempt: list[tuple[int, int]] | None = None) -> Findings:
    """Match every answer with one row, and every value of every row with one answer.

    Args:
        answers: of one instrument.
        rows: of the same, from the store.
        exempt: spans of UTC (ns) in which an answer may be lost: the last 500 ms before a kill.
    """
    findings, taken = Findings(), _Taken(rows)

    def excused(answer: Answer) -> bool:
        return any(first <= answer.t_utc_ns <= last for first, last in exempt or ())

    # Those that must be there first: one that may be lost would take the row of an equal one near by.
    for answer in sorted(answers, key=excused):
        at = taken.nearest(answer)
        if at is not None:
            taken.channels[at].update(answer.values)
            findings.matched += 1
        elif not excused(answer):
            findings.lost.append(f"{answer.t_utc_ns}: {answer.values} ({answer.fault})")
    answered = {name for answer in answers for name in answer.values}
    for row, channels in zip(taken.rows, taken.channels, strict=True):
        for name, value in row.values.items():
            measured = value is not None and not (isinstance(value, float) and math.isnan(value))
            if measured and name in answered and name not in channels:
                findings.invented.append(f"row {row.n} at {row.t_utc_ns}: {name} = {value!r}")
    return findings
