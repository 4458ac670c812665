"""Events in any order, late, repeated, with a restart anywhere: the fold says what the whole record says."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements import Elements
from pipeline.elements.risk import views as risk_views
from pipeline.elements.vocabulary import ELEMENTS
from pipeline.records.envelope import Record
from tests.support.naive_elements import NaiveElements, NaiveTask
from tests.unit.elements.bench import DAY, UTC0, balance, drafts_of, metrology, room
from tests.unit.elements.days import STEPS, Day, ended, lived
from tests.unit.elements.risky import explained

days = st.lists(st.sampled_from(sorted(set(STEPS) - {"nonsense"})), max_size=40)
FACTS = ("rows", "good", "missing", "min", "max", "seq_first", "seq_last")
OF_ENVIRONMENT = (*FACTS, "failed", "min_seq", "max_seq")


def lived_out(steps: list[str]) -> tuple[Day, NaiveElements]:
    bench = ended(lived(steps, settle=5.0, retained_tasks=1000))
    return bench, NaiveElements(bench.records, bench.settings.settle)


def facts_of(verdict: Record, target: str) -> dict[str, Any]:
    facts: dict[str, Any] = verdict.body["facts"]["channels"][target]
    return facts


def codes_of(verdict: Record) -> set[str]:
    return {reason["code"] for reason in verdict.body["reasons"]}


def limits_of(
    naive: NaiveElements, task: NaiveTask, owner: str, target: str, seq: int
) -> tuple[float, float]:
    place = naive.known("environment", owner, task.start["at_utc_ns"], seq)
    assert place is not None
    (channel,) = [each for each in place["channels"] if each["target"] == target]
    return channel["low"], channel["high"]


@given(days)
def test_environments_were_what_all_their_rows_say(steps: list[str]) -> None:
    _bench, naive = lived_out(steps)
    for task in naive.tasks():
        verdict = naive.verdicts(task.id)["environment"]
        assert verdict.body["finality"] == "final"
        for window in task.windows:
            if window.role == "measurand":
                continue
            told, plain = facts_of(verdict, window.target), naive.facts(window, task.last_seq)
            same = [other for other in task.windows if other.target == window.target]
            if len(same) > 1:
                continue  # two bindings of one place share a line of facts
            assert {name: told[name] for name in OF_ENVIRONMENT} == {
                name: plain[name] for name in OF_ENVIRONMENT
            }
            assert told["silence_max_s"] == pytest.approx(plain["silence_max_s"], abs=1e-9)
            low, high = limits_of(naive, task, window.owner, window.target, verdict.seq)
            outside = plain["min"] is not None and (plain["min"] < low or plain["max"] > high)
            subjects = {
                r["subject"] for r in verdict.body["reasons"] if r["code"] == f"{window.role}-excursion"
            }
            assert outside == (window.target in subjects)
            assert not outside or verdict.body["status"] == "hold"
            silent_s = max(plain["silence_max_s"], (window.to_ns - plain["last_ns"]) / 1e9)
            judged = {r["subject"] for r in verdict.body["reasons"] if r["code"] == f"{window.role}-stale"}
            assert (plain["min"] is not None and silent_s > 10.0) == (window.target in judged)


@given(days)
def test_readings_were_what_all_their_rows_and_late_flags_say(steps: list[str]) -> None:
    _bench, naive = lived_out(steps)
    for task in naive.tasks():
        verdict = naive.verdicts(task.id)["measurement"]
        for window in task.windows:
            if window.role != "measurand":
                continue
            told, plain = facts_of(verdict, window.target), naive.facts(window, task.last_seq)
            assert {name: told[name] for name in FACTS} == {name: plain[name] for name in FACTS}
            later = naive.decided(window, verdict.body["cause_seq"], task.last_seq)
            assert told["failed"] == plain["failed"] + later["failed"]
            assert told["suspect"] == later["suspect"]
            assert (plain["good"] == 0) == ("no-readings" in codes_of(verdict))


@given(days)
def test_instruments_were_overdue_if_the_registry_as_known_last_says_so(steps: list[str]) -> None:
    bench, naive = lived_out(steps)
    for task in naive.tasks():
        verdict = naive.verdicts(task.id)["equipment"]
        span = task.start["at_utc_ns"], task.end["at_utc_ns"]
        known = [naive.equipment("bal-1", at_ns, bench.records[-1].seq) for at_ns in span]
        overdue = any(
            entry is not None and at_ns > entry["metrology"]["due_ns"]
            for at_ns, entry in zip(span, known, strict=True)
        )
        assert overdue == ("calibration-overdue" in codes_of(verdict))
        assert not overdue or verdict.body["status"] == "hold"


@given(days)
def test_what_waits_for_a_person_follows_from_verdicts_and_dispositions(steps: list[str]) -> None:
    bench, naive = lived_out(steps)
    shown = {task["task"]: set(task["held"]) for task in bench.elements.tasks(1000) if task["held"]}
    assert shown == naive.held()


@given(days)
def test_the_risk_index_is_the_plain_sum_over_all_events(steps: list[str]) -> None:
    bench, naive = lived_out(steps)
    for name in ("lab", *(f"element:{element}" for element in ELEMENTS)):
        shown = explained(bench, name)
        index = shown["index"]
        assert index == pytest.approx(naive.risk(name, bench.settings.risk), rel=1e-9, abs=1e-9)
        points = [each["points"] for each in shown["contributions"]]
        assert math.fsum(points) == index


@given(days, st.data())
def test_restarts_and_repetitions_anywhere_change_nothing(steps: list[str], data: st.DataObject) -> None:
    bench, naive = lived_out(steps)
    fold = Elements(bench.settings)
    position, drafts = 0, []
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bench.records)), max_size=4)))
    for cut in cuts:
        drafts += drafts_of(bench.records[position:cut], fold)
        again = Elements(bench.settings)
        again.restore(fold.snapshot())
        fold, position = again, cut
        back = data.draw(st.integers(0, cut))
        assert drafts_of(bench.records[back:cut], fold) == []
    drafts += drafts_of(bench.records[position:], fold)
    assert [(d.kind, d.body) for d in drafts] == [(r.kind, r.body) for r in bench.records if r.by is not None]
    assert risk_views.overview(fold.fold.state.risk, bench.settings.risk) == bench.shown("risk")
    assert {task["task"]: set(task["held"]) for task in fold.tasks(1000) if task["held"]} == naive.held()


def test_then_and_now_after_a_certificate_was_corrected_for_the_past() -> None:
    bench = lived(["air", "stop", "wait"], settle=5.0)
    task = bench.elements.tasks(1)[0]["task"]
    then = bench.records[-1].seq
    before = {r.body["element"]: r.seq for r in bench.of_kind("verdict") if r.body["task"] == task}
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))}, from_ns=UTC0 - DAY)
    bench.tick()
    (as_known_then,) = bench.elements.registry("equipment", known_at_seq=then)[:1]
    (as_known_now,) = bench.elements.registry("equipment")[:1]
    assert as_known_then["data"]["metrology"]["due_ns"] == UTC0 + 100 * DAY
    assert as_known_now["data"]["metrology"]["due_ns"] == UTC0 - DAY
    verdict = bench.verdict(task, "equipment")
    assert "calibration-overdue" in {reason["code"] for reason in verdict["reasons"]}
    assert verdict["supersedes"] == before["equipment"]
    naive = NaiveElements(bench.records[: then + 1], 5.0)
    assert naive.verdicts(task)["equipment"].seq == before["equipment"]
    restored = Elements(bench.settings)
    drafts_of(bench.records[: then + 1], restored)
    shown = restored.task(task)
    assert shown is not None
    seqs = {each["element"]: each["seq"] for each in shown["verdicts"]}
    assert seqs == before, "the record up to then says what was said then"


def test_then_and_now_after_the_limits_of_a_room_were_corrected_for_the_past() -> None:
    bench = lived(["air", "stop", "wait"], settle=5.0)
    task = bench.elements.tasks(1)[0]["task"]
    assert "environment-excursion" not in bench.codes(task, "environment")
    for high, code in ((20.0, True), (26.0, False)):
        bench.enrol({("environment", "room"): room(high=high)}, from_ns=UTC0 - DAY)
        bench.tick()
        assert ("environment-excursion" in bench.codes(task, "environment")) == code
    assert "environment" in bench.view(task)["held"], "a later fact lifts no hold"
    versions = [r.seq for r in bench.of_kind("registry") if r.body["id"] == "room"]
    known = [bench.elements.registry("environment", known_at_seq=seq) for seq in versions]
    highs = [
        next(entry for entry in entries if entry["id"] == "room")["data"]["channels"][0]["high"]
        for entries in known
    ]
    assert highs == [26.0, 20.0, 26.0]
