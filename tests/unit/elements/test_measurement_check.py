import pytest

from pipeline.elements.registry_shapes import Method, ResultSpec
from tests.unit.elements.bench import (
    RUN0,
    SECOND,
    UTC0,
    WEIGHT,
    Bench,
    balance,
    check_weight,
    opened,
    weighing,
)


def gap(bench: Bench, polls: int, from_s: float, to_s: float, ended: bool = True) -> None:
    body = {"instrument": "bal-1", "polls": polls, "cause": "disconnected", "ended": ended}
    for name, zero in (("run", RUN0), ("utc", UTC0)):
        body[f"from_{name}_ns"] = zero + round(from_s * SECOND)
        body[f"to_{name}_ns"] = zero + round(to_s * SECOND)
    bench.append("gap", body)


def test_net_weight_names_its_readings_and_the_certificate() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    tare_seq = bench.weight(0.0003, 0.0004)
    bench.weight(20.0, 30.0, stable=0)
    gross_seq = bench.weight(50.0010, 50.0012)
    bench.weight(50.5, stable=0)
    bench.weight(0.0001)
    bench.finish(task)
    [result] = bench.view(task)["results"]
    assert result["value"] == 50.0008
    assert (result["unit"], result["decimals"], result["k"]) == ("g", 4, 2.0)
    # U of the certificate is 0.0003 at each of the two readings.
    assert result["uncertainty"] == pytest.approx(0.0003 * 2**0.5, rel=1e-12)
    assert result["seqs"] == [tare_seq, gross_seq]
    assert (result["algorithm"], result["version"]) == ("net-weight", 2)
    assert result["facts"]["tare_basis"] == "empty-pan"
    assert bench.records[result["seq"]].kind == "result"


def test_without_an_empty_pan_the_tare_is_zero_and_says_so() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh(50.0)
    [result] = bench.view(task)["results"]
    assert (result["value"], result["facts"]["tare_basis"]) == (50.0, "none")


def test_without_a_stable_reading_there_is_no_result() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0, stable=0)
    bench.finish(task)
    assert bench.view(task)["results"] == []
    assert bench.codes(task, "measurement") == {"result-missing"}
    assert bench.view(task)["overall"] == "held"


def test_no_uncertainty_is_marked_and_never_invented() -> None:
    bench = opened({("equipment", "EQ-1"): balance(metrology=None)})
    task = bench.weigh()
    [result] = bench.view(task)["results"]
    assert result["uncertainty"] is None
    assert "uncertainty-missing" in bench.codes(task, "measurement")


@pytest.mark.parametrize(
    ("readings", "status", "overall"),
    [
        ((100.0, 100.0), "ok", "clear"),
        ((100.0009, 100.0011), "ok", "clear"),
        ((100.0011,), "hold", "held"),
        ((99.9990,), "ok", "clear"),
        ((99.9985,), "hold", "held"),
    ],
)
def test_the_check_weight_against_its_certificate(
    readings: tuple[float, ...], status: str, overall: str
) -> None:
    bench = opened()
    task = bench.check_passes(*readings)
    assert (bench.verdict(task, "measurement")["status"], bench.view(task)["overall"]) == (status, overall)


def test_the_tolerance_itself_passes() -> None:
    bench = opened({("method", "weighing"): weighing(weight_tolerance=0.5)})
    assert bench.verdict(bench.check_passes(100.5), "measurement")["status"] == "ok"
    assert bench.verdict(bench.check_passes(100.75), "measurement")["status"] == "hold"


def test_an_empty_pan_is_no_part_of_the_mean() -> None:
    bench = opened()
    task = bench.check_passes(0.0, 100.0002, 0.0001, 100.0004, 1.0)
    [result] = bench.view(task)["results"]
    facts = result["facts"]
    assert (result["value"], facts["inputs"]["loaded(x)"], facts["readings"]) == (0.0003, 100.0003, 2)


def test_a_missing_fact_is_worse_than_a_mark() -> None:
    bench = opened({("equipment", "EQ-1"): balance(metrology=None)})
    task = bench.weigh()
    statuses = {reason["code"]: reason["status"] for reason in bench.verdict(task, "measurement")["reasons"]}
    assert statuses == {"uncertainty-missing": "flag", "check-weight-missing": "not_evaluated"}
    assert bench.verdict(task, "measurement")["status"] == "not_evaluated"


def test_a_check_weight_needs_value_and_tolerance() -> None:
    bench = opened({("material", "CW-1"): check_weight(certified=())})
    assert bench.codes(bench.check_passes(), "measurement") == {"result-missing"}
    bench = opened({("method", "weighing"): weighing(weight_tolerance=None)})
    assert bench.codes(bench.check_passes(), "measurement") == {"tolerance-missing"}


