"""Late verdicts: under which stored time each is told."""

from __future__ import annotations

import numpy as np

from pipeline.intake.frames import LateFlags
from pipeline.qc import Decision
from pipeline.records import Block, Channel, Flag, Frame, Layout

LAYOUT = Layout((Channel("fast"),))


def block() -> Block:
    t = np.array([1], dtype=np.int64)
    return Block(
        instrument="p-1", layout=LAYOUT, t_utc_ns=t, t_run_ns=t, t_request_ns=t, t_response_ns=t,
        status=np.zeros((1, 1), np.uint8), f8=np.zeros((1, 1)), i8=np.empty((0, 1), np.int64),
        u8=np.empty((0, 1), np.uint64),
    )  # fmt: skip


def test_the_stored_times_of_undecided_rows_stay_while_later_ones_are_told() -> None:
    """One channel's verdict on row 1 comes first; another's, on row 0, is still to come."""
    late = LateFlags("p-1")

    def decided(through: int, n: int, channel: str) -> Decision:
        found = np.array([n], dtype=np.int64), (channel,), np.array([Flag.SUSPECT], dtype=np.uint8)
        return Decision("p-1", "spike", through, *found, np.array([True]))

    def frame(n: int) -> Frame:
        cells = np.zeros((1, 1), dtype=np.int64)
        return Frame(block(), n, np.ones((1, 1), dtype=np.uint8), cells, cells)

    late.add(decided(-1, 1, "fast"))
    late.remember(frame(0))
    late.remember(frame(1))
    (first,) = late.due(0, force=False)
    assert late.said(first, 0) == 0
    late.add(decided(1, 0, "slow"))
    (second,) = late.due(0, force=False)
    assert (second.n.tolist(), second.channel) == ([0], ("slow",))
    assert late.said(second, 0) == 0
