"""The engine equals its naive twins, bit for bit, however the stream is cut, saved and taken up again."""

import math
from dataclasses import dataclass, field

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.qc import ChannelQc, Decision, QcEngine
from pipeline.qc.settings import FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc
from pipeline.records import Layout
from tests.unit.qc import twin, twin_engine
from tests.unit.qc.blocks import block_of, engine_of, layout_of
from tests.unit.qc.strategies import (
    CHARTS,
    DURATIONS_S,
    GAPS_S,
    LIMITS,
    WINDOWS,
    chart_rules,
    two,
    window_rules,
)
from tests.unit.qc.twin import Series

ROWS_MAX = 60
INTERVAL_S = 0.02  # windows of 1 s and more then hold all rows of a series

VALUES = st.sampled_from([
    0.0, -0.0, 5e-324, -5e-324, 2.5e-308, 1.0, 1.0, 1.0, 1.5, 2.0, -1.0, 0.1, 0.2, 0.30000000000000004, 3.0,
    1e300, -1e300, 1.7976931348623157e308, -1.7976931348623157e308, 9.9e37, math.inf, -math.inf, math.nan,
]) | st.floats(allow_nan=True, allow_infinity=True) | st.floats(-4, 4)  # fmt: skip
STATUS = st.sampled_from([0] * 12 + [1, 5, 66])
STEPS_NS = st.sampled_from([
    0, 1, 1_000_000, 100_000_000, 100_000_000, 500_000_000, 1_000_000_000, 1_000_000_001, 2_000_000_000,
    3_000_000_000, 60_000_000_000, -100_000_000, -1_000_000_000,
])  # fmt: skip


@st.composite
def ranges(draw: st.DrawFn) -> RangeQc:
    four = sorted(draw(st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 1.5, 3.0]), min_size=4, max_size=4)))
    keys = ["fail_low", "suspect_low", "suspect_high", "fail_high"]
    kept = draw(st.sets(st.sampled_from(range(4)), min_size=1))
    return RangeQc(**{keys[k]: four[k] for k in kept}, required=draw(st.booleans()))


@st.composite
def rules(draw: st.DrawFn, *, moments: bool = False) -> ChannelQc:
    flag = st.booleans()
    suspect, fail = draw(two(LIMITS))
    height, height_fail = draw(two(LIMITS))
    suspect_s, fail_s = draw(two(DURATIONS_S))
    rate = RateQc(
        suspect=suspect, fail=fail, per=draw(st.sampled_from(["s", "min", "h"])), max_gap_s=draw(GAPS_S),
        required=draw(flag),
    )  # fmt: skip
    spike = SpikeQc(
        method=draw(st.sampled_from(["average", "differential"])), suspect=height, fail=height_fail,
        max_gap_s=draw(GAPS_S), required=draw(flag),
    )  # fmt: skip
    flat = FlatLineQc(
        tolerance=draw(LIMITS),
        suspect_s=suspect_s,
        fail_s=fail_s,
        max_gap_s=draw(GAPS_S),
        required=draw(flag),
    )
    gap = GapQc(
        interval_s=draw(st.none() | GAPS_S), order=draw(flag), duplicate=True, required=draw(flag)
    )  # fmt: skip
    tables = {"range": draw(ranges()), "rate": rate, "spike": spike, "flat_line": flat, "gap": gap}
    names = [*tables, *CHARTS, *WINDOWS]
    kept = draw(st.sets(st.sampled_from(names), max_size=5) | st.just(set(names)))
    tables |= draw(chart_rules(kept)) | draw(window_rules(kept, moments=moments))
    return ChannelQc(**{name: table for name, table in tables.items() if name in kept})  # type: ignore[arg-type]


@dataclass
class Case:
    """Readings of some channels and where and how their stream is cut."""

    rules: dict[str, ChannelQc]
    values: np.ndarray
    status: np.ndarray
    t_run_ns: list[int]
    t_utc_ns: list[int]
    cuts: dict[int, str] = field(default_factory=dict)


ACTIONS = ["cut", "cut", "snapshot", "gap", "layout", "forget", "empty"]


def _times(draw: st.DrawFn, rows: int) -> list[int]:
    steps = draw(st.lists(STEPS_NS, min_size=rows, max_size=rows))
    return [int(t) for t in 10**15 + np.cumsum(np.array(steps, dtype=np.int64))]