def test_a_test_needs_a_passed_check() -> None:
    bench = opened()
    assert bench.codes(bench.weigh(), "measurement") == {"check-weight-missing"}
    bench.check_passes(100.5)
    assert bench.codes(bench.weigh(), "measurement") == {"check-weight-failed"}
    check = bench.check_passes()
    task = bench.weigh()
    assert bench.verdict(task, "measurement")["status"] == "ok"
    assert bench.verdict(task, "measurement")["facts"]["check_weight"]["bal-1"]["task"] == check


def test_a_check_after_the_start_does_not_count() -> None:
    bench = opened({("equipment", "EQ-1"): balance(exclusive=False)})
    task = bench.start()
    bench.air(1)
    bench.check_passes()
    bench.weight(0.0, 50.0)
    bench.finish(task)
    assert bench.codes(task, "measurement") == {"check-weight-missing"}


@pytest.mark.parametrize(("age_s", "code"), [(3600.0, set()), (3600.1, {"check-weight-missing"})])
def test_a_check_grows_old(age_s: float, code: set[str]) -> None:
    bench = opened()
    check = bench.start(purpose="qc", sample=None, reference="CW-1")
    bench.air(1)
    bench.weight(100.0)
    bench.advance(0.001)
    bench.do("task.stop", task=check)
    stopped = bench.now
    bench.air(6)
    bench.now = stopped + round(age_s * SECOND)
    assert bench.codes(bench.weigh(), "measurement") == code


def test_a_test_waits_for_the_verdict_of_the_check_before_it() -> None:
    bench = opened()
    check = bench.start(purpose="qc", sample=None, reference="CW-1")
    bench.air(1)
    bench.weight(100.0)
    bench.advance(0.001)
    bench.do("task.stop", task=check)
    task = bench.start()
    assert "check-weight-pending" in bench.codes(task, "measurement")
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.finish(task)
    assert bench.verdict(task, "measurement")["status"] == "ok"
    assert bench.view(task)["overall"] == "clear"


def test_a_failed_reading_that_the_result_uses_holds() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    seq = bench.weight(50.0, flag=4)
    bench.finish(task)
    [reason] = bench.verdict(task, "measurement")["reasons"]
    assert (reason["code"], reason["status"], reason["seqs"]) == ("readings-failed", "hold", [seq])


def test_a_failed_reading_that_no_result_uses_does_not() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(30.0, flag=4)
    bench.weight(50.0)
    bench.finish(task)
    assert bench.verdict(task, "measurement")["status"] == "ok"


@pytest.mark.parametrize(("flag", "status"), [(3, "flag"), (4, "hold"), (2, "ok")])
def test_a_rule_that_decides_later_speaks_of_used_readings(flag: int, status: str) -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    last = bench.ordinals["bal-1"] - 1
    seq = bench.decide("bal-1", n=[last], channel=["weight"], flag=[flag])
    bench.finish(task)
    verdict = bench.verdict(task, "measurement")
    assert verdict["status"] == status
    assert verdict["seqs"] == ([] if flag == 2 else [seq])


def test_a_task_is_not_final_before_its_rows_are_decided() -> None:
    bench = opened()
    bench.check_passes()
    bench.decide("bal-1")
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    bench.finish(task)
    assert not bench.view(task)["final"]
    assert bench.elements.open_tasks == 1
    bench.decide("bal-1")
    bench.tick()
    assert bench.view(task)["overall"] == "clear"


def test_rows_that_are_never_decided_end_as_not_evaluated() -> None:
    bench = opened(decide_limit=60.0)
    bench.check_passes()
    bench.decide("bal-1")
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    bench.finish(task)
    bench.tick(60)
    assert bench.codes(task, "measurement") == {"rows-undecided"}
    assert bench.view(task)["overall"] == "held"


def test_completeness_counts_missing_rows_and_gaps() -> None:
    bench = opened({("method", "weighing"): weighing(completeness_min=0.5)})
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0, 50.0)
    begun = bench.now / SECOND
    gap(bench, 1, begun, begun + 0.5, ended=False)
    gap(bench, 2, begun, begun + 1)
    bench.air(1)
    assert bench.codes(task, "measurement") == {"readings-lost", "result-pending"}
    gap(bench, 5, begun + 0.5, begun + 1)
    bench.finish(task)
    [reason] = bench.verdict(task, "measurement")["reasons"]
    assert (reason["code"], reason["args"]["gap_polls"], reason["args"]["share"]) == (
        "completeness-low",
        7,
        2 / 9,
    )


