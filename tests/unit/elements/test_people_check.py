"""Each case: what the registry says of the operator, and what the people element is then."""

from typing import Any

import pytest

from pipeline.elements.registry_shapes import Person
from tests.unit.elements.bench import ANALYST, DAY, SECOND, SECOND_ANALYST, STRANGER, UTC0, leave, opened

WINDOW_S = 4
END = UTC0 + WINDOW_S * SECOND

CASES: dict[str, tuple[tuple[Any, ...], str, set[str]]] = {
    "authorised": ((leave(),), "ok", set()),
    "authorised_by_name": ((leave(methods=("weighing",), instruments=("bal-1",)),), "ok", set()),
    "nothing": ((), "hold", {"operator-not-authorised"}),
    "other_method": ((leave(methods=("titration",)),), "hold", {"operator-not-authorised"}),
    "other_instrument": ((leave(instruments=("bal-2",)),), "hold", {"operator-not-authorised"}),
    "begins_at_the_start": ((leave(valid_from_ns=UTC0),), "ok", set()),
    "begins_after_the_start": ((leave(valid_from_ns=UTC0 + 1),), "hold", {"operator-not-authorised"}),
    "ended_before": ((leave(valid_to_ns=UTC0),), "hold", {"operator-not-authorised"}),
    "ends_during_the_work": ((leave(valid_to_ns=END),), "hold", {"operator-not-authorised"}),
    "ends_just_after_the_work": ((leave(valid_to_ns=END + 1),), "flag", {"authorisation-expiring"}),
    "ends_in_30_days": ((leave(valid_to_ns=END + 30 * DAY),), "flag", {"authorisation-expiring"}),
    "ends_later": ((leave(valid_to_ns=END + 30 * DAY + 1),), "ok", set()),
    "another_leave_goes_on": ((leave(valid_to_ns=END + 1), leave()), "ok", set()),
}


@pytest.mark.parametrize("name", CASES)
def test_the_operator_is_judged_over_the_whole_work(name: str) -> None:
    authorisations, status, codes = CASES[name]
    bench = opened({("person", ANALYST): Person(badge="B-1", authorisations=authorisations)})
    task = bench.start()
    bench.advance(WINDOW_S)
    bench.do("task.stop", task=task)
    bench.air(6)
    assert (bench.verdict(task, "people")["status"], bench.codes(task, "people")) == (status, codes)


def test_each_operator_of_a_hand_over_is_judged() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.do("task.handover", task=task, badge="B-4")
    bench.air(1)
    verdict = bench.verdict(task, "people")
    assert verdict["status"] == "hold"
    assert verdict["facts"]["operators"] == [ANALYST, STRANGER]
    assert [reason["subject"] for reason in verdict["reasons"]] == [STRANGER]


def test_a_leave_that_ended_before_the_hand_over_does_not_hold() -> None:
    bench = opened({("person", ANALYST): Person(authorisations=(leave(valid_to_ns=UTC0 + 2 * SECOND),))})
    task = bench.start(operator=ANALYST)
    bench.air(1)
    bench.do("task.handover", task=task, operator=SECOND_ANALYST)
    bench.air(5)
    assert bench.verdict(task, "people")["status"] == "flag"


def test_a_withdrawal_during_the_work_holds() -> None:
    bench = opened()
    task = bench.start()
    bench.air(2)
    bench.enrol({("person", ANALYST): Person(badge="B-1")}, from_ns=UTC0 + bench.now)
    bench.air(2)
    assert bench.codes(task, "people") == {"operator-not-authorised"}
