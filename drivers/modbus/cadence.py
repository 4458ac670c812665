"""Which values are due in which poll: tags with poll intervals of their own, spread over the polls.

Every `k`-th poll of an instrument also brings the values whose interval is `k` times the instrument's. They
are read in requests of their own, and these are dealt over the polls so that the busiest poll is as short as
it can be; a value that lies among registers that are read anyway costs no request. A poll that was left out
(late, back-off) does not cost a rare value its turn: it comes with the next poll that is sent, and then
returns to its place on the grid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from drivers.modbus.plan import FUNCTIONS, Limits, ReadBlock, plan_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from drivers.modbus.channel import ModbusChannel
    from drivers.modbus.cost import LineCost

EVERY_MAX = 3600
"""Longest interval of a value, in intervals of its instrument: what waits for its neighbours is bounded."""
_HORIZON_MAX = 1 << 17
"""Polls that are looked at for the busiest one, when the intervals meet again only after more."""
_TOLERANCE = 1e-9
"""Relative error up to which a ratio of two intervals is a whole number: 0.3 s is no binary fraction."""


def every_of(interval_s: float, instrument_s: float) -> int | None:
    """Return at every which poll a value is due; None when its interval is no whole multiple."""
    ratio = interval_s / instrument_s
    nearest = round(ratio)
    return nearest if nearest >= 1 and abs(ratio - nearest) <= _TOLERANCE * ratio else None


def spread(every: Sequence[int], cost_ns: Sequence[int]) -> tuple[list[int], int]:
    """Choose for each request the poll in its cycle; return these, and the time of the busiest poll.

    One request after the other goes where the polls that it will be part of are the least busy, and of equal
    ones where it comes first: the first values shall not wait.

    Args:
        every: int[m], length of each request's cycle, in polls.
        cost_ns: int[m], its time on the line, in ns.

    Returns:
        int[m] phases in [0, every), and the greatest time of a poll in ns.
    """
    load: NDArray[np.int64] = np.zeros(min(math.lcm(*every), _HORIZON_MAX) if every else 1, dtype=np.int64)
    phases = []
    for cycle, cost in zip(every, cost_ns, strict=True):
        whole = len(load) // cycle * cycle
        phase = int(load[:whole].reshape(-1, cycle).max(axis=0).argmin())
        load[phase::cycle] += cost
        phases.append(phase)
    return phases, int(load.max())


@dataclass(slots=True)
class Slot:
    """Values that are read in the same polls."""

    every: int
    phase: int
    """The first poll that reads them; counted from 0, the first of the run."""
    next_index: int
    """Poll at which they are due."""

    def serve(self, index: int) -> None:
        """Note that the poll `index` was sent; the grid does not move."""
        self.next_index = index + 1 + (self.phase - index - 1) % self.every


@dataclass(frozen=True, slots=True)
class Timetable:
    """The slots of an instrument; the first holds what is read in every poll."""

    slots: tuple[Slot, ...]
    rare: dict[int, int]
    """Position of each channel that is not read in every poll, and the number of its slot."""
    busiest_s: float
    """Time on the line of the poll with the most to read."""

    def slot_of(self, position: int) -> int:
        """Return the number of a channel's slot."""
        return self.rare.get(position, 0)

    def blocks(
        self,
        channels: Sequence[ModbusChannel],
        positions: Iterable[int],
        limits: Limits,
        cost: LineCost,
    ) -> list[ReadBlock]:
        """Plan the requests for some channels: each holds values of one slot, and rare ones among them."""
        wanted = sorted(positions)
        if len(self.slots) == 1:
            return list(plan_blocks(channels, wanted, limits=limits, cost=cost))
        always = [at for at in wanted if at not in self.rare]
        rare = [at for at in wanted if at in self.rare]
        blocks, own = _ride(channels, list(plan_blocks(channels, always, limits=limits, cost=cost)), rare)
        for number in sorted({self.rare[at] for at in own}):
            mine = [at for at in own if self.rare[at] == number]
            blocks += plan_blocks(channels, mine, limits=limits, cost=cost)
        return blocks


def make_timetable(
    channels: Sequence[ModbusChannel], every: Sequence[int], limits: Limits, cost: LineCost
) -> Timetable:
    """Deal the channels of an instrument, each due at every `every`-th poll, over slots."""
    blocks, rare = _ride(
        channels,
        list(plan_blocks(channels, [at for at, k in enumerate(every) if k == 1], limits=limits, cost=cost)),
        [at for at, k in enumerate(every) if k > 1],
    )
    clusters: list[ReadBlock] = []
    for cycle in sorted({every[at] for at in rare}):
        mine = [at for at in rare if every[at] == cycle]
        clusters += plan_blocks(channels, mine, limits=limits, cost=cost)
    cycles = [every[block.channels[0]] for block in clusters]
    phases, most_ns = spread(cycles, [_cost_ns(cost, block) for block in clusters])
    phase_of = {at: 0 for at, cycle in enumerate(every) if cycle > 1}
    for block, phase in zip(clusters, phases, strict=True):
        phase_of |= dict.fromkeys(block.channels, phase)
    kinds = sorted({(every[at], phase) for at, phase in phase_of.items()})
    slots = tuple(Slot(cycle, phase, phase) for cycle, phase in [(1, 0), *kinds])
    number_of = {kind: number for number, kind in enumerate(kinds, start=1)}
    always_ns = sum(_cost_ns(cost, block) for block in blocks)
    return Timetable(
        slots,
        {at: number_of[every[at], phase] for at, phase in phase_of.items()},
        (always_ns + most_ns) / 1e9,
    )


def _cost_ns(cost: LineCost, block: ReadBlock) -> int:
    return round(cost.block_s(block.function, block.count) * 1e9)


def _ride(
    channels: Sequence[ModbusChannel], blocks: list[ReadBlock], rare: Sequence[int]
) -> tuple[list[ReadBlock], list[int]]:
    """Let rare values ride along where their registers are read in any case; return the others too."""
    riders: dict[int, list[int]] = {}
    own = []
    for at in rare:
        function, (first, stop) = FUNCTIONS[channels[at].table], channels[at].span
        for number, block in enumerate(blocks):
            if block.function == function and block.address <= first and stop <= block.address + block.count:
                riders.setdefault(number, []).append(at)
                break
        else:
            own.append(at)
    with_riders = [
        ReadBlock(block.function, block.address, block.count, (*block.channels, *riders.get(number, ())))
        for number, block in enumerate(blocks)
    ]
    return with_riders, own
