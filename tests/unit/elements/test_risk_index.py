"""The operational risk index: what counts, for whom, how long, and that every point is explained."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.elements.reason_texts import REASONS
from pipeline.elements.risk.index import add_event, explain, index_of, level_of
from pipeline.elements.risk.settings import RiskSettings
from pipeline.elements.risk.state import CODES_MAX, EVENTS_MAX, OpenGap, RiskEvent, RiskState, RiskSubject
from pipeline.elements.risk.weights import WEIGHTS, counted_as, event_weight, reason_weight
from pipeline.records.events import event_body
from pipeline.records.events_catalogue import CATALOGUE
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    HOUR,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    balance,
    metrology,
    sample,
)
from tests.unit.elements.risky import clean, explained, gap


def index(bench: Bench, subject: str = "lab") -> float:
    return float(explained(bench, subject)["index"])


def codes(bench: Bench, subject: str = "lab") -> list[str]:
    return sorted(each["code"] for each in explained(bench, subject)["contributions"])


def test_a_day_without_trouble_has_an_index_of_nought() -> None:
    bench = clean(tasks=2)
    shown = bench.shown("risk")
    assert {row["subject"] for row in shown["subjects"]} >= {
        "lab", "element:people", "element:measurement", "instrument:bal-1", f"person:{ANALYST}",
        "method:weighing",
    }  # fmt: skip
    assert {row["level"] for row in shown["subjects"]} == {"ordinary"}
    assert {row["tasks"] for row in shown["subjects"]} == {3}
    assert index(bench, "element:people") == 0.0
    assert codes(bench, "element:people") == []


def test_a_breach_counts_for_its_element_instrument_method_and_lab_and_for_nobody_else() -> None:
    bench = clean()
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})
    task = bench.weigh()
    bench.tick()
    for subject in ("lab", "element:equipment", "instrument:bal-1", "method:weighing"):
        shown = bench.shown("risk", subject)
        (told,) = [
            each
            for each in shown["contributions"]
            if each["code"] == "calibration-overdue" and each["task"] == task
        ]
        assert told["seq_first"] in {
            r.seq for r in bench.of_kind("verdict") if r.body["element"] == "equipment"
        }
    for subject in (f"person:{ANALYST}", "element:people", "element:environment"):
        assert "calibration-overdue" not in codes(bench, subject)


def test_contributions_add_up_to_the_index_exactly() -> None:
    bench = clean(tasks=2)
    gap(bench, 3.3)
    bench.enrol({("material", "S-1"): sample(received_at_ns=0)})
    bench.weigh(item="late")
    bench.tick(4000)
    for row in bench.shown("risk")["subjects"]:
        shown = bench.shown("risk", row["subject"])
        assert math.fsum(each["points"] for each in shown["contributions"]) == row["index"] == shown["index"]
    assert index(bench) > 0


def test_an_index_of_one_gap_follows_the_formula() -> None:
    bench = clean(half_life_days=10.0, minimum_tasks=4)
    gap(bench, 2.0)
    bench.tick()
    start = bench.now
    for days in (10, 20):
        bench.now = start + days * DAY
        bench.append("tick", {})
        work = 2.0 ** (-(days + 8e-5) / 10)
        assert work < 4
        assert index(bench, "instrument:bal-1") == pytest.approx(
            100 * 2.0 * 2.0 ** (-days / 10) / 4, rel=1e-4
        )


def test_only_ticks_make_it_older() -> None:
    bench = clean()
    gap(bench, 2.0)
    bench.tick()
    before = index(bench)
    bench.advance(1000 * 86_400)
    bench.append("event", event_body("slow-sync", seconds=1))
    assert index(bench) == before
    bench.append("tick", {})
    assert index(bench) < before / 1000


def test_work_done_lowers_a_rate_once_it_is_enough_for_one() -> None:
    bench = clean(minimum_tasks=2)
    gap(bench, 2.0)
    bench.tick()
    few = bench.shown("risk", "instrument:bal-1")
    assert few["basis"] == "few-tasks"
    assert few["index"] == pytest.approx(100.0, rel=1e-3)
    for _ in range(3):
        bench.check_passes()
    enough = bench.shown("risk", "instrument:bal-1")
    assert enough["basis"] == "enough"
    assert enough["index"] == pytest.approx(50.0, rel=1e-3)


def test_a_task_that_could_not_be_judged_is_no_work_and_counts_against() -> None:
    bench = clean(tasks=1)
    before = bench.shown("risk", "lab")
    bench.enrol({("material", "S-1"): sample(hold_limit_s=None)})
    bench.weigh(item="unknown")
    after = bench.shown("risk", "lab")
    assert after["tasks"] == before["tasks"]
    assert after["index"] > before["index"]
    people = bench.shown("risk", "element:people")
    assert people["tasks"] == 3, "the people of that task were judged"


def test_a_gap_that_lasts_raises_the_index_with_every_tick_and_counts_once_when_it_ends() -> None:
    bench = clean()
    gap(bench, 0.0, ended=False)
    start, found = bench.now, []
    for _ in range(4):
        bench.tick(1800)
        found.append(index(bench, "instrument:bal-1"))
    assert found == sorted(found)
    assert found[0] < found[-1] == pytest.approx(100 * 2.0 / 10, rel=1e-3)
    assert codes(bench, "instrument:bal-1") == ["gap-open"]
    bench.now = start
    gap(bench, 2.0)
    assert codes(bench, "instrument:bal-1") == ["gap"]
    assert index(bench, "instrument:bal-1") == pytest.approx(found[-1], rel=1e-3)


def test_an_announced_silence_does_not_count() -> None:
    bench = clean()
    gap(bench, 5.0, cause="service-state")
    assert index(bench) == 0.0


def test_a_later_verdict_counts_only_for_what_is_new_in_it() -> None:
    bench = clean()
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(confirmed_by=None))})
    bench.weigh()
    before = codes(bench, "element:equipment")
    assert before == ["certificate-not-confirmed"] * 2, "of the check and of the test"
    changed = metrology(confirmed_by=None, due_ns=UTC0 - DAY)
    bench.enrol({("equipment", "EQ-1"): balance(metrology=changed)})
    bench.air(2)
    assert codes(bench, "element:equipment") == ["calibration-overdue"] * 2 + before


def test_an_aborted_task_counts_a_little_and_its_verdicts_do_not() -> None:
    bench = clean()
    task = bench.start()
    bench.do("task.abort", task=task, reason="spilled")
    bench.air(6)
    assert codes(bench) == ["task-aborted"]


def test_a_disposition_that_takes_a_result_back_counts() -> None:
    bench = clean()
    task = bench.weigh()
    shown = bench.view(task)
    args = {"task": task, "disposition": "recall", "reason": "wrong sample", "signed_hash": shown["to_sign"]}
    bench.do("hold.release", bench.someone(SIGNER), **args)
    assert "result-recalled" in codes(bench)


def test_a_level_is_entered_at_its_threshold_and_left_only_well_below() -> None:
    settings = RiskSettings(attention_from=20, action_from=60, leave_share=0.7)
    path = [0, 19.9, 20, 15, 14.1, 13.9, 30, 60, 43, 41.9, 14.1, 13, 100, 1]
    level, found = "ordinary", []
    for value in path:
        level = level_of(value, level, settings)  # type: ignore[arg-type]
        found.append(level)
    o, a, x = "ordinary", "attention", "action"
    assert found == [o, o, a, a, a, o, a, x, x, a, a, o, x, o]


def test_a_change_of_level_is_an_event_with_the_records_behind_it() -> None:
    bench = clean(attention_from=5, action_from=50)
    gap(bench, 1.0)
    bench.tick()
    told = [r.body["args"] for r in bench.of_kind("event") if r.body["code"] == "risk-level"]
    assert {each["subject"] for each in told} == {"lab", "element:measurement", "instrument:bal-1"}
    assert {(each["before"], each["level"]) for each in told} == {("ordinary", "attention")}
    assert {tuple(each["seqs"]) for each in told} == {(bench.of_kind("gap")[-1].seq,)}
    bench.now += 300 * DAY
    bench.append("tick", {})
    back = [r.body["args"] for r in bench.of_kind("event") if r.body["code"] == "risk-level"][3:]
    assert {(each["before"], each["level"]) for each in back} == {("attention", "ordinary")}


def test_older_events_are_summed_up_by_code_and_the_index_stays() -> None:
    settings, state, naive = RiskSettings(), RiskState(), []
    subject = state.subjects["lab"] = RiskSubject()
    for number in range(3 * EVENTS_MAX):
        event = RiskEvent(f"code-{number % 3}", number, number * HOUR, 1.0 + number % 5)
        naive.append(event)
        add_event(subject, event, settings)
    state.now_run_ns = 4 * EVENTS_MAX * HOUR
    assert len(subject.events) == EVENTS_MAX
    assert len(subject.earlier) == 3
    expected = math.fsum(
        10 * event.weight * 2 ** (-(state.now_run_ns - event.t_run_ns) / (30 * DAY)) for event in naive
    )
    assert index_of(state, "lab", settings) == pytest.approx(expected, rel=1e-12)
    contributions = explain(state, "lab", settings)
    assert sum(each.count for each in contributions) == 3 * EVENTS_MAX
    assert math.fsum(each.points for each in contributions) == index_of(state, "lab", settings)


def test_codes_beyond_the_bound_are_summed_up_together() -> None:
    settings, subject = RiskSettings(), RiskSubject()
    for number in range(EVENTS_MAX + CODES_MAX + 50):
        add_event(subject, RiskEvent(f"code-{number}", number, number, 1.0), settings)
    assert len(subject.earlier) == CODES_MAX + 1
    assert subject.earlier["other"].count == 50


hours = st.floats(0.01, 100.0)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0.1, 10.0)), max_size=20), hours, st.floats(0, 50))
def test_missing_data_never_lowers_an_index(
    events: list[tuple[int, float]], missing_hours: float, work: float
) -> None:
    settings, state = RiskSettings(), RiskState(now_run_ns=10**6 * SECOND)
    subject = state.subjects["instrument:x"] = RiskSubject(work=work, work_run_ns=state.now_run_ns)
    for t_s, weight in sorted(events):
        add_event(subject, RiskEvent("hold", 1, t_s * SECOND, weight), settings)
    before = index_of(state, "instrument:x", settings)
    state.gaps["x"] = OpenGap(state.now_run_ns - round(missing_hours * HOUR), 7)
    during = index_of(state, "instrument:x", settings)
    assert during > before
    del state.gaps["x"]
    add_event(subject, RiskEvent("not-told", 9, state.now_run_ns, settings.not_evaluated_weight), settings)
    assert index_of(state, "instrument:x", settings) > before


def test_a_laboratory_sets_its_own_weights() -> None:
    settings = RiskSettings(weights={"slow-sync": 2.0, "identity-mismatch": 0.0})
    assert event_weight("slow-sync", settings) == 2.0
    assert event_weight("slow-sync", RiskSettings()) == 0.0
    assert reason_weight("identity-mismatch", "hold", settings) == 0.0
    assert reason_weight("no-such-code", "hold", settings) == settings.hold_weight
    assert reason_weight("no-such-code", "not_evaluated", settings) == settings.not_evaluated_weight


def test_thresholds_that_cross_are_refused() -> None:
    with pytest.raises(ValidationError, match="action_from"):
        RiskSettings(attention_from=60, action_from=50)


def test_every_weight_belongs_to_a_code_that_exists() -> None:
    own = {"task-aborted", "result-recalled", "result-void", "result-amended"}
    assert set(WEIGHTS) - own <= {counted_as(code) for code in CATALOGUE} | set(REASONS)


def test_an_event_and_a_reason_that_share_a_code_are_counted_apart() -> None:
    shared = {code for code in CATALOGUE if code in REASONS and counted_as(code) == code}
    assert {code for code in shared if event_weight(code, RiskSettings())} == set()
    bench = clean()
    bench.append("event", event_body("qc-failed", instrument="bal-1", n=1, error="no kernel"))
    assert codes(bench) == ["qc-rules-failed"]
    assert reason_weight("qc-failed", "hold", RiskSettings()) == RiskSettings().hold_weight


def test_subjects_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.elements.risk.part.SUBJECTS_MAX", 5)
    bench = clean(tasks=1)
    assert len(bench.elements._fold.state.risk.subjects) == 5
