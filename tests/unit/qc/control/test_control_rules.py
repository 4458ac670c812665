"""Control rules one by one: published data, limits, runs, scopes, words, and what a restart keeps."""

import math
from itertools import chain

import msgpack
import numpy as np
import pytest
from pydantic import ValidationError

from config.errors import SettingError
from pipeline.qc.control import ChartId, ControlMonitor, Judged, MultiruleQc, assign, explain_observation
from pipeline.qc.control.charts import Chart
from pipeline.qc.control.explain import explain_rule
from pipeline.qc.control.table import BY_NAME, RULES, SCOPES, Scope, mask_of, names_of
from tests.unit.qc.control import control_twin as twin

# Westgard QC, "Break all the rules", part one: one control, mean 47, SD 3; the first 61 values.
BREAK_ALL = [
    42.5, 55.1, 46.4, 47.0, 43.1, 56.9, 41.3, 44.9, 45.5, 41.3, 47.0, 37.7, 41.6, 53.3, 55.4, 44.6, 47.3,
    48.2, 41.3, 42.8, 44.3, 47.6, 44.3, 45.8, 47.6, 39.8, 39.8, 50.9, 49.7, 45.5, 45.2, 47.3, 47.9, 44.3,
    40.1, 48.2, 40.7, 41.9, 43.4, 43.7, 49.7, 42.2, 52.1, 44.6, 45.2, 45.8, 41.6, 41.3, 44.9, 43.7, 45.2,
    50.6, 50.3, 51.2, 51.5, 44.3, 41.6, 53.9, 48.8, 48.2, 50.6,
]  # fmt: skip
# The page marks the stretch that breaks a rule; these are the stretches' last values, counted from 1.
BREAK_ALL_COMPLETED = {"1-3s": [6, 12], "2-2s": [15, 27], "4-1s": [40, 55], "8x": [51]}


def chart(
    centre: float,
    sd: float,
    *,
    material: str = "m",
    version: int = 1,
    unit: str = "mg/dL",
    lot: str = "lot-1",
) -> Chart:
    about = ChartId("glucose", material, "1")
    made = assign(about, lot, unit, centre, sd, proposed_by="p1", reason="test")
    for _ in range(version - 1):
        made = assign(about, lot, unit, centre, sd, proposed_by="p1", reason="test", previous=made)
    return made.approve("p2", 0, "test")


def only(rule: str, scope: str | None = None, *, r_4s: str = "opposite") -> MultiruleQc:
    scopes = {} if scope is None else {rule: (scope,)}
    return MultiruleQc.model_validate({"warn": (), "reject": (rule,), "scopes": scopes, "r_4s": r_4s})


def failed(qc: MultiruleQc, z: list[float], runs: list[int] | None = None) -> list[int]:
    """Positions of the values that fail on a chart with centre 0 and SD 1."""
    judged = ControlMonitor([chart(0, 1)], qc).judge(z, [0] * len(z), runs or list(range(len(z))))
    return np.flatnonzero(judged.flag == 4).tolist()


def completed(judged: Judged, rule: str) -> list[int]:
    bit = BY_NAME[rule].bit
    return [k + 1 for k in range(len(judged.flag)) if any(judged.reason[:, k] >> bit & 1)]


def test_published_example_is_flagged_where_each_stretch_is_complete() -> None:
    qc = MultiruleQc(reject=("1-3s", "2-2s", "4-1s", "8x"))
    judged = ControlMonitor([chart(47, 3)], qc).judge(BREAK_ALL, [0] * 61, range(61))
    assert {rule: completed(judged, rule) for rule in BREAK_ALL_COMPLETED} == BREAK_ALL_COMPLETED
    assert completed(judged, "1-2s") == [2, 6, 12, 14, 15, 26, 27, 35, 37, 58]
    assert judged.z[1] == pytest.approx(2.7)