@st.composite
def cases(draw: st.DrawFn, *, actions: list[str] = ACTIONS, moments: bool = False) -> Case:
    channels, rows = draw(st.integers(1, 3)), draw(st.integers(0, ROWS_MAX))
    named = {f"c{k}": draw(rules(moments=moments)) for k in range(channels) if draw(st.integers(0, 5))}
    values = [draw(st.lists(VALUES, min_size=rows, max_size=rows)) for _ in range(channels)]
    status = [draw(st.lists(STATUS, min_size=rows, max_size=rows)) for _ in range(channels)]
    cuts = draw(st.dictionaries(st.integers(0, rows), st.sampled_from(actions), max_size=12))
    return Case(
        named,
        np.array(values, dtype=np.float64).reshape(channels, rows),
        np.array(status, dtype=np.uint8).reshape(channels, rows),
        _times(draw, rows),
        _times(draw, rows),
        cuts,
    )


@dataclass
class Outcome:
    flag: np.ndarray
    reason: np.ndarray
    unevaluated: np.ndarray
    decided: list[tuple[str, int, str, int, bool]]
    """Rule, row, channel, flag, required; sorted."""
    through_n: dict[str, int]
    """Future rule to the last row that it has decided."""
    rest: list[tuple[str, int, str, int, bool]]
    """What a flush at the end closes."""


def _rows(decisions: list[Decision]) -> list[tuple[str, int, str, int, bool]]:
    return sorted(
        (d.rule, int(n), channel, int(flag), bool(required))
        for d in decisions
        for n, channel, flag, required in zip(d.n, d.channel, d.flag, d.required, strict=True)
    )


def _act(action: str, case: Case, engine: QcEngine, decisions: list[Decision]) -> QcEngine:
    if action == "snapshot":
        saved = bytes(engine.snapshot())
        engine = engine_of(case.rules, INTERVAL_S)
        assert engine.restore(saved)
        assert bytes(engine.snapshot()) == saved
    elif action == "gap":
        decisions += engine.gap("dut")
    elif action == "forget":
        decisions += engine.gap("dut", duration_known=False)
    elif action == "empty":
        nothing = np.zeros((len(case.values), 0))
        decisions += engine.process(block_of(nothing, [], layout=layout_of(len(case.values))), 0).decisions
    return engine


def stream(case: Case, cuts: dict[int, str]) -> Outcome:
    """Send a case through the engine, in pieces."""
    engine, layout = engine_of(case.rules, INTERVAL_S), layout_of(len(case.values))
    rows, start, decisions, results = len(case.t_run_ns), 0, [], []
    whole = block_of(case.values, case.t_run_ns, layout=layout, status=case.status, t_utc_ns=case.t_utc_ns)
    for stop in [*sorted(cuts), rows]:
        if stop > start:
            block = whole.rows(start, stop)
            if cuts.get(start) == "layout":  # equal, but another object
                object.__setattr__(block, "layout", Layout(layout.channels))
            results.append(engine.process(block, start))
            decisions += results[-1].decisions
        if stop in cuts:
            engine = _act(cuts[stop], case, engine, decisions)
        start = stop
    through: dict[str, int] = {}
    for decision in decisions:
        assert decision.decided_through_n >= through.get(decision.rule, -1)
        through[decision.rule] = decision.decided_through_n
    through = {rule: n for rule, n in through.items() if n >= 0}
    shape = (len(case.values), 0)
    return Outcome(
        np.concatenate([np.zeros(shape, np.uint8), *(result.flag for result in results)], axis=1),
        np.concatenate([np.zeros(shape, np.int64), *(result.reason for result in results)], axis=1),
        np.concatenate([np.zeros(shape, np.int64), *(result.unevaluated for result in results)], axis=1),
        _rows(decisions),
        through,
        _rows(engine.flush("dut")),
    )


def _series(case: Case, cuts: dict[int, str], c: int, begin: int, end: int) -> Series:
    cut = slice(begin, end)
    return Series(
        [float(x) for x in case.values[c, cut]], [int(s) for s in case.status[c, cut]],
        case.t_run_ns[cut], case.t_utc_ns[cut], {k - begin for k, action in cuts.items() if action == "gap"},
    )  # fmt: skip


def expected(case: Case, cuts: dict[int, str]) -> Outcome:
    """Judge a case by the twins. Where all is forgotten, a new series begins."""
    rows = len(case.t_run_ns)
    begins = sorted({0, *(k for k, action in cuts.items() if action == "forget" and k < rows)})
    judged: list[list[twin_engine.Judged]] = []
    decided: list[tuple[str, int, str, int, bool]] = []
    pending: list[tuple[str, int, str, int, bool]] = []
    for c in range(len(case.values)):
        qc, parts = case.rules.get(f"c{c}"), []
        for begin, end in zip(begins, [*begins[1:], rows], strict=True):
            others = {f"c{k}": _series(case, cuts, k, begin, end) for k in range(len(case.values))}
            found = twin_engine.judge(others[f"c{c}"], qc, others, INTERVAL_S)
            parts.append(found)
            closed = end < rows or cuts.get(rows) in {"gap", "forget"}
            for rule in found.later:
                required = bool(qc and getattr(qc, rule).required)
                decided += [
                    (rule, begin + k, f"c{c}", flag, required) for k, flag in found.later[rule].items()
                ]
                (decided if closed else pending).extend(
                    (rule, begin + k, f"c{c}", twin.NOT_EVALUATED, required) for k in found.pending[rule]
                )
        judged.append(parts)

    def column(attribute: str, dtype: type) -> np.ndarray:
        return np.array(
            [[v for part in parts for v in getattr(part, attribute)] for parts in judged], dtype=dtype
        )

    through_n = {
        rule: min([row[1] - 1 for row in pending if row[0] == rule] + [rows - 1])
        for rule in twin_engine.FUTURE
        if rows > 0 and any(getattr(qc, rule) is not None for qc in case.rules.values())
    }
    through_n = {rule: n for rule, n in through_n.items() if n >= 0}
    return Outcome(
        column("flag", np.uint8), column("reason", np.int64), column("unevaluated", np.int64),
        sorted(decided), through_n, sorted(pending),
    )  # fmt: skip


