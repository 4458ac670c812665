"""Detectors of results that went out, of signatures, and what holds for all evidence."""

from dataclasses import replace
from typing import Any

import pytest

from pipeline.elements.checks import CHECKS
from pipeline.elements.detectors.evidence import PREFIX, cases
from pipeline.elements.detectors.reported import case_of
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.shapes import Reason
from pipeline.records.events import render_event
from pipeline.records.events_catalogue import CATALOGUE
from tests.unit.elements.bench import (
    DAY,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    actor,
    balance,
    metrology,
    room,
    weighing,
)
from tests.unit.elements.evidence import checked, evidence, measured, noise, released

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