@pytest.mark.parametrize(
    ("rule", "z", "where"),
    [
        ("1-2s", [2.0, 2.0000001, -2.0, -2.0000001], [1, 3]),
        ("1-3s", [3.0, 3.0000001, -3.0, -3.0000001], [1, 3]),
        ("nelson-1", [3.0, 3.1], [1]),
        ("western-electric-1", [-3.0, -3.1], [1]),
        ("2-2s", [2.1, 2.1, -2.1, -2.1, 2.1], [1, 3]),
        ("2-2s", [2.1, 2.0, 2.1], []),
        ("2of3-2s", [2.1, 0.0, 2.1, 0.0, 0.0, 2.1], [2]),
        ("2of3-2s", [2.1, 2.1, 0.0], [1]),
        ("2of3-2s", [2.1, 0.0, -2.1], []),
        ("3-1s", [1.1, 1.1, 1.1, 1.0, 1.1, 1.1], [2]),
        ("4-1s", [-1.1] * 5, [3, 4]),
        ("6x", [0.1] * 6, [5]),
        ("6x", [0.1] * 5 + [0.0] + [0.1] * 5, []),
        ("8x", [-0.1] * 8, [7]),
        ("9x", [0.1] * 9, [8]),
        ("10x", [0.1] * 11, [9, 10]),
        ("12x", [0.1] * 12, [11]),
        ("7T", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [6]),
        ("7T", [0.0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 0.6], []),
        ("7T", [0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0], [6]),
        ("nelson-2", [0.1] * 9, [8]),
        ("nelson-3", [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], [5]),
        ("nelson-3", [0.0, 0.1, 0.2, 0.3, 0.4], []),
        ("nelson-4", [0.0, 1.0] * 7, [13]),
        ("nelson-4", [0.0, 1.0] * 6 + [0.0], []),
        ("nelson-4", [0.0, 1.0] * 3 + [1.0] + [0.0, 1.0] * 3, []),
        ("nelson-5", [2.1, 0.0, 2.1], [2]),
        ("nelson-6", [1.1, 1.1, 0.0, 1.1, 1.1], [4]),
        ("nelson-6", [1.1, 1.1, 1.1, 1.1, 0.0], [3]),
        ("nelson-7", [0.9, -0.9, 0.0] * 5, [14]),
        ("nelson-7", [0.9, -0.9, 1.0] * 5, []),
        ("nelson-8", [1.1, -1.1] * 4, [7]),
        ("nelson-8", [1.1] * 8, []),
        ("nelson-8", [1.1, -1.0] * 4, []),
        ("western-electric-2", [-2.1, -2.1], [1]),
        ("western-electric-3", [-1.1] * 4, [3]),
        ("western-electric-4", [0.1] * 8, [7]),
    ],
)
def test_a_rule_flags_the_point_that_completes_it_and_no_earlier_one(
    rule: str, z: list[float], where: list[int]
) -> None:
    assert failed(only(rule, "within-material"), z) == where


def test_every_rule_is_tried_above() -> None:
    (mark,) = test_a_rule_flags_the_point_that_completes_it_and_no_earlier_one.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in mark.args[1]} | {"R-4s", "missing"} == set(BY_NAME)


@pytest.mark.parametrize(
    ("reading", "z", "where"),
    [
        ("opposite", [2.1, -2.1], [1]),
        ("opposite", [-2.1, 0.0, 2.1, 2.1], [2, 3]),
        ("opposite", [2.0, -2.1], []),
        ("opposite", [3.5, -1.5], []),
        ("range", [3.5, -1.5], [1]),
        ("range", [2.0, -2.0], []),
        ("range", [-2.5, 0.0, 1.4, 1.6], [3]),
    ],
)
def test_r_4s_has_two_readings(reading: str, z: list[float], where: list[int]) -> None:
    qc = only("R-4s", r_4s=reading)
    assert failed(qc, z, [0] * len(z)) == where
    assert failed(qc, z) == []  # each in a run of its own


def test_a_run_number_that_comes_back_is_a_new_run() -> None:
    assert failed(only("R-4s"), [2.1, 0.0, -2.1], [7, 8, 7]) == []


def test_a_value_on_a_line_passes_as_it_would_on_paper() -> None:
    # 5 + 3 * 0.1 lies above 5.3 in binary, and (5.2 - 5) / 0.1 above 2.
    qc = MultiruleQc(warn=("1-2s",), reject=("1-3s", "R-4s"), r_4s="range")
    judged = ControlMonitor([chart(5.0, 0.1)], qc).judge([5.2, 4.8, 5.3, 5.21], [0] * 4, [1, 1, 2, 3])
    assert judged.flag.tolist() == [1, 1, 3, 3]