def assert_same(found: Outcome, wanted: Outcome) -> None:
    np.testing.assert_array_equal(found.flag, wanted.flag)
    np.testing.assert_array_equal(found.reason, wanted.reason)
    np.testing.assert_array_equal(found.unevaluated, wanted.unevaluated)
    assert found.decided == wanted.decided
    assert found.rest == wanted.rest
    assert found.through_n == wanted.through_n


@settings(max_examples=200)
@given(cases())
def test_any_cut_and_any_restart_equal_the_twins(case: Case) -> None:
    assert_same(stream(case, case.cuts), expected(case, case.cuts))


@settings(max_examples=60)
@given(cases(actions=["cut", "snapshot", "layout"], moments=True))
def test_cutting_and_restoring_change_nothing_against_the_whole(case: Case) -> None:
    assert_same(stream(case, case.cuts), stream(case, {}))


@settings(max_examples=60)
@given(cases(moments=True), st.sampled_from([1, 7, 100]))
def test_pieces_of_one_size_equal_the_whole(case: Case, size: int) -> None:
    pieces = dict.fromkeys(range(size, len(case.t_run_ns), size), "cut")
    assert_same(stream(case, pieces), stream(case, {}))


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 5.0]) | st.floats(0, 1), min_size=20, max_size=150),
    st.lists(st.sampled_from([1, 10, 50, 100, 200]), min_size=20, max_size=150),
    two(DURATIONS_S),
    st.sampled_from([0.0, 0.1, 1.0]),
)
def test_a_flat_line_window_that_overflows_says_less_but_never_something_else(
    values: list[float], steps_ms: list[int], durations_s: tuple[float | None, float | None], tolerance: float
) -> None:
    rows = min(len(values), len(steps_ms))
    times = [int(t) for t in np.cumsum(np.array(steps_ms[:rows]) * 1_000_000)]
    qc = FlatLineQc(tolerance=tolerance, suspect_s=durations_s[0], fail_s=durations_s[1])
    engine = engine_of({"c0": ChannelQc(flat_line=qc)}, interval_s=1.0)  # room for 10 to 12 readings
    result = engine.process(block_of([values[:rows]], times), 0)
    wanted = twin.flat_line_twin(Series(values[:rows], [0] * rows, times, times), qc)
    bit = 1 << twin_engine.BITS["flat_line"]
    for k in range(rows):
        if not result.unevaluated[0, k] & bit:
            # After a restart the run is known to be flat for the shorter duration before the longer one.
            allowed = {wanted[k]} | ({twin.SUSPECT} if wanted[k] == twin.FAIL else set())
            assert result.flag[0, k] in allowed


@settings(max_examples=120)
@given(
    st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.15, 0.2, 5.0]), min_size=5, max_size=ROWS_MAX),
    st.lists(
        st.sampled_from([0, 1, 2, 250_000_000, 499_999_999, 500_000_000, 500_000_001, 1_000_000_000]),
        min_size=ROWS_MAX,
        max_size=ROWS_MAX,
    ),
    two(st.sampled_from([1.0, 1.000000001, 2.0])),
    st.sampled_from([0.0, 0.05, 0.1, 0.2]),
)
def test_flat_windows_are_exact_to_the_nanosecond(
    values: list[float], steps_ns: list[int], durations_s: tuple[float | None, float | None], tolerance: float
) -> None:
    rows = len(values)
    times = [int(t) for t in np.cumsum(np.array(steps_ns[:rows], dtype=np.int64))]
    qc = FlatLineQc(tolerance=tolerance, suspect_s=durations_s[0], fail_s=durations_s[1], required=True)
    found = engine_of({"c0": ChannelQc(flat_line=qc)}, INTERVAL_S).process(block_of([values], times), 0)
    assert found.flag[0].tolist() == twin.flat_line_twin(Series(values, [0] * rows, times, times), qc)
