"""Readings entered by hand: what is taken, what is refused, what they count for, and their corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from pipeline.elements import Refused
from pipeline.elements.formulas.recompute import recompute
from pipeline.elements.method_shapes import ManualEntry
from pipeline.elements.registry_shapes import (
    DecisionRule,
    FormulaInput,
    Grant,
    Person,
    Requirement,
    ResultSpec,
)
from pipeline.elements.vocabulary import SIGNATORY, How
from pipeline.ledger import rebuild_task
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    SECOND_ANALYST,
    SIGNER,
    STRANGER,
    UTC0,
    Bench,
    balance,
    metrology,
    opened,
    sensor,
    weighing,
)
from tests.unit.elements.evidence import evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

CALIPER = balance(
    instrument="cal-1", serial="CP-7", identifies=False, channels=("length",), room=None,
    metrology=metrology(channels=()),
)  # fmt: skip


def measuring(**changes: Any) -> Any:
    facts: dict[str, Any] = {
        "measurands": ("length",), "requirements": (Requirement("measurand", "length"),),
        "manual": (ManualEntry("length", "mm"),), "check_max_age_s": None,
        "required_elements": ("people", "equipment", "measurement"),
        "results": (
            ResultSpec(
                "mean_length", formula="mean(x)", inputs=(FormulaInput("x", "length", "mm"),), unit="mm",
                decision=DecisionRule("simple", 9.0, 11.0),
            ),
        ),
    }  # fmt: skip
    return weighing(**{**facts, **changes})


def measured(entries: Mapping[tuple[str, str], Any] | None = None, **changes: Any) -> tuple[Bench, str]:
    """Begin a task with a caliper that has no line."""
    bench = opened({
        ("equipment", "EQ-9"): CALIPER, ("method", "length"): measuring(**changes), **(entries or {}),
    })  # fmt: skip
    return bench, bench.start(method="length", instrument="cal-1")


def enter(bench: Bench, task: str, value: str, who: Any = None, **changes: Any) -> int:
    reading = {"channel": "cal-1.length", "value": value, "unit": "mm", "reason": "no line"}
    bench.advance(1)
    bench.do("task.enter", who, task=task, **{**reading, **changes})
    return bench.of_kind("entry")[-1].seq


def correct(bench: Bench, task: str, entry: int, value: str, who: Any = None, **changes: Any) -> int:
    args = {"entry": entry, "value": value, "unit": "mm", "reason": "misread"}
    bench.advance(1)
    bench.do("task.correct", who, task=task, **{**args, **changes})
    return bench.of_kind("entry")[-1].seq


def test_entries_complete_a_required_channel_and_give_the_result_to_the_last_bit() -> None:
    bench, task = measured()
    assert "no-readings" in bench.codes(task, "measurement")
    seqs = [enter(bench, task, text) for text in ("10.10", "10.20", "10.30")]
    bench.finish(task)
    (result,) = bench.view(task)["results"]
    assert result["value"] == 10.2
    assert result["decimals"] == 2
    assert (result["unit"], result["conformity"]["decision"]) == ("mm", "pass")
    assert set(result["seqs"]) == {seqs[0], seqs[-1]}
    assert bench.codes(task, "method") == set()
    record = bench.of_kind("result")[-1]
    again = recompute(bench.records, record, bench.settings)
    assert again.agrees, again.difference
    assert again.missing == ()


def test_an_entry_says_what_was_typed_when_why_and_by_whom() -> None:
    bench, task = measured()
    seq = enter(bench, task, "10.50", serial="CP-7", photo_sha256="ab" * 32)
    body = bench.of_kind("entry")[-1].body
    assert (body["text"], body["value"], body["decimals"]) == ("10.50", 10.5, 2)
    assert (body["task"], body["instrument"], body["channel"]) == (task, "cal-1", "length")
    assert (body["reason"], body["actor"]["person"], body["photo_sha256"]) == ("no line", ANALYST, "ab" * 32)
    assert (body["foreseen"], body["late"], body["corrects"]) == (True, False, None)
    (shown,) = bench.view(task)["entries"]
    assert (shown["seq"], shown["text"]) == (seq, "10.50")
    assert rebuild_task(bench.records).entries == bench.elements.fold.state.tasks[task].entries  # type: ignore[union-attr]


def test_an_entry_survives_a_restart_and_its_answer_too() -> None:
    bench, task = measured()
    who = bench.someone()
    entry = enter(bench, task, "10.50", who)
    correct(bench, task, entry, "10.60")
    restarted = Bench()
    restarted.elements.restore(bench.elements.snapshot())
    assert restarted.elements.snapshot() == bench.elements.snapshot()
    assert restarted.view(task)["entries"] == bench.view(task)["entries"]
    reading = {"channel": "cal-1.length", "value": "10.50", "unit": "mm", "reason": "no line"}
    again = restarted.plan("task.enter", who, task=task, **reading)
    assert again.drafts == ()
    assert again.result == {"task": task, "channel": "cal-1.length", "foreseen": True}


def test_a_serial_that_is_not_the_registered_one_holds_the_equipment() -> None:
    bench, task = measured()
    enter(bench, task, "10.1", serial="CP-8")
    assert "identity-mismatch" in bench.codes(task, "equipment")


def test_readings_that_the_method_does_not_provide_for_are_kept_and_count_for_nothing() -> None:
    bench, task = measured(manual=())
    seq = enter(bench, task, "10.1")
    bench.finish(task)
    assert bench.view(task)["results"] == []
    verdict = bench.verdict(task, "measurement")
    reason = next(each for each in verdict["reasons"] if each["code"] == "entry-not-foreseen")
    assert (reason["status"], reason["seqs"]) == ("flag", [seq])
    assert {"no-readings", "result-missing"} <= bench.codes(task, "measurement")


def test_a_correction_during_the_work_is_what_counts_and_the_old_figures_stay() -> None:
    bench, task = measured()
    first = enter(bench, task, "10.1")
    wrong = enter(bench, task, "103")
    right = correct(bench, task, wrong, "10.3")
    bench.finish(task)
    assert [one["value"] for one in bench.view(task)["results"]] == [10.2]
    shown = {each["seq"]: each for each in bench.view(task)["entries"]}
    assert (shown[wrong]["text"], shown[wrong]["replaced_by"]) == ("103", right)
    assert (shown[right]["corrects"], shown[right]["was"]) == (wrong, "103 mm")
    assert shown[first]["replaced_by"] is None
    reason = next(
        each for each in bench.verdict(task, "measurement")["reasons"] if each["code"] == "entry-corrected"
    )
    assert (reason["status"], reason["args"]["count"]) == ("flag", 1)


def test_a_correction_after_the_verdict_supersedes_the_result_and_holds_it() -> None:
    bench, task = measured()
    entry = enter(bench, task, "10.1")
    bench.finish(task)
    (before,) = bench.view(task)["results"]
    was = bench.view(task)["to_sign"]
    correct(bench, task, entry, "11.1", bench.someone(SIGNER))
    (after,) = bench.view(task)["results"]
    assert (after["value"], after["conformity"]["decision"]) == (11.1, "fail")
    assert after["supersedes"] == before["seq"]
    assert bench.view(task)["to_sign"] != was
    assert "measurement" in bench.view(task)["held"]
    assert "entry-corrected-afterwards" in bench.codes(task, "measurement")
    again = recompute(bench.records, bench.of_kind("result")[-1], bench.settings)
    assert again.agrees, again.difference
    old = recompute(bench.records, bench.of_kind("result")[0], bench.settings)
    assert old.agrees, old.difference
    told = rebuild_task(bench.records)
    assert told is not None
    assert [one.value for one in told.results] == [11.1]
    assert told.result_seqs == [after["seq"]]


def test_an_entry_after_the_work_needs_its_time_and_is_marked_late() -> None:
    bench, task = measured()
    bench.advance(5)
    bench.do("task.stop", task=task)
    args: dict[str, Any] = {
        "channel": "cal-1.length", "value": "10.1", "unit": "mm", "reason": "no line"
    }  # fmt: skip
    with pytest.raises(Refused, match="when it was read"):
        bench.do("task.enter", task=task, **args)
    bench.air(6)
    assert bench.view(task)["results"] == []
    held = bench.view(task)["held"]
    bench.do("task.enter", task=task, **args, at_utc_ns=bench.view(task)["started_utc_ns"] + 1)
    assert [one["value"] for one in bench.view(task)["results"]] == [10.1]
    assert "entry-late" in bench.codes(task, "measurement")
    assert bench.view(task)["held"] == held, "a fact that comes late lifts no hold"
    with pytest.raises(Refused, match="outside the task's window"):
        bench.do("task.enter", task=task, **args, at_utc_ns=UTC0 - DAY)


def test_weights_by_hand_are_weighed_as_the_gateways_and_not_mixed_with_them() -> None:
    bench = opened({("method", "weighing"): weighing(manual=(ManualEntry("weight", "g"),))})
    facts = {"channel": "bal-1.weight", "unit": "g"}
    task = bench.start()
    bench.air(1)
    enter(bench, task, "0.0001", **facts)
    enter(bench, task, "50.0002", **facts)
    bench.finish(task)
    (result,) = bench.view(task)["results"]
    assert result["value"] == 50.0001
    mixed = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    enter(bench, mixed, "50.1", **facts)
    bench.finish(mixed)
    assert bench.view(mixed)["results"] == []
    assert "result-not-computable" in bench.codes(mixed, "measurement")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"value": "10,1"}, "not-a-number"),
        ({"value": "-"}, "not-a-number"),
        ({"value": "1e999"}, "not-a-number"),
        ({"value": "0x10"}, "not-a-number"),
        ({"value": 10.1}, "wrong-argument"),
        ({"unit": "cm"}, "wrong-unit"),
        ({"unit": ""}, "wrong-unit"),
        ({"channel": "cal-1.width"}, "not-of-task"),
        ({"channel": "length"}, "not-of-task"),
        ({"reason": ""}, "missing-argument"),
        ({"photo_sha256": "me.jpg"}, "wrong-argument"),
        ({"colour": "red"}, "unknown-argument"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(changes: dict[str, Any], code: str) -> None:
    bench, task = measured()
    with pytest.raises(Refused) as caught:
        enter(bench, task, **{"value": "10.1", **changes})
    assert caught.value.code == code
    assert caught.value.hint
    assert caught.value.hint_zh


def test_a_correction_of_what_is_not_there_or_not_in_force_is_refused() -> None:
    bench, task = measured()
    entry = enter(bench, task, "10.1")
    for wanted, value, code in ((entry, "10.1", "nothing-corrected"), (99_999, "1", "no-such-entry")):
        with pytest.raises(Refused) as caught:
            correct(bench, task, wanted, value)
        assert caught.value.code == code
    second = correct(bench, task, entry, "10.2")
    with pytest.raises(Refused) as caught:
        correct(bench, task, entry, "10.3")
    assert caught.value.code == "corrected-already"
    assert str(second) in caught.value.hint


def test_a_task_takes_so_many_entries_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.elements.hand.commands.ENTRIES_MAX", 3)
    bench, task = measured()
    for number in range(3):
        enter(bench, task, str(number))
    with pytest.raises(Refused) as caught:
        enter(bench, task, "1")
    assert caught.value.code == "too-many-entries"


TECHNICIAN = "p-5"
PEOPLE = {ANALYST, SECOND_ANALYST, SIGNER, STRANGER, TECHNICIAN}


@pytest.mark.parametrize("command", ["task.enter", "task.correct"])
@pytest.mark.parametrize("person", sorted(PEOPLE))
@pytest.mark.parametrize("how", get_args(How))
def test_the_matrix_of_permissions_of_entries(command: str, person: str, how: str) -> None:
    grant = (Grant(SIGNATORY, UTC0 - 9 * DAY, UTC0 - DAY),)
    bench, task = measured({("person", TECHNICIAN): Person(roles=grant)})
    entry = enter(bench, task, "10.1")
    bench.do("task.handover", task=task, badge="B-2")
    allowed = {ANALYST, SECOND_ANALYST} | ({SIGNER} if command == "task.correct" else set())
    expected = "not-authenticated" if how not in {"password", "pin"} else "ok"
    if expected == "ok" and person not in allowed:
        expected = "not-operator"
    act: Any = enter if command == "task.enter" else correct
    given = (bench, task, "10.2") if command == "task.enter" else (bench, task, entry, "10.2")
    if expected == "ok":
        act(*given, bench.someone(person, how))
        assert bench.of_kind("entry")[-1].body["actor"]["person"] == person
    else:
        with pytest.raises(Refused) as caught:
            act(*given, bench.someone(person, how))
        assert caught.value.code == expected


def test_work_by_hand_alone_is_told_of_and_is_not_called_never_tested() -> None:
    bench, task = measured()
    enter(bench, task, "10.1")
    wrong = enter(bench, task, "1")
    right = correct(bench, task, wrong, "10.2")
    bench.finish(task)
    (told,) = evidence(bench, "manual-share")
    assert (told["args"]["count"], told["args"]["read"]) == (2, 0)
    assert right in told["args"]["seqs"]
    assert wrong not in told["args"]["seqs"]
    assert evidence(bench, "no-raw-data") == []


def test_a_room_thermometer_can_be_read_by_hand() -> None:
    bench, task = measured(
        {
            ("equipment", "EQ-9"): balance(
                instrument="cal-1", serial="CP-7", identifies=False, channels=("length",), room="room",
                metrology=metrology(channels=()),
            ),
            ("equipment", "EQ-2"): sensor("th-1"),
        },
        manual=(ManualEntry("length", "mm"), ManualEntry("temperature", "°C")),
    )  # fmt: skip
    enter(bench, task, "30.5", channel="th-1.temperature", unit="°C")
    assert "environment-excursion" in bench.codes(task, "environment")