def test_missing_values_are_counted_and_leave_runs_as_they_were() -> None:
    monitor = ControlMonitor([chart(0, 1)], only("3-1s"))
    judged = monitor.judge([1.1, math.nan, 1.1, math.nan, math.nan, 1.1], [0] * 6, range(6))
    assert judged.flag.tolist() == [2, 9, 2, 9, 9, 4]
    assert judged.missing_before.tolist() == [0, 0, 1, 0, 1, 2]
    assert monitor.missing() == (3,)
    assert names_of(int(judged.reason[1, 1])) == ("missing",)
    assert names_of(int(judged.unevaluated[1, 1])) == ("3-1s",)


def test_infinite_values_are_beyond_every_line() -> None:
    qc = MultiruleQc(reject=("1-3s", "R-4s"), r_4s="range")
    judged = ControlMonitor([chart(0, 1)], qc).judge([math.inf, -math.inf, math.inf], [0] * 3, [0, 0, 1])
    assert judged.flag.tolist() == [4, 4, 4]
    assert ("R-4s", "within-run") in judged.fired(1)


def test_a_rule_without_enough_observations_is_not_evaluated() -> None:
    monitor = ControlMonitor([chart(0, 1)], MultiruleQc(reject=("2-2s",), required=("2-2s",)))
    judged = monitor.judge([0.0, 0.0, 2.1], [0] * 3, range(3))
    assert judged.flag.tolist() == [2, 1, 3]
    assert names_of(int(judged.unevaluated[SCOPES.index("within-material"), 0])) == ("2-2s",)


def test_scopes_say_which_observations_are_consecutive() -> None:
    charts = [chart(200, 4, material="low"), chart(250, 5, material="high")]
    values, which, runs = [208.1, 260.1, 200.0, 250.0, 208.1, 250.0], [0, 1] * 3, [0, 0, 1, 1, 2, 2]

    def fails(scope: str) -> list[int]:
        judged = ControlMonitor(charts, only("2-2s", scope)).judge(values, which, runs)
        return np.flatnonzero(judged.flag == 4).tolist()

    assert fails("within-run") == [1]
    assert fails("within-material") == []
    assert fails("across-materials") == [1]
    values[2] = 208.1
    assert fails("within-material") == [2, 4]
    assert fails("across-materials") == [1, 2]


def test_a_trend_across_materials_compares_distances_in_sd() -> None:
    charts = [chart(5.0, 0.1, material="low"), chart(250, 5, material="high")]
    rising = list(chain.from_iterable((5.0 + k / 100, 250.0 + (2 * k + 1) / 4) for k in range(6)))
    judged = ControlMonitor(charts, only("7T", "across-materials")).judge(rising, [0, 1] * 6, [0] * 12)
    assert np.flatnonzero(judged.flag == 4).tolist() == list(range(6, 12))
    level = [5.1, 255.0] * 7  # each one SD above on paper, in binary the first a little less
    judged = ControlMonitor(charts, only("nelson-4", "across-materials")).judge(level, [0, 1] * 7, [0] * 14)
    assert not judged.reason.any()


def test_a_new_version_of_a_chart_starts_with_an_empty_history() -> None:
    first = ControlMonitor([chart(0, 1), chart(0, 1, material="other")], only("6x", "within-material"))
    first.judge([0.1] * 10, [0, 1] * 5, [0] * 10)
    renewed = [chart(0, 1, version=2), chart(0, 1, material="other")]
    second = ControlMonitor(renewed, only("6x", "within-material"))
    assert second.restore(first.snapshot()) == (renewed[0],)
    assert second.judge([0.1, 0.1], [0, 1], [1, 1]).flag.tolist() == [2, 4]


def test_history_follows_its_chart_to_another_position() -> None:
    one, other = chart(0, 1), chart(10, 1, material="other")
    first = ControlMonitor([one, other], only("7T", "across-materials"))
    first.judge([0.0, 10.1, 0.2, 10.3, 0.4, 10.5], [0, 1] * 3, [0] * 6)
    second = ControlMonitor([other, one], only("7T", "across-materials"))
    assert second.restore(first.snapshot()) == ()
    assert second.judge([0.6], [1], [0]).flag.tolist() == [4]


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"\x01",
        msgpack.packb({}),
        msgpack.packb({"version": 1, "charts": [], "words": b"", "numbers": b""}),
    ],
)
def test_bytes_that_are_no_snapshot_are_refused(state: bytes) -> None:
    monitor = ControlMonitor([chart(0, 1)], only("1-3s"))
    with pytest.raises(ValueError, match="not a snapshot"):
        monitor.restore(state)


