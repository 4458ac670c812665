"""Sets of integers kept as sorted, disjoint, inclusive ranges: what is receipted, what is stored."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last member, both included."""


class RangeSet:
    """A mutable set of integers; memory grows with the number of holes, not of members."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        """Start from any ranges, overlapping or not."""
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add every integer from `first` to `last` (default: only `first`)."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"range {first}..{last} is empty")
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        if low < high:
            first = min(first, self._firsts[low])
            last = max(last, self._lasts[high - 1])
        self._firsts[low:high] = [first]
        self._lasts[low:high] = [last]

    def remove(self, number: int) -> None:
        """Take one integer out; one that is no member changes nothing."""
        position = bisect_right(self._firsts, number) - 1
        if position < 0 or number > self._lasts[position]:
            return
        first, last = self._firsts[position], self._lasts[position]
        left = [(low, high) for low, high in ((first, number - 1), (number + 1, last)) if low <= high]
        self._firsts[position : position + 1] = [low for low, _ in left]
        self._lasts[position : position + 1] = [high for _, high in left]

    def update(self, ranges: Iterable[Range]) -> None:
        """Add several ranges."""
        for first, last in ranges:
            self.add(first, last)

    def __contains__(self, number: int) -> bool:
        """Tell whether one integer is a member."""
        position = bisect_right(self._firsts, number) - 1
        return position >= 0 and number <= self._lasts[position]

    def covers(self, first: int, last: int) -> bool:
        """Tell whether every integer from `first` to `last` is a member."""
        position = bisect_right(self._firsts, first) - 1
        return position >= 0 and last <= self._lasts[position]

    def missing(self, first: int, last: int) -> list[Range]:
        """List the ranges between `first` and `last` that are not members."""
        holes, start = [], first
        for low, high in self:
            if high < start:
                continue
            if low > last:
                break
            if low > start:
                holes.append((start, low - 1))
            start = high + 1
        if start <= last:
            holes.append((start, last))
        return holes

    def __iter__(self) -> Iterator[Range]:
        """Iterate over the ranges in order."""
        return iter(zip(self._firsts, self._lasts, strict=True))

    def __len__(self) -> int:
        """Count the members."""
        return sum(last - first + 1 for first, last in self)

    def __eq__(self, other: object) -> bool:
        """Compare by members."""
        return isinstance(other, RangeSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        """Show the ranges."""
        return f"RangeSet({list(self)})"
