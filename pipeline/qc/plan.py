"""The memory of one instrument: parameters and carried state of every channel of its layout in force."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.qc.kept import KEY_BYTES, Kept, pack_index
from pipeline.qc.memory import (
    OUT_OLDEST,
    RUN_FIRST,
    RUN_SHAPE,
    RUN_SLOTS,
    RUN_STOP,
    RUNS,
    SHAPE_ENABLED,
    SHAPE_PLACES,
    SHAPE_REQUIRED,
)
from pipeline.qc.table import FUTURE, RULES
from pipeline.qc.uneven import is_uneven

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from pipeline.qc.rule import Parameter, Rule
    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Channel, Layout

_SHAPE_SLOTS = SHAPE_PLACES + 3 * len(RULES)
PLACES_MAX = 64
"""Layouts of rows without all channels that a plan remembers; of more, all are looked up anew."""
_BOUND = tuple(rule for rule in RULES if rule.layout_bound)


class _Place(NamedTuple):
    """What a rule of a channel keeps and where it lies; see `kept.pack_index`."""

    rule: str
    state_at: int
    state_slots: int
    ring_at: int
    ring_slots: int


class _Shape(NamedTuple):
    """How the memory of a channel is laid out."""

    driver: tuple[int, ...]
    """What the driver reads: enabled, required, text, and three places for each rule."""
    places: tuple[_Place, ...]
    """Of the rules that keep something."""
    states: int
    rings: int
    parameters: int
    """Slots of each; of the parameters, as a table of set-points may be of any length."""


class _Laid(NamedTuple):
    """One channel, laid out."""

    shape: _Shape
    parameters: tuple[int, ...]
    """Slots."""
    keys: bytes
    """Of each of the places, joined."""
    pending_max: int
    """Rows that may wait for later ones."""


class _Run:
    """Channels next to each other whose memory has the same shape."""

    def __init__(self, first: int, shape: _Shape) -> None:
        """Begin at a channel."""
        self.first, self.shape = first, shape
        self.channels: list[_Laid] = []

    def shared(self) -> list[tuple[int, ...]]:
        """Return the parameters to be kept: once where all channels have the same."""
        parameters = [channel.parameters for channel in self.channels]
        return parameters[:1] if len(set(parameters)) == 1 else parameters

    def keys(self, place: int) -> bytes:
        """Return the keys of one of the places: once where all channels have the same."""
        own = slice(KEY_BYTES * place, KEY_BYTES * (place + 1))
        keys = [channel.keys[own] for channel in self.channels]
        return keys[0] if len(set(keys)) == 1 else b"".join(keys)


@lru_cache(maxsize=4096)  # the channels of an instrument mostly share their limits
def _key(name: str, version: int, kind: str, unit: str, parameters: tuple[Parameter, ...]) -> bytes:
    return hashlib.sha256(f"{name} {version} {kind} {unit} {parameters!r}".encode()).digest()[:KEY_BYTES]


def _key_of(rule: Rule, channel: Channel, parameters: tuple[Parameter, ...]) -> bytes:
    """Return what must be equal for a saved state to be taken up."""
    if rule.survives:
        return _key(rule.name, rule.version, "", "", ())
    return _key(rule.name, rule.version, channel.kind, channel.unit, parameters)


def _slots(parameters: Iterable[Parameter]) -> list[int]:
    """Write parameters as int64 slots: a float by its bits."""
    return [
        struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else value
        for value in parameters
    ]


def _lay(channel: Channel, layout: Layout, qc: ChannelQc | None, interval_s: float) -> _Laid:
    """Lay out one channel."""
    own: list[int] = []
    bits = [0, 0, int(channel.kind == "text")]
    offsets = [0] * (3 * len(RULES))
    places: list[_Place] = []
    keys, states, rings, pending_max = b"", 0, 0, 0
    for rule in RULES:
        settings = rule.settings_of(qc)
        if settings is None and rule.table:
            continue
        parameters = rule.encode(settings, interval_s * channel.every)
        if parameters is None:
            continue
        bits[SHAPE_ENABLED] |= 1 << rule.bit
        if settings is None or settings.required:
            bits[SHAPE_REQUIRED] |= 1 << rule.bit
        begin = len(own)
        offsets[3 * rule.bit : 3 * rule.bit + 3] = begin, states, rings
        own += _slots((*rule.local(channel, layout, settings), *parameters))
        own += [0] * (begin + rule.parameters - len(own))
        ring_slots = rule.rings(parameters)
        if rule.state:
            places.append(_Place(rule.name, states, rule.state, rings, ring_slots))
            keys += _key_of(rule, channel, parameters)
        states, rings = states + rule.state, rings + ring_slots
        if rule.future:
            pending_max += ring_slots if rule.pending_ring else 1
    shape = _Shape((*bits, *offsets), tuple(places), states, rings, len(own))
    return _Laid(shape, tuple(own), keys, pending_max)


class Plan:
    """What the driver needs to know of one instrument, ready made, so that a call builds nothing.

    No object is kept for each channel and rule: at 100,000 channels they would outweigh the state.

    Attributes:
        layout: the layout in force.
        memory: int64[slots], all of it; floats stand in it by their bits.
        kept: the part of the memory that is carried from block to block.
        future: rules that need the future and are on for at least one channel, each with the slot of the
            scratch that tells its oldest pending row.
        pending_max: upper bound of the rows that all future rules together may still have to decide.
        plain: all channels are float64, so that the block's own matrix can be used.
        uneven: some channels are read more rarely than others, so that not every row has them all.
        n_last: ordinal of the last row seen, -1 for none.
        decided: rule to the last `decided_through_n` that was handed out.
        shape: channels and rows of the last block, for which room was made.
        masks_shape: shape of the two masks of such a block.
    """

    def __init__(self, layout: Layout, rules: Mapping[str, ChannelQc], interval_s: float) -> None:
        """Lay out the memory for the channels; all state begins empty."""
        self.layout = layout
        self.plain = layout.counts["f8"] == len(layout.channels)
        self.uneven = is_uneven(layout)
        self._places: dict[int, tuple[Layout, NDArray[np.intp]]] = {}
        self.n_last = -1
        self.decided: dict[str, int] = {}
        self.shape: tuple[int, ...] = ()
        self.masks_shape: tuple[int, ...] = ()
        runs = _runs(layout, rules, interval_s)
        self.pending_max = sum(channel.pending_max for run in runs for channel in run.channels)
        self.memory, kept_at, index = _written(layout, runs)
        self.kept = Kept(index, self.memory[kept_at:])
        everywhere = int(np.bitwise_or.reduce(self.enabled, initial=0))
        self.future = tuple(
            (rule, OUT_OLDEST + k) for k, rule in enumerate(FUTURE) if everywhere >> rule.bit & 1
        )

    def has(self, layout: Layout) -> bool:
        """Tell whether the channels of a row are some of the plan's."""
        try:
            self.places(layout)
        except KeyError:
            return False
        return True

    def places(self, layout: Layout) -> NDArray[np.intp]:
        """Say where the channels of a row lie among all of the instrument, intp[c].

        Raises:
            KeyError: the layout has a channel that the plan does not have so.
        """
        known = self._places.get(id(layout))
        if known is None or known[0] is not layout:
            for channel in layout.channels:
                if self.layout.channels[self.layout.index[channel.name]] != channel:
                    raise KeyError(channel.name)
            if len(self._places) >= PLACES_MAX:
                self._places.clear()
            found = np.array([self.layout.index[c.name] for c in layout.channels], dtype=np.intp)
            known = self._places[id(layout)] = layout, found
        return known[1]

    @property
    def enabled(self) -> NDArray[np.int64]:
        """int64[c]: bits of the rules that are on, by channel."""
        return self._of_channels(SHAPE_ENABLED)

    @property
    def required(self) -> NDArray[np.int64]:
        """int64[c]: bits of the rules that are required, by channel."""
        return self._of_channels(SHAPE_REQUIRED)

    def _of_channels(self, field: int) -> NDArray[np.int64]:
        runs = self.memory[RUNS : RUNS + RUN_SLOTS * self.memory[0]].reshape(-1, RUN_SLOTS)
        bits = self.memory[runs[:, RUN_SHAPE] + field]
        return np.repeat(bits, runs[:, RUN_STOP] - runs[:, RUN_FIRST])


