"""Channels that come in some rows only: the rules judge them as if the rows in between were not there."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pytest

from pipeline.qc import ChannelQc, QcEngine
from pipeline.records import Block, Channel, Flag, Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = 1_000_000_000
EVERY = 5
RULES = {
    "range": {"suspect_high": 8.0, "fail_high": 9.0},
    "rate": {"suspect": 3.0, "max_gap_s": 30.0},
    "spike": {"suspect": 4.0, "max_gap_s": 30.0},
    "flat_line": {"suspect_s": 10.0, "tolerance": 0.0, "max_gap_s": 30.0},
    "gap": {"interval_s": 6.0},
}
CONFIG = {
    "dut": {
        "fast": ChannelQc.model_validate({"range": {"fail_high": 9.0}}),
        "slow": ChannelQc.model_validate(RULES),
    },
    "own": {"slow": ChannelQc.model_validate(RULES)},
}
Judged: TypeAlias = tuple[list[tuple[int, int, int, int]], list[tuple[int, int]]]
INTERVALS = {"dut": 1.0, "dut.slow": float(EVERY), "own": float(EVERY)}
BASE = Layout((Channel("fast"),))
FULL = Layout((Channel("fast"), Channel("slow", every=EVERY)))
OWN = Layout((Channel("slow"),))


def engine() -> QcEngine:
    made = QcEngine(CONFIG, INTERVALS)
    made.warm()
    return made


def block(instrument: str, layout: Layout, second: int, *values: float) -> Block:
    t = np.array([second * SECOND], dtype=np.int64)
    return Block(
        instrument=instrument, layout=layout, t_utc_ns=t, t_run_ns=t, t_request_ns=t, t_response_ns=t,
        status=np.zeros((len(values), 1), np.uint8), f8=np.array([values]).T.copy(),
        i8=np.empty((0, 1), np.int64), u8=np.empty((0, 1), np.uint64),
    )  # fmt: skip


def stream(seed: int, seconds: int = 300) -> Iterator[tuple[int, float, float | None]]:
    rng = random.Random(seed)
    level = 5.0
    for second in range(1, seconds):
        if second % EVERY == 0:
            level = rng.choice([level, level, rng.uniform(0.0, 10.0)])
            level = {195: 8.0, 200: 0.0, 205: 8.0}.get(second, level)  # a spike in every stream
        yield second, rng.uniform(0.0, 10.0), level if second % EVERY == 0 else None


def judged(seed: int, restart_at: int | None = None) -> Judged:
    """Verdicts on the slow channel at once, and later ones, by second."""
    made, at_once, later = engine(), [], []
    for second, fast, slow in stream(seed):
        if second == restart_at:
            state, made = bytes(made.snapshot()), engine()
            assert made.restore(state)
        row = block("dut", BASE, second, fast) if slow is None else block("dut", FULL, second, fast, slow)
        result = made.process(row, second)
        assert result.flag.shape == row.status.shape
        assert result.flag[0, 0] == (Flag.FAIL if fast > 9.0 else Flag.PASS)
        if slow is not None:
            at_once.append(
                (second, int(result.flag[1, 0]), int(result.reason[1, 0]), int(result.unevaluated[1, 0]))
            )
        later += [
            (int(n), int(flag))
            for one in result.decisions
            for n, channel, flag in zip(one.n, one.channel, one.flag, strict=True)
            if channel == "slow"
        ]
    return at_once, later


def alone(seed: int) -> Judged:
    made, at_once, later = engine(), [], []
    for second, _, slow in stream(seed):
        if slow is None:
            continue
        result = made.process(block("own", OWN, second, slow), second)
        at_once.append(
            (second, int(result.flag[0, 0]), int(result.reason[0, 0]), int(result.unevaluated[0, 0]))
        )
        later += [
            (int(n), int(flag)) for one in result.decisions for n, flag in zip(one.n, one.flag, strict=True)
        ]
    return at_once, later


@pytest.mark.parametrize("restart_at", [None, 151, 155])
def test_a_rare_channel_is_judged_as_if_it_were_an_instrument_of_its_own(restart_at: int | None) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    mine, own = judged(seed, restart_at), alone(seed)
    assert mine == own
    assert any(flag != Flag.PASS for _, flag, *_ in mine[0])
    assert mine[1]


def test_nothing_is_decided_beyond_a_rare_row_that_still_waits_for_its_neighbour() -> None:
    made = engine()
    made.process(block("dut", FULL, 5, 1.0, 5.0), 5)
    made.process(block("dut", FULL, 10, 1.0, 5.0), 10)
    through = [
        one.decided_through_n
        for second in (11, 12)
        for one in made.process(block("dut", BASE, second, 1.0), second).decisions
        if one.rule == "spike"
    ]
    assert all(n < 10 for n in through)
    (closed,) = [
        one for one in made.process(block("dut", FULL, 15, 1.0, 5.0), 15).decisions if one.rule == "spike"
    ]
    assert closed.decided_through_n == 14


def test_a_gap_closes_what_a_rare_channel_waited_for_after_a_restart_too() -> None:
    made = engine()
    made.process(block("dut", FULL, 5, 1.0, 5.0), 5)
    made.process(block("dut", FULL, 10, 1.0, 5.0), 10)
    again = engine()
    assert again.restore(bytes(made.snapshot()))
    again.process(block("dut", BASE, 11, 1.0), 11)  # the slow channel has not been seen yet
    found = [one for one in again.gap("dut") if one.rule == "spike"]
    assert [(one.n.tolist(), one.flag.tolist()) for one in found] == [([10], [int(Flag.NOT_EVALUATED)])]


def test_before_the_kernels_are_ready_a_row_has_its_own_channels_only() -> None:
    cold = QcEngine(CONFIG, INTERVALS)
    cold.process(block("dut", FULL, 5, 1.0, 5.0), 5)
    result = cold.process(block("dut", BASE, 6, 1.0), 6)
    assert result.flag.shape == (1, 1)
