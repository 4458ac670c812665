"""Each detector has a day that fires it and a day, as like it as can be, that does not."""

import numpy as np
import pytest

from pipeline.elements.detectors.prints import KEPT, digest, feed, piece_hashes, shared
from pipeline.elements.detectors.settings import DetectorSettings
from pipeline.elements.detectors.state import RunningPrint
from pipeline.elements.registry_shapes import Custody, DecisionRule, ResultSpec
from tests.unit.elements.bench import (
    ANALYST,
    HOUR,
    UTC0,
    Bench,
    balance,
    sample,
    weighing,
)
from tests.unit.elements.evidence import checked, evidence, measured, noise


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
        bench.do(
            "task.enter", task=task, channel="bal-1.weight", value="50.0", unit="g", reason="line lost"
        )  # fmt: skip
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
