"""Tasks folded from stored records: phases, holds and dispositions as the elements define them."""

from dataclasses import replace

from dashboard.language import messages
from dashboard.tasks import TaskView, fold_tasks, gather
from dashboard.verdicts import binding_rows, element_cards, result_rows
from pipeline.elements.codec import to_body
from pipeline.elements.shapes import Review, TaskAbort
from pipeline.elements.vocabulary import Disposition
from tests.unit.dashboard.fakes import NOW_NS, SECOND, FakeStore
from tests.unit.dashboard.site import ACTOR, HELD, RUN_NS, RUNNING, add_verdict


def _fold(store: FakeStore, required: tuple[str, ...] | None = ("equipment",)) -> dict[str, TaskView]:
    ledger = {
        kind: [row for row in store.rows_ledger if row.kind == kind]
        for kind in ("task", "verdict", "result", "review")
    }
    return fold_tasks(gather(ledger), lambda _start: required)


def _review(store: FakeStore, disposition: Disposition, ago_s: int) -> None:
    review = Review(
        HELD, disposition, "checked", (22,), (21,), "00", replace(ACTOR, person="p-wang", how="password")
    )
    store.record("review", to_body(review), key=HELD, t_utc_ns=NOW_NS - ago_s * SECOND)


def test_a_hold_waits_until_a_person_disposes_of_it(store: FakeStore) -> None:
    assert _fold(store)[HELD].overall == "held"
    _review(store, "release", 100)
    assert _fold(store)[HELD].overall == "released"


def test_a_better_verdict_afterwards_lifts_no_hold(store: FakeStore) -> None:
    add_verdict(store, HELD, "equipment", "ok", "final", ago_s=50)
    task = _fold(store)[HELD]
    assert task.in_force()["equipment"].verdict.status == "ok"
    assert task.overall == "held"


def test_a_released_task_that_worsens_is_under_look_back(store: FakeStore) -> None:
    _review(store, "release", 100)
    add_verdict(store, HELD, "method", "hold", "final", ago_s=10)
    assert _fold(store)[HELD].overall == "released-under-look-back"


def test_a_missing_fact_of_a_required_element_holds_at_the_end_only(store: FakeStore) -> None:
    _review(store, "void", 100)
    add_verdict(store, HELD, "environment", "not_evaluated", "provisional", ago_s=20)
    assert _fold(store, ("environment",))[HELD].held == set()
    add_verdict(store, HELD, "environment", "not_evaluated", "final", ago_s=10)
    assert _fold(store, ("environment",))[HELD].held == {"environment"}
    assert _fold(store, ("people",))[HELD].held == set()
    assert _fold(store, None)[HELD].held == {"environment"}


def test_running_tasks_come_first_and_know_their_operators(store: FakeStore) -> None:
    tasks = _fold(store)
    assert list(tasks) == [RUNNING, HELD]
    assert tasks[RUNNING].operators_now() == ["p-li"]
    assert (tasks[RUNNING].phase, tasks[RUNNING].overall) == ("running", "provisional")


def test_an_aborted_attempt_stays_visible_with_its_reason(store: FakeStore) -> None:
    abort = TaskAbort(RUNNING, RUN_NS + SECOND, NOW_NS, "sample spilt", ACTOR)
    store.record("task", to_body(abort), key=RUNNING)
    task = _fold(store)[RUNNING]
    assert (task.overall, task.abort_reason, task.open) == ("aborted", "sample spilt", False)


def test_a_hand_over_ends_one_operator_where_the_next_begins(store: FakeStore) -> None:
    operators = [
        row for row in binding_rows(_fold(store)[HELD], {"p-li": "Li Na"}) if row["role"] == "operator"
    ]
    assert [row["target"] for row in operators] == ["Li Na", "p-zhao"]
    assert operators[0]["to_utc_ns"] == operators[1]["from_utc_ns"]


def test_cards_show_evidence_and_what_was_superseded(store: FakeStore) -> None:
    cards = {card["element"]: card for card in element_cards(_fold(store)[HELD], messages("zh"), {}, "lab")}
    equipment = cards["equipment"]
    assert equipment["held"] is True
    assert equipment["in_force"]["reasons"][0]["seqs"] == (4, 9)
    assert "C-778" in equipment["in_force"]["reasons"][0]["text"]
    assert equipment["in_force"]["reasons"][0]["other_language"] == "en"
    assert [old["status"] for old in equipment["history"]] == ["not_evaluated"]


def test_results_keep_their_decimals_and_hide_from_regulators(store: FakeStore) -> None:
    task = _fold(store)[HELD]
    (row,) = result_rows(task, "lab")
    assert (row["value"], row["uncertainty"], row["k"]) == ("99.9998", "0.00030", "2.0")
    assert row["seqs"] == (12, 13)
    (hidden,) = result_rows(task, "regulator")
    assert (hidden["value"], hidden["uncertainty"], hidden["seqs"]) == (None, None, (12, 13))


def test_records_of_a_newer_shape_are_passed_over(store: FakeStore) -> None:
    store.record("verdict", {"task": HELD, "element": "aura", "status": "ok"}, key=HELD)
    store.record("task", {"task": HELD, "action": "teleport"}, key=HELD)
    assert _fold(store)[HELD].overall == "held"