def test_a_gap_outside_the_window_does_not_count() -> None:
    bench = opened()
    bench.check_passes()
    before = bench.now / SECOND
    bench.air(2)
    task = bench.start()
    gap(bench, 9, before, before + 1)
    bench.weight(50.0)
    bench.finish(task)
    gap(bench, 9, before + 60, before + 61)
    assert bench.verdict(task, "measurement")["status"] == "ok"


def test_only_the_part_of_a_gap_inside_the_window_counts() -> None:
    bench = opened({("method", "weighing"): weighing(completeness_min=0.5)})
    bench.check_passes()
    task = bench.start()
    bench.air(1)
    bench.weight(50.0, 50.0)
    bench.finish(task)
    end = (bench.view(task)["ended_utc_ns"] - UTC0) / SECOND
    gap(bench, 1000, end - 0.5, end + 499.5)
    bench.tick()
    [reason] = bench.verdict(task, "measurement")["reasons"]
    assert (reason["code"], reason["args"]["gap_polls"]) == ("readings-lost", 1)


def test_unstable_answers_are_no_loss() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.start()
    bench.frame("bal-1", WEIGHT, [(0.0, 0)] * 5, status=7, flag=9)
    bench.weight(50.0)
    bench.finish(task)
    assert bench.verdict(task, "measurement")["status"] == "ok"


def hold_rig() -> Bench:
    method = Method(
        "WI-31", "2026", required_elements=("measurement",), hold_time_required=False, measurands=("weight",),
        results=(ResultSpec("drop", "pressure-drop", "weight"),),
    )  # fmt: skip
    return opened({("method", "hold"): method})


def test_the_drop_is_first_minus_last_of_the_window() -> None:
    bench = hold_rig()
    task = bench.start(method="hold")
    bench.advance(1)
    first = bench.weight(35.5, 35.25)
    bench.advance(1)
    last = bench.weight(35.25, 35.0, stable=0)
    bench.finish(task)
    [result] = bench.view(task)["results"]
    assert (result["value"], result["seqs"]) == (0.5, [first, last])


@pytest.mark.parametrize(("flag", "status"), [(3, "flag"), (4, "hold")])
def test_a_result_over_the_window_rests_on_every_reading(flag: int, status: str) -> None:
    bench = hold_rig()
    task = bench.start(method="hold")
    bench.advance(1)
    bench.weight(35.5, 35.5)
    seq = bench.weight(36.0, flag=flag)
    bench.weight(35.5)
    bench.finish(task)
    assert bench.verdict(task, "measurement")["status"] == status
    assert bench.verdict(task, "measurement")["seqs"] == [seq]


def test_a_test_that_could_end_in_the_same_tick_as_its_check_waits_for_it() -> None:
    bench = opened()
    bench.weight(0.0)
    bench.decide("bal-1")
    check = bench.start(purpose="qc", sample=None, reference="CW-1")
    bench.air(1)
    bench.weight(100.0)
    bench.advance(0.001)
    bench.do("task.stop", task=check)
    task = bench.start()
    bench.advance(0.001)
    bench.weight(50.0)
    bench.temperature()
    bench.temperature(4.0, "th-2")
    bench.finish(task)
    bench.decide("bal-1")
    bench.tick()
    assert (bench.view(check)["final"], bench.view(task)["final"]) == (True, False)
    bench.tick()
    assert bench.view(task)["overall"] == "clear"
    assert bench.verdict(task, "measurement")["facts"]["check_weight"]["bal-1"]["task"] == check


def test_a_rule_that_left_with_the_configuration_is_not_waited_for() -> None:
    bench = opened()
    bench.check_passes()
    bench.decide("bal-1")
    task = bench.start()
    bench.air(1)
    bench.weight(50.0)
    bench.append("config", {})
    bench.finish(task)
    assert bench.view(task)["final"]


def test_rows_from_before_the_start_do_not_count() -> None:
    bench = opened()
    bench.check_passes()
    bench.advance(1)
    task = bench.start()
    bench.advance(0.05)
    bench.temperature()
    bench.temperature(4.0, "th-2")
    bench.weight(250.0, 250.0, 50.0)
    bench.finish(task)
    facts = bench.verdict(task, "measurement")["facts"]["channels"]["bal-1.weight"]
    assert (facts["rows"], facts["max"]) == (1, 50.0)
    assert bench.view(task)["results"][0]["value"] == 50.0
