from typing import Any

import pytest

from pipeline.elements.registry_shapes import ChannelQualification, Equipment
from pipeline.records.events import event_body
from tests.unit.elements.bench import DAY, SECOND, UTC0, Bench, balance, metrology, opened, sensor

WINDOW_S = 3
END = UTC0 + WINDOW_S * SECOND

STATUS_CASES: dict[str, tuple[Equipment, str, set[str]]] = {
    "in_date": (balance(), "ok", set()),
    "due_at_the_end": (balance(metrology=metrology(due_ns=END)), "flag", {"calibration-due-soon"}),
    "due_during_the_work": (balance(metrology=metrology(due_ns=END - 1)), "hold", {"calibration-overdue"}),
    "overdue": (balance(metrology=metrology(due_ns=UTC0 - DAY)), "hold", {"calibration-overdue"}),
    "due_in_30_days": (
        balance(metrology=metrology(due_ns=END + 30 * DAY)), "flag", {"calibration-due-soon"},
    ),
    "due_later": (balance(metrology=metrology(due_ns=END + 30 * DAY + 1)), "ok", set()),
    "no_metrology": (balance(metrology=None), "not_evaluated", {"certificate-missing"}),
    "no_certificate": (
        balance(metrology=metrology(certificate=None)), "not_evaluated", {"certificate-missing"},
    ),
    "no_due_date": (balance(metrology=metrology(due_ns=None)), "not_evaluated", {"certificate-missing"}),
    "not_confirmed": (
        balance(metrology=metrology(confirmed_by=None)), "not_evaluated", {"certificate-not-confirmed"},
    ),
    "stopped": (balance(condition="stopped"), "hold", {"equipment-stopped"}),
    "limited": (
        balance(condition="limited", metrology=metrology(channels=())), "flag", {"equipment-limited"},
    ),
    "other_serial": (balance(serial="SN-2"), "hold", {"identity-mismatch"}),
    "no_serial": (balance(serial=None), "not_evaluated", {"serial-missing"}),
}  # fmt: skip


def run(bench: Bench, **args: Any) -> str:
    task = bench.start(**args)
    bench.advance(WINDOW_S)
    bench.do("task.stop", task=task)
    bench.air(6)
    return task


@pytest.mark.parametrize("name", STATUS_CASES)
def test_status_and_identity(name: str) -> None:
    equipment, status, codes = STATUS_CASES[name]
    bench = opened({("equipment", "EQ-1"): equipment})
    task = run(bench)
    assert (bench.verdict(task, "equipment")["status"], bench.codes(task, "equipment")) == (status, codes)


def test_a_sensor_of_the_room_is_judged_too() -> None:
    bench = opened({("equipment", "EQ-2"): sensor("th-1", metrology=metrology(due_ns=UTC0 - 1))})
    task = run(bench)
    [reason] = bench.verdict(task, "equipment")["reasons"]
    assert (reason["code"], reason["subject"]) == ("calibration-overdue", "th-1")
    assert bench.records[reason["seqs"][0]].body["id"] == "EQ-2"


def test_an_instrument_that_never_told_its_serial_is_not_evaluated() -> None:
    bench = Bench()
    bench.enrol()
    task = run(bench)
    assert bench.codes(task, "equipment") == {"identity-unknown"}


def test_one_that_cannot_tell_its_serial_is_not_asked() -> None:
    bench = Bench()
    bench.enrol()
    bench.enrol({("equipment", "EQ-1"): balance(identifies=False)})
    assert bench.verdict(run(bench), "equipment")["status"] == "ok"


def test_an_exchange_in_mid_task_holds_even_when_it_is_exchanged_back() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.identify(serial="SN-9")
    bench.identify(serial="SN-1")
    bench.finish(task)
    verdict = bench.verdict(task, "equipment")
    assert bench.codes(task, "equipment") == {"identity-mismatch"}
    assert "SN-9" in verdict["reasons"][0]["en"]


def test_a_state_other_than_in_use_holds() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.do("instrument.state", instrument="bal-1", state="maintenance", reason="dust")
    bench.do("instrument.state", instrument="bal-1", state="in-use")
    bench.finish(task)
    assert bench.codes(task, "equipment") == {"service-state"}


def test_an_event_after_the_end_changes_nothing() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.do("task.stop", task=task)
    bench.do("instrument.state", instrument="bal-1", state="maintenance")
    bench.identify(serial="SN-9")
    bench.air(6)
    assert bench.verdict(task, "equipment")["status"] == "ok"


def test_return_from_maintenance_asks_for_a_passed_check() -> None:
    bench = opened()
    bench.do("instrument.state", instrument="bal-1", state="maintenance")
    bench.do("instrument.state", instrument="bal-1", state="in-use")
    assert bench.codes(bench.weigh(), "equipment") == {"return-check-missing"}
    bench.check_passes()
    assert bench.verdict(bench.weigh(), "equipment")["status"] == "ok"


def test_return_from_being_found_simulated_asks_for_a_passed_check() -> None:
    bench = opened()
    bench.append("event", event_body("source-live", instrument="bal-1", endpoint="e"))
    assert not bench.codes(bench.weigh(), "equipment"), "it was never found to be anything else"
    for code in ("source-simulator", "source-live"):
        bench.append("event", event_body(code, instrument="bal-1", endpoint="e"))
    assert bench.codes(bench.weigh(), "equipment") == {"return-check-missing"}
    bench.check_passes()
    assert bench.verdict(bench.weigh(), "equipment")["status"] == "ok"


@pytest.mark.parametrize(
    ("load", "code"), [(220.0, set()), (220.0001, {"range-left"}), (-0.2, {"range-left"})]
)
def test_use_beyond_the_calibrated_range_holds(load: float, code: set[str]) -> None:
    bench = opened()
    task = bench.start()
    bench.weight(load)
    bench.finish(task)
    assert bench.codes(task, "equipment") == code


def test_a_certificate_without_a_range_asks_for_none() -> None:
    bench = opened(
        {("equipment", "EQ-1"): balance(metrology=metrology(channels=(ChannelQualification("x"),)))}
    )
    task = bench.start()
    bench.weight(500.0)
    bench.finish(task)
    assert bench.verdict(task, "equipment")["status"] == "ok"
