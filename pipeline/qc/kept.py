"""What the rules of one instrument keep between blocks: one array, and the index that says what lies where.

The index is bytes, equal for equal rules on equal channels: a state that was saved under the same index is
taken up in one copy, and no object is kept for a channel or a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np

from pipeline.qc.table import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

KEY_BYTES = 12
"""Of a key: what must be equal for the state of a rule of a channel to be taken up."""


class Pending(NamedTuple):
    """A row whose verdict by a future rule will not come any more."""

    rule: str
    channel: str
    n: int


class Part(NamedTuple):
    """One rule of channels that lie next to each other."""

    rule: str
    channels: list[str]
    keys: bytes
    """`KEY_BYTES` for each channel, or once where all have the same."""
    states: NDArray[np.int64]
    """int64[channels, state slots], a view."""
    rings: NDArray[np.int64]
    """int64[channels, ring slots], a view."""

    def key(self, position: int) -> bytes:
        """Return the key of one channel of the part."""
        at = position * KEY_BYTES if len(self.keys) > KEY_BYTES else 0
        return self.keys[at : at + KEY_BYTES]

    def pending(self) -> Iterator[Pending]:
        """Go through the rows that wait for later ones."""
        if not BY_NAME[self.rule].future:
            return
        for position in np.flatnonzero(self.states[:, 0]):
            state, ring = self.states[position], self.rings[position]
            ordinals = [state[0] - 1]
            if BY_NAME[self.rule].pending_ring:
                count, places, oldest = state[1:4]
                ordinals = [ring[(oldest + k) % places] for k in range(count)]
            yield from (Pending(self.rule, self.channels[position], int(n)) for n in ordinals)


class Held:
    """The state as of one moment: copied when its turn comes, or when it is about to change."""

    def __init__(self, kept: Kept) -> None:
        self._kept: Kept | None = kept
        self._copy = b""
        self.nbytes = kept.slots.nbytes

    def copy(self) -> None:
        """Copy the state, which will change."""
        if self._kept is not None:
            self._copy, self._kept = self._kept.slots.tobytes(), None

    def take(self) -> bytes:
        """Return the state, and let go of it."""
        if self._kept is not None:
            self._kept.held.remove(self)
        self.copy()
        taken, self._copy = self._copy, b""
        return taken


class Kept:
    """States and rings of an instrument.

    Attributes:
        index: what lies where; see `pack_index`.
        slots: int64[all slots], states and rings.
        held: moments at which somebody wants to have the state; to be served by `keep` before it changes.
    """

    def __init__(self, index: bytes, slots: NDArray[np.int64]) -> None:
        self.index, self.slots = index, slots
        self.held: list[Held] = []

    def hold(self) -> Held:
        """Return the state of this moment, copied later."""
        held = Held(self)
        self.held.append(held)
        return held

    def keep(self) -> None:
        """Copy the state for those who want it as it is now."""
        for held in self.held:
            held.copy()
        self.held.clear()

    def parts(self) -> Iterator[Part]:
        """Go through the rules, channels of equal shape together.

        Raises:
            ValueError, TypeError, KeyError: the index does not fit the slots, or names no rule.
        """
        for channels, states_at, rings_at, ring_slots, rules in msgpack.unpackb(self.index):
            count = len(channels)
            rings = self.slots[rings_at : rings_at + count * ring_slots].reshape(count, ring_slots)
            for rule, keys, state_at, state_slots, ring_at, own_slots in rules:
                start = states_at + count * state_at
                states = self.slots[start : start + count * state_slots].reshape(count, state_slots)
                own_rings = rings[:, ring_at : ring_at + own_slots]
                yield Part(BY_NAME[rule].name, channels, keys, states, own_rings)

    def pending(self) -> list[Pending]:
        """List the rows that a future rule has not decided yet."""
        return [row for part in self.parts() for row in part.pending()]

    def forget(self, *, future_only: bool) -> list[Pending]:
        """Empty the state of the rules that need the future, or of all; return the rows that were pending."""
        self.keep()
        pending = self.pending()
        for part in self.parts():
            if BY_NAME[part.rule].future or not future_only:
                part.states[:] = part.rings[:] = 0
        return pending

    def load(self, saved: Kept) -> list[Pending]:
        """Take up the state of rules that have not changed; return the pending rows of those that have."""
        if saved.index == self.index:
            self.slots[:] = saved.slots
            return []
        left = {
            (part.rule, name): (part, position)
            for part in saved.parts()
            for position, name in enumerate(part.channels)
        }
        for part in self.parts():
            for position, name in enumerate(part.channels):
                old, at = left.get((part.rule, name), (part, -1))
                if at < 0 or old.key(at) != part.key(position) or old.rings.shape[1] != part.rings.shape[1]:
                    continue
                part.states[position], part.rings[position] = old.states[at], old.rings[at]
                del left[part.rule, name]
        return [row for row in saved.pending() if (row.rule, row.channel) in left]


def pack_index(runs: list[list[Any]]) -> bytes:
    """Write an index.

    Args:
        runs: for channels of equal shape next to each other their names, the slots at which states and rings
            of the first begin, ring slots of a channel, and a list for each rule with state: name, keys, slot
            behind the beginning of the states (times channels), state slots, slot behind the beginning of a
            channel's rings, ring slots.
    """
    packed: bytes = msgpack.packb(runs)
    return packed
