"""The memory of one instrument: parameters and carried state of every channel of its layout in force."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.qc.memory import HEAD_BLOCKS, HEAD_ENABLED, HEAD_REQUIRED, HEAD_TEXT, OUT_OLDEST
from pipeline.qc.table import FUTURE, RULES, Parameter, Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Channel, Layout


class Saved(NamedTuple):
    """State of one rule of one channel, outside of the memory."""

    key: str
    """Rule version, parameters and unit; state is taken up only by an equal key."""
    state: bytes
    """int64[state slots + ring slots], little-endian."""

    @property
    def pending(self) -> int | None:
        """Ordinal of the row that a future rule has not decided yet."""
        first = int.from_bytes(self.state[:8], "little")
        return first - 1 if first else None


_HEAD_SLOTS = HEAD_BLOCKS + len(RULES)

SavedChannels = dict[str, dict[str, Saved]]
"""Channel to rule to state."""


class Pending(NamedTuple):
    """A row whose verdict by a future rule will not come any more."""

    rule: str
    channel: str
    n: int


class _Block(NamedTuple):
    """Where one rule of one channel lies in the memory, and the key of its state."""

    rule: Rule
    channel: str
    parameters: tuple[Parameter, ...]
    at: int
    key: str

    @property
    def state(self) -> slice:
        """Slots of the state, rings included."""
        first = self.at + self.rule.parameters
        return slice(first, first + self.rule.state + self.rule.rings(self.parameters))


def _key(rule: Rule, parameters: tuple[Parameter, ...], channel: Channel) -> str:
    shown = f"{rule.name} {rule.version} {channel.kind} {channel.unit} {parameters!r}"
    return hashlib.sha256(shown.encode()).hexdigest()[:32]


class Plan:
    """What the driver needs to know of one instrument, ready made, so that a call builds nothing.

    Attributes:
        layout: the layout in force.
        names: channel names in the order of the layout.
        floats, ints: the memory as float64[slots] and int64[slots].
        heads: int64[c], slot of each channel's head.
        enabled, required: int64[c], bits of the rules that are on, and that are required, by channel.
        future: rules that need the future and are on for at least one channel, each with the slot of the
            scratch that tells its oldest pending row.
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
        self._blocks: list[_Block] = []
        heads, slots = [], 0
        for channel in layout.channels:
            heads.append(slots)
            slots = self._lay_out(channel, rules.get(channel.name), interval_s, slots + _HEAD_SLOTS)
        self.heads = np.array(heads, dtype=np.int64)
        self.enabled = np.zeros(len(heads), dtype=np.int64)
        self.required = np.zeros(len(heads), dtype=np.int64)
        self.ints = np.zeros(slots, dtype=np.int64)
        self.floats = self.ints.view(np.float64)
        self._fill(rules)
        on = {block.rule.name for block in self._blocks}
        self.future = tuple((rule, OUT_OLDEST + k) for k, rule in enumerate(FUTURE) if rule.name in on)

    def _lay_out(self, channel: Channel, qc: ChannelQc | None, interval_s: float, at: int) -> int:
        """Place the blocks of one channel from slot `at`; return the first free slot behind them."""
        for rule in RULES:
            settings = rule.settings_of(qc)
            parameters = rule.encode(settings, interval_s) if settings is not None or not rule.table else None
            if parameters is not None:
                block = _Block(rule, channel.name, parameters, at, _key(rule, parameters, channel))
                self._blocks.append(block)
                at = block.state.stop
        return at

    def _fill(self, rules: Mapping[str, ChannelQc]) -> None:
        """Write heads and parameters."""
        for block in self._blocks:
            position, bit = self.layout.index[block.channel], block.rule.bit
            settings = block.rule.settings_of(rules.get(block.channel))
            self.enabled[position] |= 1 << bit
            if settings is None or settings.required:
                self.required[position] |= 1 << bit
            self.ints[self.heads[position] + HEAD_BLOCKS + bit] = block.at
            for slot, value in enumerate(block.parameters, start=block.at):
                if isinstance(value, float):
                    self.floats[slot] = value
                else:
                    self.ints[slot] = value
        self.ints[self.heads + HEAD_ENABLED] = self.enabled
        self.ints[self.heads + HEAD_REQUIRED] = self.required
        self.ints[self.heads + HEAD_TEXT] = [channel.kind == "text" for channel in self.layout.channels]

    def save(self) -> SavedChannels:
        """Copy the state of every rule that has any."""
        saved: SavedChannels = {}
        for block in self._blocks:
            if block.rule.state:
                state = self.ints[block.state].astype("<i8").tobytes()
                saved.setdefault(block.channel, {})[block.rule.name] = Saved(block.key, state)
        return saved

    def load(self, saved: SavedChannels) -> list[Pending]:
        """Take up the state of rules that have not changed; return the pending rows of those that have."""
        left = {name: dict(rules) for name, rules in saved.items()}
        for block in self._blocks:
            found = left.get(block.channel, {}).get(block.rule.name)
            room = 8 * (block.state.stop - block.state.start)
            if found is not None and found.key == block.key and len(found.state) == room:
                self.ints[block.state] = np.frombuffer(found.state, dtype="<i8")
                del left[block.channel][block.rule.name]
        return pending_of(left)

    def forget(self, *, future_only: bool) -> list[Pending]:
        """Empty the state of the rules that need the future, or of all; return the rows that were pending."""
        pending = self.pending()
        for block in self._blocks:
            if block.rule.future or not future_only:
                self.ints[block.state] = 0
        return pending

    def pending(self) -> list[Pending]:
        """List the rows that a future rule has not decided yet, the oldest of each rule and channel."""
        return [
            Pending(block.rule.name, block.channel, int(self.ints[block.state.start]) - 1)
            for block in self._blocks
            if block.rule.future and self.ints[block.state.start] != 0
        ]


def pending_of(saved: SavedChannels) -> list[Pending]:
    """List the pending rows of saved states."""
    future = {rule.name for rule in FUTURE}
    return [
        Pending(rule, channel, state.pending)
        for channel, rules in saved.items()
        for rule, state in rules.items()
        if rule in future and state.pending is not None
    ]
