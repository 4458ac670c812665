"""Comparisons across instruments: one answer for every interleaving, every cut and every restart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.qc import ChannelQc, QcEngine
from pipeline.qc.settings import SpikeQc
from pipeline.qc.settings_patterns import RedundancyQc, ScheduleQc
from pipeline.records import Block, Channel, Layout

if TYPE_CHECKING:
    from collections.abc import Mapping

MS = 1_000_000
LATE_MS = 2000
LAYOUT = Layout((Channel("v"),))
VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.5, 2.0, 5.0, math.nan, math.inf, 1e300])


class Row(NamedTuple):
    """One row of an instrument, times in ms."""

    t: int
    age: int
    x: float
    status: int


@st.composite
def streams(draw: st.DrawFn) -> list[Row]:
    """Rows of one instrument: steps forward, sometimes none or back, sometimes late, sometimes missing."""
    rows, t = [], draw(st.integers(0, 500))
    for _ in range(draw(st.integers(0, 25))):
        t += draw(st.sampled_from([0, 100, 100, 250, 400, -150, 900, 2600, 7000]))
        age = draw(st.sampled_from([0, 0, 10, LATE_MS, LATE_MS + 1]))
        rows.append(Row(t, age, draw(VALUES), draw(st.sampled_from([0, 0, 0, 0, 1]))))
    return rows


def block(instrument: str, rows: list[Row]) -> Block:
    t = np.array([row.t for row in rows], dtype=np.int64) * MS
    arrived = t + np.array([row.age for row in rows], dtype=np.int64) * MS
    return Block(
        instrument, LAYOUT, t, t, t, arrived, np.array([[row.status for row in rows]], dtype=np.uint8),
        np.array([[row.x for row in rows]]).reshape(1, len(rows)), np.zeros((0, len(rows)), np.int64),
        np.zeros((0, len(rows)), np.uint64),
    )  # fmt: skip


def counted(rows: list[Row]) -> list[Row]:
    """Rows of the other stream that count: on time, and later than every one that counted before."""
    kept: list[Row] = []
    for row in rows:
        if row.age <= LATE_MS and (not kept or row.t > kept[-1].t):
            kept.append(row)
    return kept


def valid(row: Row) -> bool:
    return row.status == 0 and math.isfinite(row.x)


def level(magnitude: float, suspect: float, fail: float) -> int:
    return 4 if magnitude > fail else 3 if magnitude > suspect else 1


def redundancy_twin(a: list[Row], b: list[Row], qc: RedundancyQc) -> dict[int, int]:
    """Verdict of every valid reading of `a`, from the definition."""
    others, tolerance, found = counted(b), round(qc.align_tol_s * 1000), {}
    for n, row in enumerate(a):
        passed = [one for one in others if one.t >= row.t + tolerance]
        near = [one for one in others if valid(one) and abs(one.t - row.t) <= tolerance]
        if valid(row):
            in_time = bool(passed) and passed[0].t <= row.t + tolerance + LATE_MS
            found[n] = (
                level(abs(row.x - near[-1].x), qc.suspect or 0, qc.fail or 0) if in_time and near else 2
            )
    return found


def follow(begin: float, target: float, dt_ms: int, per_min: float | None) -> float:
    if per_min is None:
        return target
    step = per_min / 60e9 * (dt_ms * MS)
    return begin + min(max(target - begin, -step), step)


def schedule_twin(a: list[Row], b: list[Row], qc: ScheduleQc) -> dict[int, int]:
    """Verdict of every valid reading of `a`, from the definition."""
    others, found = counted(b), {}
    gap, lag = round(qc.setpoint_max_gap_s * 1000), round(qc.lag_s * 1000)
    told = [one for one in others if valid(one)]
    expected: list[float] = []
    stretch: list[int] = []
    for k, one in enumerate(told):
        new = k == 0 or one.t - told[k - 1].t > gap
        moved = one.x if new else follow(expected[-1], told[k - 1].x, one.t - told[k - 1].t, qc.ramp_per_min)
        expected.append(one.x if qc.ramp_per_min is None else moved)
        stretch.append((stretch[-1] if stretch else 0) + new)
    for n, row in enumerate(a):
        if not valid(row):
            continue
        found[n] = 2
        passed = [one for one in others if one.t >= row.t]
        last = max((k for k, one in enumerate(told) if one.t <= row.t), default=-1)
        first = max((k for k, one in enumerate(told) if one.t <= row.t - lag), default=-1)
        if not passed or passed[0].t > row.t + LATE_MS or first < 0:
            continue
        if row.t - told[last].t > gap or stretch[first] != stretch[last]:
            continue
        band = expected[first + 1 : last + 1]
        band.append(follow(expected[first], told[first].x, row.t - lag - told[first].t, qc.ramp_per_min))
        band.append(follow(expected[last], told[last].x, row.t - told[last].t, qc.ramp_per_min))
        if valid(passed[0]):
            band.append(follow(expected[last], passed[0].x, row.t - told[last].t, qc.ramp_per_min))
        found[n] = level(max(min(band) - row.x, row.x - max(band)), qc.suspect or 0, qc.fail or 0)
    return found


def cut(draw: st.DrawFn, rows: list[Row]) -> list[list[Row]]:
    pieces, at = [], 0
    while at < len(rows):
        stop = min(len(rows), at + draw(st.integers(1, 9)))
        pieces.append(rows[at:stop])
        at = stop
    return pieces


def interleave(draw: st.DrawFn, a: list[Row], b: list[Row]) -> list[tuple[str, list[Row]]]:
    """Put the blocks of both in some order; none of b comes over `late_s` after younger ones of a."""
    left = {"a": cut(draw, a), "b": cut(draw, b)}
    ordered: list[tuple[str, list[Row]]] = []
    while left["a"] or left["b"]:
        choices = [name for name in left if left[name] and not (name == "a" and _overtakes(left))]
        name = draw(st.sampled_from(choices))
        ordered.append((name, left[name].pop(0)))
    return ordered


def _overtakes(left: Mapping[str, list[list[Row]]]) -> bool:
    waiting = [row.t + row.age for rows in left["b"] for row in rows]
    return bool(waiting) and max(row.t for row in left["a"][0]) > min(waiting) + LATE_MS


def run(order: list[tuple[str, list[Row]]], qc: ChannelQc, restarts: set[int]) -> dict[int, int]:
    """Judge blocks in an order, with restarts from snapshots in between; the verdicts of instrument a."""
    config = {"a": {"v": qc}, "b": {"v": ChannelQc()}}
    engine, n, found = QcEngine(config, dict.fromkeys(config, 0.1)), {"a": 0, "b": 0}, dict[int, int]()
    through = -1
    for k, (name, rows) in enumerate(order):
        if k in restarts:
            state = bytes(engine.snapshot())
            engine = QcEngine(config, dict.fromkeys(config, 0.1))
            assert engine.restore(state)
        result = engine.process(block(name, rows), n[name])
        n[name] += len(rows)
        for decision in [*result.decisions]:
            assert decision.instrument == "a"
            assert decision.decided_through_n >= through
            assert all(m > through for m in decision.n.tolist()) or through == -1
            found |= dict(zip(decision.n.tolist(), decision.flag.tolist(), strict=True))
            through = decision.decided_through_n
    for decision in engine.flush("a"):
        found |= dict(zip(decision.n.tolist(), decision.flag.tolist(), strict=True))
        through = decision.decided_through_n
    assert through == n["a"] - 1
    return found


REDUNDANT = RedundancyQc(
    partner="v", instrument="b", align_tol_s=0.3, late_s=LATE_MS / 1000, suspect=0.4, fail=2
)
FOLLOWED = [
    ScheduleQc(setpoint="v", instrument="b", lag_s=lag, ramp_per_min=ramp, setpoint_max_gap_s=3, late_s=2,
               suspect=0.1, fail=1)
    for lag in (0.0, 0.7) for ramp in (None, 90.0)
]  # fmt: skip


class Case(NamedTuple):
    """Two streams, the order in which their blocks are seen, and the blocks before which all starts anew."""

    a: list[Row]
    b: list[Row]
    order: list[tuple[str, list[Row]]]
    restarts: set[int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw two streams and an order."""
    a, b = draw(streams()), draw(streams())
    return Case(a, b, interleave(draw, a, b), draw(st.sets(st.integers(0, 12))))


