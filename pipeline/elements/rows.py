"""Frames of one instrument taken together: what came between two records that are not `data`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.records.block import concatenate
from pipeline.records.flags import Flag, Status
from pipeline.records.frame import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ROWS_MAX = 2000
"""Rows of one instrument that wait at most until they are taken in together."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one instrument and layout, in order, with what every task that binds it asks of them."""

    frame: Frame
    n: NDArray[np.int64]
    """int64[n]: ordinal of each row."""
    seq: NDArray[np.int64]
    """int64[n]: record of each row."""
    frame_utc_ns: NDArray[np.int64]
    """int64[n]: UTC of the first row of each row's record: a correction is chosen by it."""
    source: str
    values: NDArray[np.float64]
    """float64[c, n]: NaN where the status is not GOOD, and for text."""
    good: NDArray[np.bool_]
    """bool[c, n]: a value is there."""
    failed: NDArray[np.bool_]
    """bool[c, n]: a value that failed QC when it arrived; likewise `suspect`."""
    suspect: NDArray[np.bool_]
    unsettled: NDArray[np.bool_]
    """bool[c, n]: the instrument said busy or not stable."""

    @property
    def t_run_ns(self) -> NDArray[np.int64]:
        """int64[n]: gateway time of each row."""
        return self.frame.block.t_run_ns

    def position(self, channel: str) -> int | None:
        """Position of a numeric channel; None where there is no such one."""
        layout = self.frame.block.layout
        position = layout.index.get(channel)
        return None if position is None or layout.channels[position].kind == "text" else position

    def cut(self, from_run_ns: int, to_run_ns: int | None) -> slice | NDArray[np.int64]:
        """Rows of a window, `to_run_ns` not included: a slice where they are in order of time."""
        times = self.t_run_ns
        if len(times) and bool((times[1:] >= times[:-1]).all()):
            first = int(np.searchsorted(times, from_run_ns, side="left"))
            last = len(times) if to_run_ns is None else int(np.searchsorted(times, to_run_ns, side="left"))
            return slice(first, max(first, last))
        inside = times >= from_run_ns
        return np.flatnonzero(inside if to_run_ns is None else inside & (times < to_run_ns))


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decoded frame that waits for the next record that is not `data`."""

    frame: Frame
    seq: int
    source: str


def join(waiting: Sequence[Waiting]) -> list[Batch]:
    """Take frames of one instrument together; a new batch begins where the layout or the source changes."""
    batches: list[Batch] = []
    group: list[Waiting] = []
    for one in waiting:
        if group and not _alike(group[-1], one):
            batches.append(_batch(group))
            group = []
        group.append(one)
    return [*batches, _batch(group)] if group else batches


def _alike(one: Waiting, other: Waiting) -> bool:
    return (
        one.frame.block.layout == other.frame.block.layout
        and one.source == other.source
        and one.frame.service == other.frame.service
        and {name: found[0] for name, found in one.frame.corrected.items()}
        == {name: found[0] for name, found in other.frame.corrected.items()}
        and one.frame.uncorrected == other.frame.uncorrected
    )


def _batch(group: Sequence[Waiting]) -> Batch:
    frames = [one.frame for one in group]
    frame = frames[0] if len(frames) == 1 else _joined(frames)
    lengths = [len(one.block) for one in frames]
    n = np.concatenate([one.ordinals() for one in frames])
    seq = np.repeat(np.array([one.seq for one in group], dtype=np.int64), lengths)
    frame_utc_ns = np.repeat(np.array([one.block.t_utc_ns[0] for one in frames], dtype=np.int64), lengths)
    values, status = frame.block.numeric(), frame.block.status
    good = (status == Status.GOOD) & np.isfinite(values)
    return Batch(
        frame, n, seq, frame_utc_ns, group[0].source, values, good,
        good & (frame.flag == Flag.FAIL), good & (frame.flag == Flag.SUSPECT),
        (status == Status.UNSTABLE) | (status == Status.BUSY),
    )  # fmt: skip


def _joined(frames: Sequence[Frame]) -> Frame:
    first = frames[0]
    return Frame(
        block=concatenate([one.block for one in frames]),
        n_first=first.n_first,
        flag=np.concatenate([one.flag for one in frames], axis=1),
        reason=np.concatenate([one.reason for one in frames], axis=1),
        unevaluated=np.concatenate([one.unevaluated for one in frames], axis=1),
        service=first.service,
        corrected={
            name: (found[0], np.concatenate([one.corrected[name][1] for one in frames]))
            for name, found in first.corrected.items()
        },
        uncorrected=first.uncorrected,
    )
