"""The memory of one instrument: parameters and carried state of every channel of its layout in force."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.qc.memory import HEAD_BLOCKS, HEAD_ENABLED, HEAD_REQUIRED, HEAD_TEXT, OUT_OLDEST
from pipeline.qc.table import BY_NAME, FUTURE, RULES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from pipeline.qc.rule import Parameter, Rule
    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Channel, Layout


class Saved(NamedTuple):
    """State of one rule of one channel, outside of the memory."""

    key: str
    """Rule version, parameters and unit; state is taken up only by an equal key."""
    state: bytes
    """int64[state slots + ring slots], little-endian."""


_HEAD_SLOTS = HEAD_BLOCKS + len(RULES)
_WITH_STATE = tuple(rule for rule in RULES if rule.state)

SavedChannels = dict[str, dict[str, Saved]]
"""Channel to rule to state."""


class Pending(NamedTuple):
    """A row whose verdict by a future rule will not come any more."""

    rule: str
    channel: str
    n: int


class _Block(NamedTuple):
    """Where one rule of one channel lies in the memory."""

    rule: Rule
    channel: Channel
    parameters: tuple[Parameter, ...]
    at: int

    @property
    def state(self) -> slice:
        """Slots of the state, rings included."""
        first = self.at + self.rule.parameters
        return slice(first, first + self.rule.state + self.rule.rings(self.parameters))

    @property
    def key(self) -> str:
        """What must be equal for a saved state to be taken up."""
        if self.rule.survives:
            return _key(self.rule.name, self.rule.version, "", "", ())
        return _key(self.rule.name, self.rule.version, self.channel.kind, self.channel.unit, self.parameters)


@lru_cache(maxsize=4096)  # the channels of an instrument mostly share their limits
def _key(name: str, version: int, kind: str, unit: str, parameters: tuple[Parameter, ...]) -> str:
    return hashlib.sha256(f"{name} {version} {kind} {unit} {parameters!r}".encode()).hexdigest()[:32]


class Plan:
    """What the driver needs to know of one instrument, ready made, so that a call builds nothing.

    No object is kept for each channel and rule: at 100,000 channels they would outweigh the state.

    Attributes:
        layout: the layout in force.
        names: channel names in the order of the layout.
        floats, ints: the memory as float64[slots] and int64[slots].
        heads: int64[c], slot of each channel's head.
        enabled, required: int64[c], bits of the rules that are on, and that are required, by channel.
        future: rules that need the future and are on for at least one channel, each with the slot of the
            scratch that tells its oldest pending row.
        pending_max: upper bound of the rows that all future rules together may still have to decide.
        plain: all channels are float64, so that the block's own matrix can be used.
        n_last: ordinal of the last row seen, -1 for none.
        decided: rule to the last `decided_through_n` that was handed out.
    """

    def __init__(self, layout: Layout, rules: Mapping[str, ChannelQc], interval_s: float) -> None:
        """Lay out the memory for the channels; all state begins empty."""
        self.layout = layout
        self.names = tuple(channel.name for channel in layout.channels)
        self.plain = layout.counts["f8"] == len(layout.channels)
        self.n_last = -1
        self.decided: dict[str, int] = {}
        self._rules = rules
        self._interval_s = interval_s
        self.heads = np.zeros(len(layout.channels), dtype=np.int64)
        self.enabled = np.zeros(len(layout.channels), dtype=np.int64)
        self.required = np.zeros(len(layout.channels), dtype=np.int64)
        blocks, slots = self._place()
        self.ints = np.zeros(slots, dtype=np.int64)
        self.floats = self.ints.view(np.float64)
        self._fill(blocks)
        self.pending_max = sum(
            block.rule.rings(block.parameters) if block.rule.pending_ring else 1
            for block in blocks
            if block.rule.future
        )
        everywhere = int(np.bitwise_or.reduce(self.enabled, initial=0))
        self.future = tuple(
            (rule, OUT_OLDEST + k) for k, rule in enumerate(FUTURE) if everywhere >> rule.bit & 1
        )

    def _place(self) -> tuple[list[_Block], int]:
        """Find a place for every head and block; return the blocks and the number of slots."""
        blocks, at = [], 0
        for position, channel in enumerate(self.layout.channels):
            self.heads[position] = at
            at += _HEAD_SLOTS
            for rule in RULES:
                parameters = self._parameters(rule, channel.name)
                if parameters is not None:
                    blocks.append(_Block(rule, channel, parameters, at))
                    at = blocks[-1].state.stop
        return blocks, at

    def _parameters(self, rule: Rule, channel: str) -> tuple[Parameter, ...] | None:
        settings = rule.settings_of(self._rules.get(channel))
        return None if settings is None and rule.table else rule.encode(settings, self._interval_s)

    def _fill(self, blocks: list[_Block]) -> None:
        """Write heads and parameters."""
        for block in blocks:
            position, bit = self.layout.index[block.channel.name], block.rule.bit
            settings = block.rule.settings_of(self._rules.get(block.channel.name))
            self.enabled[position] |= 1 << bit
            if settings is None or settings.required:
                self.required[position] |= 1 << bit
            self.ints[self.heads[position] + HEAD_BLOCKS + bit] = block.at
            local = block.rule.local(block.channel, self.layout, settings)
            for slot, value in enumerate((*local, *block.parameters), start=block.at):
                if isinstance(value, float):
                    self.floats[slot] = value
                else:
                    self.ints[slot] = value
        self.ints[self.heads + HEAD_ENABLED] = self.enabled
        self.ints[self.heads + HEAD_REQUIRED] = self.required
        self.ints[self.heads + HEAD_TEXT] = [channel.kind == "text" for channel in self.layout.channels]

    def _blocks(self, rules: Iterable[Rule]) -> Iterator[_Block]:
        """Go through the blocks of some rules again."""
        for rule in rules:
            for position in np.flatnonzero(self.enabled >> rule.bit & 1):
                channel = self.layout.channels[position]
                at = int(self.ints[self.heads[position] + HEAD_BLOCKS + rule.bit])
                yield _Block(rule, channel, self._parameters(rule, channel.name) or (), at)

    def save(self) -> SavedChannels:
        """Copy the state of every rule that has any; in one go, as acquisition waits meanwhile."""
        saved: SavedChannels = {channel.name: {} for channel in self.layout.channels}
        memory = self.ints.tobytes()
        for rule in _WITH_STATE:
            # Channels with the same settings have the same key, and their state lies alike.
            alike: dict[tuple[int, str, str], tuple[str, int, int]] = {}
            starts = self.ints[self.heads + (HEAD_BLOCKS + rule.bit)].tolist()
            for position in np.flatnonzero(self.enabled >> rule.bit & 1).tolist():
                channel, at = self.layout.channels[position], starts[position]
                group = id(self._rules.get(channel.name)), channel.kind, channel.unit
                if group not in alike:
                    block = _Block(rule, channel, self._parameters(rule, channel.name) or (), at)
                    alike[group] = block.key, block.state.start - at, block.state.stop - at
                key, first, stop = alike[group]
                saved[channel.name][rule.name] = Saved(key, memory[8 * (at + first) : 8 * (at + stop)])
        return {name: rules for name, rules in saved.items() if rules}

    def load(self, saved: SavedChannels) -> list[Pending]:
        """Take up the state of rules that have not changed; return the pending rows of those that have."""
        left = {name: dict(rules) for name, rules in saved.items()}
        for block in self._blocks(_WITH_STATE):
            found = left.get(block.channel.name, {}).get(block.rule.name)
            room = 8 * (block.state.stop - block.state.start)
            if found is not None and found.key == block.key and len(found.state) == room:
                self.ints[block.state] = np.frombuffer(found.state, dtype="<i8")
                del left[block.channel.name][block.rule.name]
        return pending_of(left)

    def forget(self, *, future_only: bool) -> list[Pending]:
        """Empty the state of the rules that need the future, or of all; return the rows that were pending."""
        pending = self.pending()
        for block in self._blocks(FUTURE if future_only else _WITH_STATE):
            self.ints[block.state] = 0
        return pending

    def pending(self) -> list[Pending]:
        """List the rows that a future rule has not decided yet."""
        return [
            Pending(block.rule.name, block.channel.name, n)
            for block in self._blocks(FUTURE)
            for n in _pending_rows(block.rule, self.ints[block.state])
        ]


def _pending_rows(rule: Rule, state: NDArray[np.int64]) -> list[int]:
    """Read the ordinals of the pending rows from the state of a future rule."""
    if not rule.pending_ring:
        return [int(state[0]) - 1] if state[0] else []
    count, places, oldest = (int(slot) for slot in state[1:4])
    return [int(state[rule.state + (oldest + k) % places]) for k in range(count)]


def pending_of(saved: SavedChannels) -> list[Pending]:
    """List the pending rows of saved states."""
    future = {rule.name for rule in FUTURE}
    return [
        Pending(rule, channel, n)
        for channel, rules in saved.items()
        for rule, one in rules.items()
        if rule in future
        for n in _pending_rows(BY_NAME[rule], np.frombuffer(one.state, dtype="<i8"))
    ]
