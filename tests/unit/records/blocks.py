"""Small blocks for tests."""

import numpy as np

from pipeline.records import Block, Channel, Layout


def simple_block(
    *, rows: int, t_utc_ns: int = 10**18, step_ns: int = 10**9, instrument: str = "meter"
) -> Block:  # fmt: skip
    """One float channel `v` with values 0.0, 1.0, ..."""
    times = t_utc_ns + step_ns * np.arange(rows, dtype=np.int64)
    run = times - 10**18
    return Block(
        instrument=instrument,
        layout=Layout((Channel("v", unit="V"),)),
        t_utc_ns=times,
        t_run_ns=run,
        t_request_ns=run - 1000,
        t_response_ns=run + 1000,
        status=np.zeros((1, rows), np.uint8),
        f8=np.arange(rows, dtype=np.float64).reshape(1, rows),
        i8=np.empty((0, rows), np.int64),
        u8=np.empty((0, rows), np.uint64),
    )
