"""Each detector has a day that fires it and a day, as like it as can be, that does not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.elements.checks import CHECKS
from pipeline.elements.detectors.evidence import PREFIX, cases
from pipeline.elements.detectors.prints import KEPT, digest, feed, piece_hashes, shared
from pipeline.elements.detectors.reported import case_of
from pipeline.elements.detectors.settings import DetectorSettings
from pipeline.elements.detectors.state import RunningPrint
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.registry_shapes import Custody, DecisionRule, ResultSpec
from pipeline.elements.shapes import Reason
from pipeline.records.events import CATALOGUE, render_event
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    HOUR,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    actor,
    balance,
    metrology,
    opened,
    room,
    sample,
    weighing,
)

ACCUSING = (
    "fraud",
    "fake",
    "forg",
    "false",
    "cheat",
    "guilt",
    "造假",
    "虚假",
    "伪造",
    "不实",
    "违法",
    "作弊",
)


def evidence(bench: Bench, code: str = "") -> list[dict[str, Any]]:
    """Evidence so far, of one code or of all, as (code, arguments)."""
    return [
        record.body for record in bench.of_kind("event") if str(record.body["code"]).startswith(PREFIX + code)
    ]


def noise(seed: int, count: int = 400) -> list[float]:
    return list(np.round(np.random.default_rng(seed).normal(50.0, 0.01, count), 4))


def measured(bench: Bench, values: list[float], **args: Any) -> str:
    task = bench.start(**args)
    bench.air(1)
    for start in range(0, len(values), 20):
        bench.advance(2)
        bench.weight(*values[start : start + 20])
        bench.air(1)
    bench.finish(task)
    return task


def released(bench: Bench, task: str, reason: str = "seen and sound", **changes: Any) -> None:
    shown = bench.view(task)
    signer = replace(bench.someone(SIGNER), signed_at_ns=UTC0 + bench.now, **changes)
    bench.do("hold.release", signer, task=task, reason=reason, signed_hash=shown["to_sign"])


def checked(**entries: Any) -> Bench:
    """Give a bench whose check weight has passed, so that a weighing is clear."""
    bench = opened({("material", "S-2"): sample(), **entries.pop("entries", {})}, **entries)
    bench.check_passes()
    return bench


def test_a_clear_day_gives_no_evidence() -> None:
    bench = checked()
    task = bench.weigh()
    assert bench.view(task)["overall"] == "clear", bench.view(task)
    assert evidence(bench) == []


def test_a_task_without_a_reading_in_its_window_is_told_of() -> None:
    bench = checked()
    task = bench.start()
    bench.air(3)
    bench.finish(task)
    (told,) = evidence(bench, "no-raw-data")
    shown = bench.view(task)
    assert told["args"]["task"] == task
    assert told["args"]["case"] == "B1"
    assert told["args"]["seqs"] == [shown["start_seq"], shown["end_seq"]]


def test_an_aborted_task_without_a_reading_is_none() -> None:
    bench = checked()
    task = bench.start()
    bench.do("task.abort", task=task, reason="wrong pan")
    bench.air(6)
    assert evidence(bench) == []


def throughput(capacity: int | None, tasks: int, pause_s: float = 10.0) -> Bench:
    bench = checked(entries={("equipment", "EQ-1"): balance(capacity_per_hour=capacity)})
    for number in range(tasks):
        bench.advance(pause_s)
        bench.weigh(item=f"item-{number}")
    return bench


def test_more_tasks_in_an_hour_than_the_instrument_can_do_are_told_of() -> None:
    bench = throughput(capacity=3, tasks=3)  # the check makes four
    (told,) = evidence(bench, "throughput")
    assert (told["args"]["count"], told["args"]["capacity"]) == (4, 3)
    assert len(told["args"]["seqs"]) == 4


@pytest.mark.parametrize(("capacity", "pause_s"), [(4, 10.0), (None, 10.0), (3, 1800.0)])
def test_no_more_tasks_than_that_are_not(capacity: int | None, pause_s: float) -> None:
    assert evidence(throughput(capacity, 3, pause_s), "throughput") == []


def test_the_same_stretch_of_readings_in_two_tasks_is_told_of_wherever_it_lies() -> None:
    bench = checked()
    first = measured(bench, noise(1))
    second = measured(bench, noise(2)[:37] + noise(1)[50:350], sample="S-2")
    (told,) = evidence(bench, "identical-windows")
    assert (told["args"]["task"], told["args"]["other"]) == (second, first)
    assert told["args"]["other_sample"] == "S-1"
    assert told["args"]["pieces"] >= 4
    held = {record.seq for record in bench.of_kind("data")}
    assert set(told["args"]["seqs"]) <= held


@pytest.mark.parametrize(
    "values", [noise(2), [50.0] * 400, [50.0, 50.0001] * 200], ids=["noise", "flat", "two"]
)
def test_other_or_featureless_readings_are_not(values: list[float]) -> None:
    bench = checked()
    measured(bench, values if values[0] == 50.0 else noise(1))
    measured(bench, values, sample="S-2")
    assert evidence(bench, "identical-windows") == []


def test_two_tasks_that_share_a_channel_at_the_same_time_hold_the_same_readings_by_right() -> None:
    bench = checked(entries={("equipment", "EQ-1"): balance(exclusive=False)})
    other = bench.start(sample="S-2")
    measured(bench, noise(1))
    bench.finish(other)
    assert evidence(bench, "identical-windows") == []


def test_a_channel_that_repeats_by_design_is_left_out() -> None:
    bench = checked(detectors=DetectorSettings(identical_ignore=("bal-1.weight",)))
    measured(bench, noise(1))
    measured(bench, noise(1), sample="S-2")
    assert evidence(bench, "identical-windows") == []


def test_a_fingerprint_does_not_depend_on_how_the_readings_are_cut() -> None:
    settings, values = DetectorSettings(), np.array(noise(3, 1500))
    whole, parts = RunningPrint(), RunningPrint()
    feed(whole, values, settings)
    for start in range(0, 1500, 7):
        feed(parts, values[start : start + 7], settings)
    for running in (whole, parts):
        digest(running, settings)
    assert whole.hashes == parts.hashes
    assert len(whole.hashes) == 8 * KEPT
    assert whole.readings == parts.readings == 1500
    every = np.unique(piece_hashes(values, settings.identical_length, settings.identical_distinct))
    assert np.frombuffer(whole.hashes, "<u8").tolist() == every[:KEPT].tolist()
    assert shared(whole.hashes, parts.hashes) == KEPT


def entered(count: int, readings: int) -> Bench:
    bench = checked()
    task = bench.start()
    bench.air(1)
    bench.weight(*([50.0] * readings))
    for _ in range(count):
        bench.append("entry", {"task": task, "value": 1.0, "actor": {}})
    bench.finish(task)
    return bench


def test_many_hand_entered_readings_are_told_of_with_their_records() -> None:
    bench = entered(3, 7)
    (told,) = evidence(bench, "manual-share")
    assert (told["args"]["count"], told["args"]["read"]) == (3, 7)
    assert told["args"]["seqs"] == [record.seq for record in bench.of_kind("entry")]


def test_a_few_hand_entered_readings_are_not() -> None:
    assert evidence(entered(2, 8), "manual-share") == []


def test_an_attempt_after_one_that_was_aborted_with_readings_is_told_of() -> None:
    bench = checked()
    first = bench.start()
    bench.air(1)
    bench.weight(0.0, 49.0)
    bench.do("task.abort", task=first, reason="dust")
    bench.air(6)
    second = bench.weigh()
    (told,) = evidence(bench, "attempts")
    assert told["args"]["task"] == second
    assert (told["args"]["attempt"], told["args"]["aborted"], told["args"]["nonconforming"]) == (2, 1, 0)


def test_an_attempt_that_was_aborted_before_any_reading_is_not() -> None:
    bench = checked()
    first = bench.start()
    bench.do("task.abort", task=first, reason="wrong vessel")
    bench.air(6)
    bench.weigh()
    assert evidence(bench, "attempts") == []


def test_a_repetition_after_a_result_outside_its_limits_is_told_of() -> None:
    spec = ResultSpec("net_mass", "net-weight", "weight", decision=DecisionRule("simple", low=49.9))
    bench = checked(entries={("method", "weighing"): weighing(results=(spec,), check_max_age_s=None)})
    bench.weigh(0.0, 49.0)
    bench.weigh(0.0, 50.0)
    (told,) = evidence(bench, "attempts")
    assert told["args"]["nonconforming"] == 1


def weighed_whole(second: float) -> Bench:
    spec = ResultSpec("sample_mass", "net-weight", "weight")
    bench = checked(entries={("method", "weighing"): weighing(results=(spec,), check_max_age_s=None)})
    bench.weigh(0.0, 50.0)
    bench.weigh(0.0, second, item="other")
    return bench


def test_a_sample_that_weighs_otherwise_than_before_is_told_of_without_its_mass() -> None:
    bench = weighed_whole(52.0)
    (told,) = evidence(bench, "sample-mass")
    assert told["args"]["subject"] == "S-1"
    assert told["args"]["seqs"] == [record.seq for record in bench.of_kind("result")][-2:]
    assert not any(isinstance(value, float) for value in told["args"].values())


def test_a_sample_that_weighs_the_same_is_not() -> None:
    assert evidence(weighed_whole(50.9), "sample-mass") == []


def handed_over(*hours: int, received: int | None = -1) -> Bench:
    steps = tuple(Custody(UTC0 + hour * HOUR, ANALYST, "fridge") for hour in hours)
    received_ns = None if received is None else UTC0 + received * HOUR
    bench = checked(entries={("material", "S-1"): sample(custody=steps, received_at_ns=received_ns)})
    bench.weigh()
    return bench


@pytest.mark.parametrize(
    ("hours", "received"), [((3, 2), -1), ((-3, 1), -1), ((5, 6), None)],
    ids=["backwards", "before the receipt", "all after the work"],
)  # fmt: skip
def test_hand_overs_out_of_order_are_told_of(hours: tuple[int, ...], received: int | None) -> None:
    (told,) = evidence(handed_over(*hours, received=received), "custody-order")
    assert (told["args"]["case"], told["args"]["subject"]) == ("B4", "S-1")


@pytest.mark.parametrize("hours", [(-1, 0), (1, 2)], ids=["before the work", "back to the store after it"])
def test_hand_overs_in_order_are_not(hours: tuple[int, ...]) -> None:
    assert evidence(handed_over(*hours), "custody-order") == []


def stepped(*, running: bool) -> Bench:
    bench = checked()
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    if not running:
        bench.finish(task)
    bench.epoch = 1
    bench.air(1)
    if running:
        bench.finish(task)
    return bench


def test_a_clock_that_goes_back_within_a_task_is_told_of() -> None:
    bench = stepped(running=True)
    (told,) = evidence(bench, "clock-step")
    assert told["args"]["epoch"] == 1


def test_a_clock_that_goes_back_between_tasks_is_not() -> None:
    assert evidence(stepped(running=False), "clock-step") == []


def test_a_record_that_is_not_whole_is_told_of_for_the_tasks_that_run() -> None:
    bench = checked()
    task = bench.start()
    bench.append("event", {"code": "quarantine", "severity": "alarm", "args": {"segment": "7"}})
    (told,) = evidence(bench, "chain")
    assert (told["args"]["task"], told["args"]["subject"]) == (task, "7")


def test_other_events_are_not() -> None:
    bench = checked()
    bench.start()
    bench.append("event", {"code": "slow-sync", "severity": "warning", "args": {"seconds": 2}})
    assert evidence(bench, "chain") == []


def held(**entries: Any) -> tuple[Bench, str]:
    bench = checked(
        entries={("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY)), **entries}
    )
    return bench, bench.weigh()


def test_a_result_that_went_out_against_a_hold_is_told_of_with_its_case() -> None:
    bench, task = held()
    assert evidence(bench) == [], "a result that is held has not gone out"
    released(bench, task)
    (told,) = evidence(bench)
    assert (told["code"], told["args"]["case"]) == ("evidence-element", "A2")
    assert told["args"]["reason"] == "calibration-overdue"
    assert bench.of_kind("review")[0].seq in told["args"]["seqs"]


def test_a_held_result_that_is_voided_is_not() -> None:
    bench, task = held()
    shown = bench.view(task)
    signer = bench.someone(SIGNER)
    args = {"task": task, "disposition": "void", "reason": "overdue", "signed_hash": shown["to_sign"]}
    bench.do("hold.release", signer, **args)
    assert evidence(bench) == []


def test_a_certificate_that_turns_out_overdue_after_the_release_is_told_of_then() -> None:
    bench = checked()
    task = bench.weigh()
    assert evidence(bench) == []
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})
    bench.air(2)
    assert bench.view(task)["held"] == ["equipment"]
    assert evidence(bench, "element") == [], "it was clear and nobody had released it: it is held now"


def test_an_excursion_that_the_method_lets_pass_is_told_of_all_the_same() -> None:
    limits = weighing().environment_limits
    assert limits == ()
    bench = checked(entries={("environment", "room"): room(high=21.5)})
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.air(1, 22.0)
    bench.finish(task)
    released(bench, task)
    (told,) = evidence(bench, "element")
    assert (told["args"]["case"], told["args"]["reason"]) == ("B3", "environment-excursion")


def signed(offset_s: float, person_of: str = SIGNER) -> list[str]:
    bench, task = held()
    shown = bench.view(task)
    signer = replace(
        actor(person_of, "pin", "sign"), signed_at_ns=UTC0 + bench.now + round(offset_s * SECOND)
    )
    bench.do("hold.release", signer, task=task, reason="valid certificate", signed_hash=shown["to_sign"])
    return [told["args"]["reason"] for told in evidence(bench, "signing")]


def test_a_signature_before_the_last_raw_record_is_told_of() -> None:
    assert signed(-100.0) == ["before-last-raw-record"]


def test_a_signature_far_from_its_record_is_told_of() -> None:
    assert signed(400.0) == ["not-at-record-time"]


def test_a_signature_by_somebody_without_leave_at_that_time_is_told_of() -> None:
    assert "not-authorised-then" in signed(-2 * 86_400.0)


def test_a_signature_at_its_time_is_not() -> None:
    assert signed(0.0) == []


def test_one_fact_is_told_once() -> None:
    bench, task = held()
    released(bench, task)
    before = len(evidence(bench))
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})
    bench.air(3)
    assert len(evidence(bench)) == before


def test_every_case_names_its_clause_in_both_languages() -> None:
    assert sorted(cases()) == ["A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4", "B5"]
    for case in cases().values():
        assert case.clause
        assert case.text("en")
        assert case.text("zh")


@pytest.mark.parametrize("code", [code for code in CATALOGUE if code.startswith((PREFIX, "trigger"))])
def test_words_of_evidence_accuse_nobody(code: str) -> None:
    texts = [
        CATALOGUE[code].en,
        CATALOGUE[code].zh,
        *(text for c in cases().values() for text in (c.en, c.zh)),
    ]
    assert [word for word in ACCUSING for text in texts if word in text.lower()] == []
    assert CATALOGUE[code].severity == "warning"


def test_evidence_is_read_in_either_language() -> None:
    bench, task = held()
    released(bench, task)
    (told,) = evidence(bench)
    for language in ("en", "zh"):
        assert task in render_event(told, language)
        assert "?>" not in render_event(told, language)


@pytest.mark.parametrize("element", CHECKS)
def test_every_holding_reason_of_an_element_has_its_case_or_none_by_decision(element: Any) -> None:
    found = {case_of(element, Reason(code, "hold", "x")) for code in REASONS if "expir" not in code}
    assert None not in found or element == "measurement"


def test_memory_of_the_detectors_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.elements.detectors.closing.ATTEMPT_KEYS_MAX", 3)
    monkeypatch.setattr("pipeline.elements.detectors.closing.WINDOWS_MAX", 2)
    bench = checked(retained_tasks=2)
    for number in range(8):
        measured(bench, noise(number, 60), item=f"item-{number}")
    memory = bench.elements._fold.state.detectors
    assert len(memory.attempts) == 3
    assert [len(known) for known in memory.windows.values()] == [2]
    assert memory.running == {}
    assert len(memory.told) <= 2 * 2 + len(bench.elements.tasks(100))
