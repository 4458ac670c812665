"""What queries make of what stores hold: final flags, decimated series, counts. Pure; shared by all stores.

A *verdict* here is what a `flags` record says of one reading: it belongs to the row with that ordinal in that
journal, whatever epoch either was recorded in, and may be stored before the row.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.records.flags import SEVERITY, Flag
from pipeline.store.door import Counts, Series
from pipeline.store.schema import journal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pipeline.store.door import Row

POINTS_A_BUCKET = 4
"""First, last, least and greatest."""


class Verdict(NamedTuple):
    """A rule's flag for one reading, recorded after the row."""

    channel: str
    rule: str
    flag: int


Verdicts = dict[tuple[str, int], list[Verdict]]
"""(Journal part of the era, ordinal) to the verdicts about that row."""


class Part(NamedTuple):
    """Rows of one channel within one journal; all arrays have one entry per row."""

    journal: str
    t_ns: NDArray[np.int64]
    n: NDArray[np.int64]
    value: NDArray[np.float64]
    flag: NDArray[np.uint8]
    reason: NDArray[np.int64]
    corrected: NDArray[np.float64] | None = None


def worse(one: int, other: int) -> int:
    """Return the worse of two flags."""
    return one if SEVERITY[one] >= SEVERITY[other] else other


def fold_flags(flags: Mapping[str, int], verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return the final flags of a row's channels; verdicts about other channels are of no row."""
    final = dict(flags)
    for verdict in verdicts:
        if verdict.channel in final:
            final[verdict.channel] = worse(final[verdict.channel], verdict.flag)
    return final


def fold_rows(rows: Iterable[Row], verdicts: Verdicts) -> None:
    """Bring later verdicts into the flags of rows."""
    for row in rows:
        row.flags.update(fold_flags(row.flags, verdicts.get((journal_of(row.era), row.n), ())))


def by_channel(said: Iterable[Verdict]) -> dict[str, list[Verdict]]:
    """Sort the verdicts about a row by channel."""
    sorted_out: dict[str, list[Verdict]] = {}
    for verdict in said:
        sorted_out.setdefault(verdict.channel, []).append(verdict)
    return sorted_out


def _final_flags(
    parts: Sequence[Part], channel: str, verdicts: Verdicts, n: NDArray[np.int64], flag: NDArray[np.uint8]
) -> None:
    """Bring the verdicts about a channel into its flags; `n` and `flag` are those of all parts, joined."""
    worst: dict[str, dict[int, int]] = {}
    for (journal, ordinal), said in verdicts.items():
        for verdict in said:
            if verdict.channel == channel:
                of_journal = worst.setdefault(journal, {})
                of_journal[ordinal] = worse(verdict.flag, of_journal.get(ordinal, verdict.flag))
    for journal, of_journal in worst.items():
        own = np.repeat([part.journal == journal for part in parts], [len(part.n) for part in parts])
        judged = np.isin(n, np.fromiter(of_journal, dtype=np.int64, count=len(of_journal)))
        for position in np.flatnonzero(own & judged):
            flag[position] = worse(int(flag[position]), of_journal[int(n[position])])


def make_series(parts: Sequence[Part], channel: str, verdicts: Verdicts, points_max: int) -> Series:
    """Join, fold, sort by time and decimate the rows of one channel."""
    if not parts:
        empty = np.empty(0, dtype=np.int64)
        return Series(empty, empty.astype(np.float64), empty.astype(np.uint8), empty, decimated=False)
    t_ns = np.concatenate([part.t_ns for part in parts])
    n = np.concatenate([part.n for part in parts])
    flag = np.concatenate([part.flag for part in parts])
    _final_flags(parts, channel, verdicts, n, flag)
    keep = np.lexsort((n, t_ns))
    value = np.concatenate([part.value for part in parts])
    reason = np.concatenate([part.reason for part in parts])
    corrected = _corrected(parts)
    decimated = False
    if len(keep) > points_max:
        also = [] if corrected is None else [corrected[keep]]
        chosen = decimate(t_ns[keep], [value[keep], *also], flag[keep], points_max)
        decimated = len(chosen) < len(keep)
        keep = keep[chosen]
    if corrected is not None:
        corrected = corrected[keep]
    return Series(t_ns[keep], value[keep], flag[keep], reason[keep], decimated=decimated, corrected=corrected)


def _corrected(parts: Sequence[Part]) -> NDArray[np.float64] | None:
    if not any(part.corrected is not None and np.isfinite(part.corrected).any() for part in parts):
        return None
    return np.concatenate([
        np.full(len(part.n), np.nan) if part.corrected is None else part.corrected for part in parts
    ])  # fmt: skip


def decimate(
    t_ns: NDArray[np.int64], values: Sequence[NDArray[np.float64]], flag: NDArray[np.uint8], points_max: int
) -> NDArray[np.intp]:
    """Choose rows to draw: first, last, least, greatest of each bucket of time, and all that did not pass.

    Args:
        t_ns: int64[n], sorted, n >= 1.
        values: one or more float64[n], NaN where missing: least and greatest are kept of each.
        flag: uint8[n]: rows with another flag than 1 are all kept, beyond `points_max` if need be.
        points_max: how many rows the buckets may give.

    Returns:
        intp[k]: positions, ascending.
    """
    buckets = max(1, points_max // POINTS_A_BUCKET)
    width_ns = (int(t_ns[-1]) - int(t_ns[0])) // buckets + 1
    bucket = (t_ns - t_ns[0]) // width_ns
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    keep = flag != Flag.PASS
    keep[starts] = True
    keep[np.append(starts[1:], len(t_ns)) - 1] = True
    ordinal = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(t_ns))))
    for value in values:
        for extreme in (np.fmin.reduceat(value, starts), np.fmax.reduceat(value, starts)):
            positions = np.flatnonzero(value == extreme[ordinal])
            _, first = np.unique(ordinal[positions], return_index=True)
            keep[positions[first]] = True
    return np.flatnonzero(keep)


