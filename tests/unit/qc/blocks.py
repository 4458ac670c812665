"""Small builders of blocks for the tests of the rules."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.qc import ChannelQc, QcEngine, QcResult
from pipeline.records import Block, Channel, Layout

SECOND = 1_000_000_000


def block_of(
    values: NDArray[np.float64] | Sequence[Sequence[float]],
    t_run_ns: Sequence[int],
    *,
    layout: Layout | None = None,
    status: NDArray[np.uint8] | None = None,
    t_utc_ns: Sequence[int] | None = None,
) -> Block:
    """Build a block of float channels c0, c1, ... of the instrument 'dut'."""
    matrix = np.ascontiguousarray(values, dtype=np.float64)
    run = np.array(t_run_ns, dtype=np.int64)
    return Block(
        instrument="dut",
        layout=layout or layout_of(len(matrix)),
        t_utc_ns=run if t_utc_ns is None else np.array(t_utc_ns, dtype=np.int64),
        t_run_ns=run,
        t_request_ns=run,
        t_response_ns=run,
        status=np.zeros(matrix.shape, dtype=np.uint8) if status is None else status,
        f8=matrix,
        i8=np.zeros((0, len(run)), dtype=np.int64),
        u8=np.zeros((0, len(run)), dtype=np.uint64),
    )


def layout_of(channels: int, unit: str = "°C") -> Layout:
    return Layout(tuple(Channel(f"c{k}", unit=unit) for k in range(channels)))


def engine_of(rules: Mapping[str, ChannelQc], interval_s: float = 0.1) -> QcEngine:
    """Make a warm engine for the instrument 'dut'."""
    engine = QcEngine({"dut": rules}, {"dut": interval_s})
    engine.warm()
    return engine


def run(qc: ChannelQc, values: Sequence[float], step_s: float = 1.0, interval_s: float = 0.1) -> QcResult:
    """Judge one channel in one block, readings `step_s` apart."""
    times = [round(k * step_s * SECOND) for k in range(len(values))]
    return engine_of({"c0": qc}, interval_s).process(block_of([list(values)], times), 0)
