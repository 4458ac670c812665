"""The memory of one instrument: parameters and carried state of every channel of its layout in force."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.qc.memory import OUT_OLDEST, RUN_RINGS, RUN_SHAPE, RUN_SLOTS, RUN_STATES, RUNS, SHAPE_PLACES
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
    state: slice
    rings: slice

    @property
    def key(self) -> str:
        """What must be equal for a saved state to be taken up."""
        if self.rule.survives:
            return _key(self.rule.name, self.rule.version, "", "", ())
        return _key(self.rule.name, self.rule.version, self.channel.kind, self.channel.unit, self.parameters)


@lru_cache(maxsize=4096)  # the channels of an instrument mostly share their limits
def _key(name: str, version: int, kind: str, unit: str, parameters: tuple[Parameter, ...]) -> str:
    return hashlib.sha256(f"{name} {version} {kind} {unit} {parameters!r}".encode()).hexdigest()[:32]


_SHAPE_SLOTS = SHAPE_PLACES + 3 * len(RULES)
PLACES_MAX = 64
"""Layouts of rows without all channels that a plan remembers; of more, all are looked up anew."""


class _Run:
    """Channels next to each other whose memory has the same shape."""

    def __init__(self, first: int, shape: tuple[int, ...], states: int, rings: int) -> None:
        """Begin at a channel; `states` and `rings`: slots of one channel."""
        self.first, self.shape, self.states, self.rings = first, shape, states, rings
        self.parameters: list[tuple[int, ...]] = []
        """Slots of each channel."""

    def fits(self, shape: tuple[int, ...], parameters: tuple[int, ...]) -> bool:
        """Tell whether a channel can be the next one: its table of set-points may be of another length."""
        return self.shape == shape and len(self.parameters[0]) == len(parameters)

    def shared(self) -> list[tuple[int, ...]]:
        """Return the parameters to be kept: once where all channels have the same."""
        same = len(set(self.parameters)) == 1
        return self.parameters[:1] if same else self.parameters


def _slots(parameters: Iterable[Parameter]) -> list[int]:
    """Write parameters as int64 slots: a float by its bits."""
    return [
        struct.unpack("<q", struct.pack("<d", value))[0] if isinstance(value, float) else value
        for value in parameters
    ]


class Plan:
    """What the driver needs to know of one instrument, ready made, so that a call builds nothing.

    No object is kept for each channel and rule: at 100,000 channels they would outweigh the state.

    Attributes:
        layout: the layout in force.
        names: channel names in the order of the layout.
        floats, ints: the memory as float64[slots] and int64[slots].
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
        self._places: dict[int, tuple[Layout, NDArray[np.intp]]] = {}
        self._rules = rules
        self._interval_s = interval_s
        self.enabled = np.zeros(len(layout.channels), dtype=np.int64)
        self.required = np.zeros(len(layout.channels), dtype=np.int64)
        self.pending_max = 0
        self.ints = self._laid_out()
        self.floats = self.ints.view(np.float64)
        everywhere = int(np.bitwise_or.reduce(self.enabled, initial=0))
        self.future = tuple(
            (rule, OUT_OLDEST + k) for k, rule in enumerate(FUTURE) if everywhere >> rule.bit & 1
        )

    def _laid_out(self) -> NDArray[np.int64]:
        """Find a place for everything, and write runs, shapes and parameters."""
        runs: list[_Run] = []
        for position, channel in enumerate(self.layout.channels):
            shape, parameters, states, rings = self._shape(position, channel)
            if not runs or not runs[-1].fits(shape, parameters):
                runs.append(_Run(position, shape, states, rings))
            runs[-1].parameters.append(parameters)
        self._run_of = np.repeat(np.arange(len(runs)), [len(run.parameters) for run in runs])
        shapes = list(dict.fromkeys(run.shape for run in runs))
        shapes_at = RUNS + RUN_SLOTS * len(runs)
        parameters_at = shapes_at + _SHAPE_SLOTS * len(shapes)
        parameters_slots = sum(len(own) for run in runs for own in run.shared())
        states_at = parameters_at + parameters_slots
        rings_at = states_at + sum(run.states * len(run.parameters) for run in runs)
        total = rings_at + sum(run.rings * len(run.parameters) for run in runs)
        memory = np.zeros(total, dtype=np.int64)
        memory[0] = len(runs)
        for shape_number, shape in enumerate(shapes):
            memory[shapes_at + _SHAPE_SLOTS * shape_number :][:_SHAPE_SLOTS] = shape
        for number, run in enumerate(runs):
            own = run.shared()
            parameters_step = 0 if len(own) < len(run.parameters) else len(own[0])
            memory[RUNS + RUN_SLOTS * number :][:RUN_SLOTS] = [
                run.first, run.first + len(run.parameters),
                shapes_at + _SHAPE_SLOTS * shapes.index(run.shape),
                parameters_at, parameters_step, rings_at, run.rings, states_at,
            ]  # fmt: skip
            for slots in own:
                memory[parameters_at : parameters_at + len(slots)] = slots
                parameters_at += len(slots)
            states_at += run.states * len(run.parameters)
            rings_at += run.rings * len(run.parameters)
        return memory

    def _shape(self, position: int, channel: Channel) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
        """Return the shape of a channel, its parameters, and how many slots its states and rings take."""
        own: list[int] = []
        places, states, rings = [0] * (3 * len(RULES)), 0, 0
        for rule in RULES:
            parameters = self._parameters(rule, channel)
            if parameters is None:
                continue
            settings = rule.settings_of(self._rules.get(channel.name))
            self.enabled[position] |= 1 << rule.bit
            if settings is None or settings.required:
                self.required[position] |= 1 << rule.bit
            places[3 * rule.bit : 3 * rule.bit + 3] = len(own), states, rings
            own += _slots((*rule.local(channel, self.layout, settings), *parameters))
            own += [0] * (places[3 * rule.bit] + rule.parameters - len(own))
            states += rule.state
            ring_slots = rule.rings(parameters)
            rings += ring_slots
            if rule.future:
                self.pending_max += ring_slots if rule.pending_ring else 1
        bits = int(self.enabled[position]), int(self.required[position]), int(channel.kind == "text")
        return (*bits, *places), tuple(own), states, rings

    def _parameters(self, rule: Rule, channel: Channel) -> tuple[Parameter, ...] | None:
        settings = rule.settings_of(self._rules.get(channel.name))
        interval_s = self._interval_s * channel.every
        return None if settings is None and rule.table else rule.encode(settings, interval_s)

    def places(self, layout: Layout) -> NDArray[np.intp] | None:
        """Say where the channels of a row lie among all of the instrument, intp[c]; None: it has them all.

        Raises:
            KeyError: the layout has a channel that the plan does not have so.
        """
        if layout is self.layout:
            return None
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

    def _block(self, rule: Rule, position: int) -> _Block:
        """Say where a rule of a channel lies in the memory."""
        channel = self.layout.channels[position]
        run = self.ints[RUNS + RUN_SLOTS * self._run_of[position] :][:RUN_SLOTS]
        parameters = self._parameters(rule, channel) or ()
        place, beyond = run[RUN_SHAPE] + SHAPE_PLACES + 3 * rule.bit, position - run[0]
        state = int(run[RUN_STATES] + (run[1] - run[0]) * self.ints[place + 1] + beyond * rule.state)
        ring = int(run[RUN_RINGS] + beyond * run[RUN_RINGS + 1] + self.ints[place + 2])
        return _Block(
            rule, channel, parameters,
            slice(state, state + rule.state), slice(ring, ring + rule.rings(parameters)),
        )  # fmt: skip

    def _blocks(self, rules: Iterable[Rule]) -> Iterator[_Block]:
        """Go through the blocks of some rules again."""
        for rule in rules:
            for position in np.flatnonzero(self.enabled >> rule.bit & 1):
                yield self._block(rule, int(position))

    def _state(self, block: _Block) -> NDArray[np.int64]:
        """Return state and rings, copied."""
        return np.concatenate((self.ints[block.state], self.ints[block.rings]))

    def save(self) -> SavedChannels:
        """Copy the state of every rule that has any."""
        saved: SavedChannels = {}
        for block in self._blocks(_WITH_STATE):
            state = Saved(block.key, self._state(block).tobytes())
            saved.setdefault(block.channel.name, {})[block.rule.name] = state
        return saved

    def load(self, saved: SavedChannels) -> list[Pending]:
        """Take up the state of rules that have not changed; return the pending rows of those that have."""
        left = {name: dict(rules) for name, rules in saved.items()}
        for block in self._blocks(_WITH_STATE):
            found = left.get(block.channel.name, {}).get(block.rule.name)
            if found is not None and found.key == block.key and len(found.state) == self._state(block).nbytes:
                slots = np.frombuffer(found.state, dtype="<i8")
                self.ints[block.state], self.ints[block.rings] = np.split(slots, [block.rule.state])
                del left[block.channel.name][block.rule.name]
        return pending_of(left)

    def forget(self, *, future_only: bool) -> list[Pending]:
        """Empty the state of the rules that need the future, or of all; return the rows that were pending."""
        pending = self.pending()
        for block in self._blocks(FUTURE if future_only else _WITH_STATE):
            self.ints[block.state] = self.ints[block.rings] = 0
        return pending

    def pending(self) -> list[Pending]:
        """List the rows that a future rule has not decided yet."""
        return [
            Pending(block.rule.name, block.channel.name, n)
            for block in self._blocks(FUTURE)
            for n in _pending_rows(block.rule, self._state(block))
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