def _runs(layout: Layout, rules: Mapping[str, ChannelQc], interval_s: float) -> list[_Run]:
    """Lay out the channels, equal ones once, and gather those of equal shape."""
    runs: list[_Run] = []
    equal: dict[Any, _Laid] = {}
    for position, channel in enumerate(layout.channels):
        qc = rules.get(channel.name)
        bound = any(rule.settings_of(qc) is not None for rule in _BOUND)
        what = (qc, channel if bound else (channel.kind, channel.unit, channel.every))
        laid = equal.get(what)
        if laid is None:
            laid = equal[what] = _lay(channel, layout, qc, interval_s)
        if not runs or runs[-1].shape != laid.shape:
            runs.append(_Run(position, laid.shape))
        runs[-1].channels.append(laid)
    return runs


def _written(layout: Layout, runs: list[_Run]) -> tuple[NDArray[np.int64], int, bytes]:
    """Find a place for everything, and write runs, shapes and parameters.

    Returns:
        The memory, the slot at which states and rings begin, and the index of these.
    """
    shapes = list(dict.fromkeys(run.shape.driver for run in runs))
    shapes_at = RUNS + RUN_SLOTS * len(runs)
    parameters_at = shapes_at + _SHAPE_SLOTS * len(shapes)
    own = [run.shared() for run in runs]
    kept_at = states_at = parameters_at + sum(len(slots) for shared in own for slots in shared)
    rings_at = states_at + sum(run.shape.states * len(run.channels) for run in runs)
    total = rings_at + sum(run.shape.rings * len(run.channels) for run in runs)
    memory = np.zeros(total, dtype=np.int64)
    memory[0] = len(runs)
    for number, shape in enumerate(shapes):
        memory[shapes_at + _SHAPE_SLOTS * number :][:_SHAPE_SLOTS] = shape
    index = []
    for number, (run, shared) in enumerate(zip(runs, own, strict=True)):
        count = len(run.channels)
        memory[RUNS + RUN_SLOTS * number :][:RUN_SLOTS] = [
            run.first, run.first + count, shapes_at + _SHAPE_SLOTS * shapes.index(run.shape.driver),
            parameters_at, 0 if len(shared) < count else run.shape.parameters,
            rings_at, run.shape.rings, states_at,
        ]  # fmt: skip
        index.append([
            [channel.name for channel in layout.channels[run.first : run.first + count]],
            states_at - kept_at, rings_at - kept_at, run.shape.rings,
            [[place.rule, run.keys(k), *place[1:]] for k, place in enumerate(run.shape.places)],
        ])  # fmt: skip
        for slots in shared:
            memory[parameters_at : parameters_at + len(slots)] = slots
            parameters_at += len(slots)
        states_at += run.shape.states * count
        rings_at += run.shape.rings * count
    return memory, kept_at, pack_index(index)
