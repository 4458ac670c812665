"""Records from somebody who means no good: refused, and without taking memory for what is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np
import pytest

from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.envelope import VERSION, MalformedRecord, decode
from pipeline.records.frame import decode_frame, encode_frame

if TYPE_CHECKING:
    from pipeline.records.envelope import Body


def body() -> Body:
    times = np.arange(3, dtype=np.int64)
    block = Block(
        instrument="p-1", layout=Layout((Channel("pressure"),)), t_utc_ns=times, t_run_ns=times,
        t_request_ns=times, t_response_ns=times, status=np.zeros((1, 3), np.uint8), f8=np.zeros((1, 3)),
        i8=np.empty((0, 3), np.int64), u8=np.empty((0, 3), np.uint64),
    )  # fmt: skip
    ones = np.ones((1, 3), np.uint8)
    return encode_frame(Frame(block, 0, ones, np.zeros((1, 3), np.int64), np.zeros((1, 3), np.int64)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", 2**40),
        ("rows", 2),
        ("t_utc", [0, 2**40, 0, b""]),
        ("t_run", [0, -5, 0, b""]),
        ("t_req", [0, 3, 0, b"\0" * 7]),
        ("f8", b"\0" * 8),
        ("status", b"\0"),
    ],
)
def test_a_frame_that_announces_more_than_it_holds_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"announced|reshape|buffer|negative"):
        decode_frame({**body(), key: value})


@pytest.mark.parametrize("clock", [{}, {"a": 1}, [], [1], ["x", "y"], None])
def test_a_clock_state_of_another_shape_is_refused(clock: Any) -> None:
    data = msgpack.packb([VERSION, "tick", "live", bytes(16), 0, 1, 0, 0, 0, clock, None, {}])
    with pytest.raises(MalformedRecord):
        decode(data)
