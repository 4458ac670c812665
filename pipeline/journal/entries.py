"""Where many records lie, in 32 bytes each: a segment has tens of thousands, and several are in memory."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, overload

import numpy as np

from pipeline.journal.framing import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = len(Entry._fields)


class Entries(Sequence[Entry]):
    """A list of entries that only grows."""

    __slots__ = ("_numbers",)

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        """Start from some entries."""
        self._numbers = array("q")
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry) -> None:
        """Add one at the end."""
        self._numbers.extend(entry)

    def extend(self, other: Entries) -> None:
        """Add those of another list at the end."""
        self._numbers.extend(other._numbers)

    @overload
    def __getitem__(self, key: int) -> Entry: ...

    @overload
    def __getitem__(self, key: slice) -> Entries: ...

    def __getitem__(self, key: int | slice) -> Entry | Entries:
        """Return one entry, or a copy of some that lie side by side."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                raise ValueError("entries are sliced without a step")
            part = Entries()
            part._numbers = self._numbers[_FIELDS * start : _FIELDS * stop]
            return part
        position = key + len(self) if key < 0 else key
        if not 0 <= position < len(self):
            raise IndexError(key)
        return Entry(*self._numbers[_FIELDS * position : _FIELDS * (position + 1)])

    def __iter__(self) -> Iterator[Entry]:
        """Go through them in order."""
        numbers = iter(self._numbers)
        return map(Entry, numbers, numbers, numbers, numbers)

    def __len__(self) -> int:
        """Count them."""
        return len(self._numbers) // _FIELDS

    def seqs(self) -> Sequence[int]:
        """Return only the seqs."""
        return self._numbers[::_FIELDS]

    def columns(self) -> dict[str, bytes]:
        """Return each field as little-endian int64, under its name and an s."""
        rows = np.array(self._numbers, dtype="<i8").reshape(-1, _FIELDS)
        return {f"{name}s": rows[:, at].tobytes() for at, name in enumerate(_NAMES)}

    @classmethod
    def of_columns(cls, columns: dict[str, bytes]) -> Entries:
        """Return what `columns` wrote. Raises KeyError, ValueError: it is something else."""
        rows = np.stack([np.frombuffer(columns[f"{name}s"], dtype="<i8") for name in _NAMES], axis=1)
        made = cls()
        made._numbers.frombytes(np.ascontiguousarray(rows, dtype=np.int64).tobytes())
        return made


_NAMES = ("seq", "durable", "offset", "end")
"""Names of the fields in an index, in the order of `Entry`."""