class Tally:
    """Counts of one instrument, gathered piece by piece."""

    def __init__(self) -> None:
        self._ordinals: dict[str, list[NDArray[np.int64]]] = {}
        self._rows = 0
        self._readings = 0
        self._flags: Counter[int] = Counter()
        self._reasons: Counter[int] = Counter()
        self._rules: Counter[str] = Counter()

    def add_rows(self, era: str, n: NDArray[np.int64], readings: int) -> None:
        """Add rows by their ordinals, and how many readings they have together."""
        if not len(n):
            return
        self._ordinals.setdefault(era, []).append(n)
        self._rows += len(n)
        self._readings += readings

    def add_flags(self, flags: NDArray[np.uint8]) -> None:
        """Add the rows' own flags; passes may be left out."""
        for flag, count in enumerate(np.bincount(flags.ravel()).tolist()):
            if count and flag != Flag.PASS:
                self._flags[flag] += count

    def add_reasons(self, masks: NDArray[np.int64]) -> None:
        """Add reason masks; empty ones may be left out."""
        fired = int(np.bitwise_or.reduce(masks, axis=None)) if masks.size else 0
        for bit in range(63):
            if fired >> bit & 1:
                self._reasons[bit] += int(np.count_nonzero(masks >> bit & 1))

    def add_verdicts(self, own: int, verdicts: Iterable[Verdict]) -> None:
        """Add what was said later of one reading whose own flag, added before, is `own`."""
        final = own
        for verdict in verdicts:
            final = worse(final, verdict.flag)
            if verdict.flag != Flag.PASS:
                self._rules[verdict.rule] += 1
        if final != own:
            self._flags[final] += 1
            if own != Flag.PASS:
                self._flags[own] -= 1

    @property
    def rows(self) -> int:
        """Rows so far."""
        return self._rows

    def counts(self) -> Counts:
        """Return the sums."""
        ordinals = {era: len(np.unique(np.concatenate(parts))) for era, parts in self._ordinals.items()}
        flags = {flag: count for flag, count in sorted(self._flags.items()) if count}
        passed = self._readings - sum(flags.values())
        return Counts(
            rows=self._rows,
            ordinals=dict(sorted(ordinals.items())),
            readings=self._readings,
            duplicates=self._rows - sum(ordinals.values()),
            flags={int(Flag.PASS): passed, **flags} if passed else flags,
            reasons=dict(sorted(self._reasons.items())),
            rules=dict(sorted(self._rules.items())),
        )


class Candidate(NamedTuple):
    """Where a row is."""

    era: str
    n: int
    t_ns: int


class Newest:
    """Finds an instrument's newest row: by ordinal within a journal, by time across journals."""

    def __init__(self) -> None:
        self._of_journal: dict[str, Candidate] = {}

    def offer(self, era: str, n: int, t_ns: int) -> None:
        """Take a row into account."""
        journal = journal_of(era)
        known = self._of_journal.get(journal)
        if known is None or (n, t_ns) > (known.n, known.t_ns):
            self._of_journal[journal] = Candidate(era, n, t_ns)

    @property
    def best(self) -> Candidate:
        """The newest of the rows offered (at least one)."""
        return max(self._of_journal.values(), key=lambda candidate: (candidate.t_ns, candidate.era))
