from typing import Any

import pytest

from pipeline.elements.registry_shapes import Requirement
from tests.unit.elements.bench import HOUR, SECOND, UTC0, check_weight, opened, sample, weighing

SAMPLE_CASES: dict[str, tuple[dict[str, Any], str, set[str]]] = {
    "fresh": ({}, "ok", set()),
    "at_the_limit": ({"received_at_ns": UTC0 - 2 * HOUR}, "ok", set()),
    "past_the_limit": ({"received_at_ns": UTC0 - 2 * HOUR - 1}, "hold", {"hold-time-exceeded"}),
    "received_after_the_start": ({"received_at_ns": UTC0 + 1}, "hold", {"received-after-start"}),
    "no_time_of_receipt": ({"received_at_ns": None}, "not_evaluated", {"received-at-missing"}),
    "no_limit": ({"hold_limit_s": None}, "not_evaluated", {"hold-limit-missing"}),
}


@pytest.mark.parametrize("name", SAMPLE_CASES)
def test_the_sample_is_judged_at_the_start(name: str) -> None:
    changes, status, codes = SAMPLE_CASES[name]
    bench = opened({("material", "S-1"): sample(**changes)})
    task = bench.start()
    bench.air(60)
    assert (bench.verdict(task, "material")["status"], bench.codes(task, "material")) == (status, codes)


def test_a_method_may_do_without_hold_times() -> None:
    entries = {
        ("material", "S-1"): sample(hold_limit_s=None),
        ("method", "weighing"): weighing(hold_time_required=False),
    }
    bench = opened(entries)
    assert bench.verdict(bench.start(), "material")["status"] == "ok"


EXPIRY_CASES: dict[str, tuple[int | None, str, set[str]]] = {
    "valid": (UTC0 + HOUR, "ok", set()),
    "expires_during_the_work": (UTC0 + 2 * SECOND, "hold", {"material-expired"}),
    "expires_at_the_end": (UTC0 + 4 * SECOND, "hold", {"material-expired"}),
    "expires_after_the_end": (UTC0 + 4 * SECOND + 1, "ok", set()),
    "not_registered": (None, "not_evaluated", {"expiry-missing"}),
}


@pytest.mark.parametrize("name", EXPIRY_CASES)
def test_a_reference_is_judged_by_its_expiry(name: str) -> None:
    expiry_ns, status, codes = EXPIRY_CASES[name]
    bench = opened({("material", "CW-1"): check_weight(expiry_ns=expiry_ns)})
    task = bench.start(purpose="qc", sample=None, reference="CW-1")
    bench.advance(4)
    bench.do("task.stop", task=task)
    bench.air(6)
    assert (bench.verdict(task, "material")["status"], bench.codes(task, "material")) == (status, codes)


def test_a_check_without_a_reference_is_not_evaluated() -> None:
    bench = opened()
    task = bench.start(purpose="qc", sample=None)
    assert bench.codes(task, "material") == {"reference-missing"}


def test_an_edition_that_is_replaced_during_the_work_holds() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.enrol({("method", "weighing"): weighing(edition="2026")}, from_ns=UTC0 + bench.now)
    bench.weight(50.0)
    bench.air(1)
    assert bench.codes(task, "method") == {"edition-not-current"}


def test_an_edition_that_ends_with_the_work_is_current() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.do("task.stop", task=task)
    bench.enrol({("method", "weighing"): weighing(edition="2026")}, from_ns=UTC0 + bench.now + 1)
    bench.air(6)
    assert (
        bench.verdict(task, "method")["status"] == "not_evaluated"
    )  # for want of readings, not for its edition
    assert bench.codes(task, "method") == {"channel-without-data"}


def test_a_method_not_yet_in_force_can_be_worked_by_and_holds() -> None:
    bench = opened()
    bench.enrol({("method", "new"): weighing()}, from_ns=UTC0 + HOUR)
    task = bench.start(method="new")
    assert bench.codes(task, "method") == {"edition-not-current"}


def test_a_method_out_of_scope_holds() -> None:
    bench = opened({("method", "weighing"): weighing(in_scope=False)})
    assert "method-out-of-scope" in bench.codes(bench.start(), "method")


def test_what_the_method_asks_for_must_be_bound_and_read() -> None:
    asked = (Requirement("reagent"), Requirement("measurand", "weight"))
    bench = opened({("method", "weighing"): weighing(requirements=asked)})
    task = bench.start()
    assert bench.codes(task, "method") == {"role-not-bound", "channel-without-data"}
    bench.weight(5.0)
    bench.tick()
    assert bench.codes(task, "method") == {"role-not-bound"}
