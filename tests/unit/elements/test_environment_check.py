import pytest

from pipeline.elements.registry_shapes import Environment, Limit
from tests.unit.elements.bench import UTC0, opened, room, weighing


def judged(low_to_high: tuple[float, ...], **changes: object) -> tuple[str, set[str]]:
    bench = opened({("environment", "room"): room(**changes)})
    task = bench.start()
    for value in low_to_high:
        bench.air(1, value)
    bench.finish(task)
    return bench.verdict(task, "environment")["status"], bench.codes(task, "environment")


@pytest.mark.parametrize(
    ("values", "status", "codes"),
    [
        ((21.0, 22.0), "ok", set()),
        ((18.0, 26.0), "ok", set()),
        ((21.0, 26.1, 21.0), "hold", {"environment-excursion"}),
        ((21.0, 17.9), "hold", {"environment-excursion"}),
    ],
)
def test_limits_hold_during_the_whole_window(values: tuple[float, ...], status: str, codes: set[str]) -> None:
    assert judged(values) == (status, codes)


def test_one_side_may_be_open_and_zero_is_a_limit() -> None:
    assert judged((-1.0,), low=0.0, high=None)[0] == "hold"
    assert judged((900.0,), low=0.0, high=None)[0] == "ok"


def test_without_limits_nothing_is_evaluated() -> None:
    assert judged((21.0,), low=None, high=None) == ("not_evaluated", {"environment-limits-missing"})


def test_the_excursion_is_cited_with_its_value_and_record() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.advance(1)
    seq = bench.temperature(30.0)
    bench.tick()
    [reason] = bench.verdict(task, "environment")["reasons"]
    assert reason["seqs"] == [seq]
    assert "30.0" in reason["en"]
    assert "30.0" in reason["zh"]
    event = bench.of_kind("event")[-1].body
    assert (event["code"], event["args"]["reason"]) == ("element-held", "environment-excursion")


def test_the_method_may_narrow_the_limits_and_soften_the_action() -> None:
    limit = Limit("temperature", 20.0, 22.0, on_excursion="flag")
    bench = opened({("method", "weighing"): weighing(environment_limits=(limit,))})
    task = bench.start()
    bench.air(2, 22.5)
    bench.finish(task)
    assert bench.verdict(task, "environment")["status"] == "flag"


def test_readings_outside_the_window_do_not_count() -> None:
    bench = opened()
    bench.air(1, 40.0)
    bench.advance(0.5)
    task = bench.start()
    bench.air(3)
    bench.advance(0.5)
    bench.do("task.stop", task=task)
    bench.air(6, 40.0)
    # Only what the room read last before the start is told, as a mark.
    assert bench.codes(task, "environment") == {"environment-outside-at-start"}
    assert bench.verdict(task, "environment")["facts"]["channels"]["th-1.temperature"]["max"] == 21.0


@pytest.mark.parametrize(("silence_s", "status"), [(9.0, "ok"), (10.0, "ok"), (10.1, "not_evaluated")])
def test_silence_longer_than_the_staleness_limit_is_not_ok(silence_s: float, status: str) -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.advance(silence_s)
    bench.temperature(21.0)
    bench.temperature(4.0, "th-2")
    bench.finish(task)
    assert bench.verdict(task, "environment")["status"] == status


def test_no_reading_at_all_is_not_evaluated() -> None:
    bench = opened()
    task = bench.start()
    bench.advance(3)
    bench.do("task.stop", task=task)
    for _ in range(6):
        bench.tick()
    verdict = bench.verdict(task, "environment")
    assert (verdict["status"], verdict["finality"]) == ("not_evaluated", "final")
    assert bench.view(task)["overall"] == "held"


def test_missing_rows_are_counted_and_are_no_readings() -> None:
    bench = opened()
    task = bench.start()
    for _ in range(12):
        bench.advance(1)
        bench.temperature(21.0, status=1, flag=9)
        bench.temperature(4.0, "th-2")
        bench.append("tick", {})
    verdict = bench.verdict(task, "environment")
    assert verdict["status"] == "not_evaluated"
    assert verdict["facts"]["channels"]["th-1.temperature"]["missing"] >= 1


def test_a_reading_that_failed_qc_neither_counts_nor_vanishes() -> None:
    bench = opened()
    task = bench.start()
    bench.air(1)
    bench.temperature(21.5, flag=4)
    bench.air(1)
    assert bench.codes(task, "environment") == {"environment-readings-failed"}
    bench.temperature(99.0, flag=4)
    bench.air(1)
    verdict = bench.verdict(task, "environment")
    assert "environment-excursion-unsure" in bench.codes(task, "environment")
    assert verdict["status"] == "hold"
    assert verdict["facts"]["channels"]["th-1.temperature"]["max"] == 21.0


def test_storage_is_judged_by_its_own_limits() -> None:
    bench = opened()
    task = bench.start()
    bench.air(2, cold=9.0)
    bench.finish(task)
    [reason] = bench.verdict(task, "environment")["reasons"]
    assert (reason["code"], reason["subject"]) == ("storage-excursion", "th-2.temperature")


def test_an_environment_bound_afterwards_is_late_and_not_evaluated() -> None:
    bench = opened()
    task = bench.start()
    bench.air(3)
    bench.do("task.bind", task=task, role="environment", target="fridge", from_utc_ns=UTC0)
    bench.air(2)
    assert "environment-bound-late" in bench.codes(task, "environment")
    assert bench.view(task)["bindings"][-1]["late"] is True


def test_a_place_without_channels_bound_in_time_is_unwatched() -> None:
    bench = opened({("environment", "room"): Environment("room")})
    task = bench.start()
    bench.enrol({("environment", "room"): room()})
    bench.air(1)
    assert bench.codes(task, "environment") == {"environment-unwatched"}


def test_what_is_bound_afterwards_is_watched_from_the_claim_on() -> None:
    bench = opened()
    task = bench.start()
    bench.air(15)
    bench.do("task.bind", task=task, role="storage", target="room", from_utc_ns=UTC0)
    bench.air(2)
    bench.finish(task)
    assert bench.codes(task, "environment") == {"storage-bound-late"}