@given(case=cases())
@settings(max_examples=300)
def test_redundancy_across_instruments_equals_its_twin_in_any_order(case: Case) -> None:
    a, b = case.a, case.b
    found = run(case.order, ChannelQc(redundancy=REDUNDANT), case.restarts)
    expected = {n: flag for n, flag in redundancy_twin(a, b, REDUNDANT).items() if flag != 1}
    assert found == expected


@given(case=cases(), qc=st.sampled_from(FOLLOWED))
@settings(max_examples=300)
def test_a_setpoint_channel_equals_its_twin_in_any_order(case: Case, qc: ScheduleQc) -> None:
    found = run(case.order, ChannelQc(schedule=qc), case.restarts)
    assert found == {n: flag for n, flag in schedule_twin(case.a, case.b, qc).items() if flag != 1}


def test_a_changed_rule_closes_what_waited_with_not_evaluated() -> None:
    config = {"a": {"v": ChannelQc(redundancy=REDUNDANT)}, "b": {"v": ChannelQc()}}
    engine = QcEngine(config, dict.fromkeys(config, 0.1))
    engine.process(block("a", [Row(0, 0, 1.0, 0), Row(100, 0, 1.0, 0)]), 0)
    other = QcEngine({"a": {"v": ChannelQc()}, "b": {"v": ChannelQc()}}, dict.fromkeys(config, 0.1))
    assert other.restore(bytes(engine.snapshot()))
    (decision,) = other.process(block("a", [Row(200, 0, 1.0, 0)]), 2).decisions
    assert (decision.rule, decision.n.tolist(), decision.flag.tolist()) == ("redundancy", [0, 1], [2, 2])
    assert decision.decided_through_n == 2


def test_an_unknown_downtime_closes_what_waits_and_a_known_one_does_not() -> None:
    config = {"a": {"v": ChannelQc(redundancy=REDUNDANT)}, "b": {"v": ChannelQc()}}
    for known, expected in ((True, []), (False, [0])):
        engine = QcEngine(config, dict.fromkeys(config, 0.1))
        engine.process(block("a", [Row(0, 0, 1.0, 0)]), 0)
        assert [n for d in engine.gap("a", duration_known=known) for n in d.n.tolist()] == expected


def test_a_required_comparison_makes_a_missing_reading_no_better() -> None:
    required = REDUNDANT.model_copy(update={"required": True})
    config = {"a": {"v": ChannelQc(redundancy=required, spike=SpikeQc(fail=3))}, "b": {"v": ChannelQc()}}
    engine = QcEngine(config, dict.fromkeys(config, 0.1))
    engine.warm()
    result = engine.process(block("a", [Row(0, 0, math.nan, 0), Row(100, 0, math.inf, 0)]), 0)
    assert result.flag.tolist() == [[9, 2]]
    assert (result.unevaluated >> 22 & 1).tolist() == [[1, 1]]
