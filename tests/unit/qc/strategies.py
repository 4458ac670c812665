"""Hypothesis strategies of the settings of the rules on windows, charts and expectations."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import strategies as st

from pipeline.qc.settings_charts import CusumQc, EwmaQc, HampelQc, LevelShiftQc, PageHinkleyQc
from pipeline.qc.settings_patterns import IdenticalQc, RedundancyQc, ScheduleQc
from pipeline.qc.settings_windows import CompletenessQc, NoiseQc, RateDevQc, RepeatedQc, StabilityQc

LIMITS = st.sampled_from([0.0, 5e-324, 0.1, 0.5, 1.0, 2.0, 10.0, 1e300])
GAPS_S = st.sampled_from([0.1, 1.0, 3.0, 100.0])
DURATIONS_S = st.sampled_from([1.0, 1.1, 2.0, 3.0])
START = datetime(1970, 1, 12, 13, 46, 40, tzinfo=UTC)
"""10**15 ns: where the series of the tests begin."""
CHARTS = ("ewma", "cusum", "page_hinkley", "hampel", "level_shift")
WINDOWS = (
    "repeated", "noise", "stability", "completeness", "identical", "schedule", "redundancy", "rate_dev",
)  # fmt: skip
SIZES = st.sampled_from([3, 5, 7])


def two(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Suspect and fail limit, in order; one may be absent."""
    pairs = st.tuples(values, values).map(lambda pair: (min(pair), max(pair)))
    return st.one_of(pairs, values.map(lambda v: (v, None)), values.map(lambda v: (None, v)))


@st.composite
def noises(draw: st.DrawFn, *, statistic: Literal["sd", "range"] = "range") -> NoiseQc:
    four = sorted(draw(st.lists(LIMITS, min_size=4, max_size=4)))
    keys = ["fail_low", "suspect_low", "suspect_high", "fail_high"]
    kept = draw(st.sets(st.sampled_from(range(4)), min_size=1))
    return NoiseQc(
        statistic=statistic, window_s=draw(DURATIONS_S), max_gap_s=draw(GAPS_S), required=draw(st.booleans()),
        **{keys[k]: four[k] for k in kept},
    )  # fmt: skip


@st.composite
def schedules(draw: st.DrawFn) -> ScheduleQc:
    steps = draw(st.lists(st.sampled_from([0.5, 1.0, 2.0]), max_size=5))
    times = [0.0] if draw(st.booleans()) else [1.0]
    for step in steps:
        times.append(times[-1] + step)
    values = draw(st.lists(st.sampled_from([0.0, 1.0, 2.0, -1.0]), min_size=len(times), max_size=len(times)))
    repeats = times[0] == 0.0 and draw(st.booleans())
    suspect, fail = draw(two(LIMITS))
    return ScheduleQc(
        start=START + timedelta(seconds=draw(st.sampled_from([-10, 0, 2]))),
        points=tuple(zip(times, values, strict=True)), between=draw(st.sampled_from(["hold", "line"])),
        lag_s=draw(st.sampled_from([0.0, 0.5, 1.0])), repeat_s=times[-1] + 2.0 if repeats else None,
        suspect=suspect, fail=fail, required=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def chart_rules(draw: st.DrawFn, kept: set[str]) -> dict[str, Any]:
    """Control charts and medians."""
    flag, gap = st.booleans(), GAPS_S
    (k, h, shift, rise, outlier) = (
        draw(two(LIMITS)) if kept & set(CHARTS) else (0.0, None) for _ in range(5)
    )
    makers: dict[str, Callable[[], Any]] = {
        "ewma": lambda: EwmaQc(
            weight=draw(st.sampled_from([0.1, 0.3, 1.0])), centre=draw(st.sampled_from([0.0, 1.0])),
            sigma=draw(st.sampled_from([0.1, 1.0])), suspect_k=k[0], fail_k=k[1], max_gap_s=draw(gap),
            required=draw(flag),
        ),
        "cusum": lambda: CusumQc(
            target=draw(st.sampled_from([0.0, 1.0, -1e308])), sigma=draw(st.sampled_from([0.1, 1.0])),
            suspect_h=h[0], fail_h=h[1], head_start=draw(st.sampled_from([0.0, 0.5])),
            reset=draw(st.sampled_from(["restart", "none"])), max_gap_s=draw(gap), required=draw(flag),
        ),
        "page_hinkley": lambda: PageHinkleyQc(
            delta=draw(st.sampled_from([0.0, 0.1])), suspect=rise[0], fail=rise[1],
            count_min=draw(st.sampled_from([2, 5])), max_gap_s=draw(gap), required=draw(flag),
        ),
        "hampel": lambda: HampelQc(
            suspect_k=outlier[0], fail_k=outlier[1], readings=draw(SIZES), max_gap_s=draw(gap),
            required=draw(flag)
        ),
        "level_shift": lambda: LevelShiftQc(
            suspect=shift[0], fail=shift[1], readings=draw(SIZES), max_gap_s=draw(gap), required=draw(flag)
        ),
    }  # fmt: skip
    return {name: make() for name, make in makers.items() if name in kept}


@st.composite
def window_rules(draw: st.DrawFn, kept: set[str], *, moments: bool) -> dict[str, Any]:
    """Windows and expectations; with `moments` also those whose arithmetic rounds (no twin bit for bit)."""
    flag, gap = st.booleans(), GAPS_S
    count, repeats = draw(two(st.integers(3, 8))), draw(two(st.integers(3, 8)))
    share, apart, step = draw(two(st.sampled_from([0.1, 0.5, 0.9]))), draw(two(LIMITS)), draw(two(LIMITS))
    shortest = min(n for n in count if n is not None)
    makers: dict[str, Callable[[], Any]] = {
        "repeated": lambda: RepeatedQc(
            suspect_n=repeats[0], fail_n=repeats[1], tolerance=draw(st.sampled_from([0.0, 0.1, 1.0])),
            max_gap_s=draw(gap), required=draw(flag),
        ),
        "noise": lambda: draw(noises(statistic="sd" if moments else "range")),
        "stability": lambda: StabilityQc(
            tolerance=draw(LIMITS), duration_s=draw(DURATIONS_S),
            max_gap_s=draw(gap), required=draw(flag),
        ),
        "completeness": lambda: CompletenessQc(
            suspect=share[1] if share[0] is not None else share[0],
            fail=share[0] if share[0] is not None else share[1],
            window_s=draw(DURATIONS_S), interval_s=draw(st.sampled_from([None, 0.1])), required=draw(flag),
        ),
        "identical": lambda: IdenticalQc(
            suspect_n=count[0], fail_n=count[1], history_n=draw(st.sampled_from([16, 20, 100])),
            changes_min=draw(st.integers(0, shortest - 1)), required=draw(flag),
        ),
        "schedule": lambda: draw(schedules()),
        "redundancy": lambda: RedundancyQc(
            partner=draw(st.sampled_from(["c0", "c1", "absent"])), suspect=apart[0], fail=apart[1],
            required=draw(flag),
        ),
    }  # fmt: skip
    if moments:
        makers["rate_dev"] = lambda: RateDevQc(
            suspect=step[0],
            fail=step[1],
            window_s=draw(DURATIONS_S),
            max_gap_s=draw(gap),
            required=draw(flag),
        )
    return {name: make() for name, make in makers.items() if name in kept}
