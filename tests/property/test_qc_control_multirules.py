"""The control rules equal their naive twin, however the observations are cut, saved and taken up again."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.qc.control import ChartId, ControlMonitor, MultiruleQc, assign
from pipeline.qc.control.charts import Chart
from pipeline.qc.control.table import BY_NAME, RULES
from tests.unit.qc.control import control_twin as twin

CHARTS = [(0.0, 1.0), (5.0, 0.1), (200.0, 4.0)]
NASTY = [math.nan, math.inf, -math.inf, 1e300, -1e300, 5e-324, -0.0, 9.9e37, 1.7976931348623157e308]
RULE_NAMES = [rule.name for rule in RULES[1:]]


def chart_of(position: int) -> Chart:
    centre, sd = CHARTS[position]
    about = ChartId("glucose", f"material-{position}", "1")
    chart = assign(about, "lot-1", "mmol/L", centre, sd, proposed_by="p1", reason="test")
    return chart.approve("p2", 0, "test")


def monitor(qc: MultiruleQc) -> ControlMonitor:
    return ControlMonitor([chart_of(position) for position in range(len(CHARTS))], qc)


@st.composite
def values(draw: st.DrawFn, position: int) -> float:
    centre, sd = CHARTS[position]
    k = draw(
        st.sampled_from([-3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    )
    x = round(centre + k * sd, 3)
    beside = draw(st.sampled_from([0, 0, 0, 1, -1]))
    near = math.nextafter(x, math.inf * beside) if beside else x
    return draw(st.sampled_from([near] * 20 + NASTY) | st.floats(centre - 4 * sd, centre + 4 * sd))


@st.composite
def quiet_values(draw: st.DrawFn, position: int, low: float, high: float) -> float:
    centre, sd = CHARTS[position]
    return draw(st.sampled_from([math.nan]) | st.floats(centre + low * sd, centre + high * sd))


@st.composite
def observations(draw: st.DrawFn) -> twin.Series:
    """Stretches of a character of their own, so that long runs come up."""
    count = draw(st.integers(1, len(CHARTS)))
    x: list[float] = []
    chart: list[int] = []
    for _ in range(draw(st.integers(1, 4))):
        band = draw(st.sampled_from([None, (-1.1, 1.1), (0.0, 2.2), (-3.2, -0.9), (0.9, 2.5)]))
        for _ in range(draw(st.integers(1, 18))):
            position = draw(st.integers(0, count - 1))
            x.append(draw(values(position) if band is None else quiet_values(position, *band)))
            chart.append(position)
    steps = draw(st.lists(st.sampled_from([0, 0, 0, 1]), min_size=len(x), max_size=len(x)))
    return twin.Series(x, chart, [int(run) for run in np.cumsum(steps)], CHARTS)


@st.composite
def rules(draw: st.DrawFn) -> MultiruleQc:
    names = draw(st.permutations(RULE_NAMES))
    on = names[: draw(st.integers(1, len(names)))]
    cut = draw(st.integers(0, len(on)))
    required = draw(st.sets(st.sampled_from(on), max_size=3))
    scoped = draw(st.sets(st.sampled_from(on)))
    scopes = {
        name: tuple(sorted(draw(st.sets(st.sampled_from(BY_NAME[name].scopes), min_size=1))))
        for name in scoped
    }
    return MultiruleQc(
        warn=tuple(on[:cut]), reject=tuple(on[cut:]), required=tuple(sorted(required)), scopes=scopes,
        r_4s=draw(st.sampled_from(["opposite", "range"])),
    )  # fmt: skip


def expected(series: twin.Series, qc: MultiruleQc) -> list[tuple[int, list[int], list[int], int]]:
    on = {*qc.warn, *qc.reject}
    enabled = {scope: {name for name in on if scope in qc.scopes_of(name)} for scope in twin.SCOPES}
    judged = twin.judge(series, enabled, set(qc.warn), set(qc.reject), set(qc.required), qc.r_4s)
    return [
        (flag, [twin.mask(names) for names in hits], [twin.mask(names) for names in short], before)
        for flag, hits, short, before in judged
    ]


def found(
    series: twin.Series, qc: MultiruleQc, cuts: list[int], *, saved: bool
) -> list[tuple[int, list[int], list[int], int]]:
    seen, total = [], []
    at = monitor(qc)
    for start, end in zip([0, *cuts], [*cuts, len(series.x)], strict=True):
        judged = at.judge(
            np.array(series.x[start:end], np.float64),
            np.array(series.chart[start:end], np.int64),
            np.array(series.run[start:end], np.int64),
        )
        seen.append(judged)
        if saved:
            state, at = at.snapshot(), monitor(qc)
            assert at.restore(state) == ()
            assert at.snapshot() == state
    for judged in seen:
        total += [
            (
                int(judged.flag[k]), judged.reason[:, k].tolist(), judged.unevaluated[:, k].tolist(),
                int(judged.missing_before[k]),
            )
            for k in range(len(judged.flag))
        ]  # fmt: skip
    assert sum(at.missing()) == sum(map(math.isnan, series.x))
    return total


@settings(max_examples=300)
@given(observations(), rules(), st.data())
def test_rules_equal_their_twin_however_the_observations_are_cut(
    series: twin.Series, qc: MultiruleQc, data: st.DataObject
) -> None:
    places = st.lists(st.integers(0, len(series.x)), max_size=4)
    cuts = sorted(data.draw(places, label="cuts"))
    assert found(series, qc, cuts, saved=data.draw(st.booleans(), label="saved")) == expected(series, qc)


@given(st.integers(-4000, 4000), st.integers(-4000, 4000))
def test_a_range_is_judged_as_it_stands_on_paper(first: int, second: int) -> None:
    qc = MultiruleQc(warn=(), reject=("R-4s",), r_4s="range")
    judged = monitor(qc).judge([5 + first / 10000, 5 + second / 10000], [1, 1], [0, 0])
    assert (judged.flag[1] == 4) == (abs(first - second) > 4000)