def test_a_snapshot_of_another_layout_restores_nothing() -> None:
    monitor = ControlMonitor([chart(0, 1)], only("1-3s"))
    assert monitor.restore(msgpack.packb({"version": 0})) == monitor.charts


@pytest.mark.parametrize(
    ("values", "charts", "runs", "message"),
    [
        ([1.0], [0, 0], [0], "as many of each"),
        ([1.0], [1], [0], "between 0 and 0"),
        ([1.0], [-1], [0], "between 0 and 0"),
        ([1.0], [0], [-1], "from 0"),
        ([1.0], [0.5], [0], "whole numbers"),
        ([[1.0]], [[0]], [[0]], "one dimension"),
    ],
)
def test_observations_that_do_not_fit_are_refused(
    values: list[float], charts: list[int], runs: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ControlMonitor([chart(0, 1)]).judge(values, charts, runs)


def test_no_observation_is_no_problem() -> None:
    assert len(ControlMonitor([chart(0, 1)]).judge([], [], []).flag) == 0


def test_a_proposed_chart_judges_nothing() -> None:
    proposed = assign(ChartId("a", "b", "c"), "l", "u", 0, 1, proposed_by="p1", reason="r")
    with pytest.raises(ValueError, match="not approved"):
        ControlMonitor([proposed])
    with pytest.raises(ValueError, match="same id"):
        ControlMonitor([chart(0, 1), chart(0, 1, version=2)])
    with pytest.raises(ValueError, match="not 0"):
        ControlMonitor([])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reject": ("1-3",)}, "no control rule '1-3'"),
        ({"reject": ("missing",)}, "no control rule 'missing'"),
        ({"reject": ("1-2s",)}, "warn and reject"),
        ({"required": ("12x",)}, "12x is not on"),
        ({"scopes": {"12x": ("within-run",)}}, "12x is not on"),
        ({"warn": (), "reject": ()}, "no control rule is on"),
        ({"scopes": {"R-4s": ("within-material",)}}, "R-4s cannot be used within-material"),
        ({"scopes": {"10x": ()}}, "in no scope"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises((ValidationError, SettingError), match=message):
        MultiruleQc.model_validate(settings)


def test_bits_are_never_moved() -> None:
    assert {rule.name: rule.bit for rule in RULES} == twin.BITS
    assert {rule.name: rule.points for rule in RULES} == twin.POINTS
    assert [RULES[k].bit for k in range(len(RULES))] == list(range(len(RULES)))
    assert names_of(mask_of(("10x", "1-2s"))) == ("1-2s", "10x")


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
@pytest.mark.parametrize("scope", SCOPES)
def test_every_rule_explains_itself_in_both_languages(rule: str, scope: Scope) -> None:
    for reading in ("opposite", "range"):
        texts = [
            explain_rule(rule, scope, 5.25, 2.5, chart=chart(5.0, 0.1), settings=only("R-4s", r_4s=reading),
                         language=language)
            for language in ("en", "zh")
        ]  # fmt: skip
        assert all("{" not in text for text in texts)
        assert texts[0].isascii() or "±" in texts[0]
        assert not texts[1].isascii()


def test_an_observation_is_explained_with_its_values() -> None:
    own = chart(200, 4)
    monitor = ControlMonitor([own])
    judged = monitor.judge([208.5, math.nan, 209.0], [0] * 3, range(3))
    english = explain_observation(judged, 2, 209.0, own, monitor.settings, "en")
    assert english[0] == "Westgard 1-2s: 209 mg/dL is beyond ±2 SD of 200 mg/dL (z = 2.25)"
    assert english[1].startswith(
        "Westgard 2-2s: 2 consecutive values within the material beyond the same 2 SD"
    )
    assert "1 missing value(s) came directly before" in english
    assert any(line.startswith("Westgard 10x not evaluated") for line in english)
    chinese = explain_observation(judged, 2, 209.0, own, monitor.settings, "zh")
    assert chinese[0] == "Westgard 1-2s：209 mg/dL 超出 200 mg/dL ± 2 SD（z = 2.25）"
    assert len(chinese) == len(english)
