"""What the ledger records alone tell is what the elements themselves show."""

from __future__ import annotations

import pytest

from pipeline.elements.alarms import views as alarm_views
from pipeline.elements.batches import views as batch_views
from pipeline.elements.lookback import report
from pipeline.elements.risk import views as risk_views
from pipeline.elements.risk.settings import RiskSettings
from pipeline.elements.risk.state import RiskState
from pipeline.ledger.recorded import KINDS, Recorded
from tests.unit.dashboard.laboratory import proposed, quality_bench
from tests.unit.elements.bench import DAY, SIGNER, UTC0, Bench
from tests.unit.elements.risky import clean, gap


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = quality_bench()
    proposed(bench)
    bench.do("alarm.acknowledge", bench.someone(SIGNER), alarm="A-00001", text="seen")
    return bench


@pytest.fixture(scope="module")
def recorded(bench: Bench) -> Recorded:
    told = Recorded(bench.elements.fold.settings)
    for record in bench.records:
        if record.kind in KINDS:
            told.take(record)
    return told


def test_every_record_was_understood(recorded: Recorded) -> None:
    assert recorded.unread == 0


def test_alarms_are_those_of_the_elements(bench: Bench, recorded: Recorded) -> None:
    shown = alarm_views.alarms(bench.elements.fold.state)
    assert len(shown) >= 3
    assert alarm_views.alarms(recorded.state) == shown
    for one in shown:
        name = one["alarm"]
        assert alarm_views.alarm(recorded.state, name) == alarm_views.alarm(bench.elements.fold.state, name)


def test_batches_are_those_of_the_elements(bench: Bench, recorded: Recorded) -> None:
    fold = bench.elements.fold
    shown = batch_views.batches(fold)
    assert shown
    assert batch_views.batches(recorded) == shown
    for one in shown:
        assert batch_views.batch(recorded, one["batch"]) == batch_views.batch(fold, one["batch"])


def test_charts_are_those_of_the_elements(bench: Bench, recorded: Recorded) -> None:
    fold = bench.elements.fold
    shown = batch_views.charts(fold)
    assert shown
    assert batch_views.charts(recorded) == shown
    assert batch_views.chart(recorded, "C-1") == batch_views.chart(fold, "C-1")


def test_look_backs_are_those_of_the_elements(bench: Bench, recorded: Recorded) -> None:
    state = bench.elements.fold.state
    shown = report.look_backs(state)
    assert shown
    assert report.look_backs(recorded.state) == shown
    for one in shown:
        name = one["lookback"]
        assert report.look_back_report(recorded.state, name) == report.look_back_report(state, name)


def told_of(bench: Bench) -> Recorded:
    """Take in what stores keep of a bench's records, up to its last tick, which stores do not keep."""
    told = Recorded(bench.elements.fold.settings)
    for record in bench.records:
        if record.kind in KINDS:
            told.take(record)
    told.until(bench.of_kind("tick")[-1].t_utc_ns)
    assert told.unread == 0
    return told


def assert_same_risk(bench: Bench, told: Recorded) -> None:
    fold = bench.elements.fold
    mine, theirs = (
        risk_views.overview(one.state.risk, one.settings.risk) for one in (told, fold)
    )  # fmt: skip
    assert mine == theirs
    assert len(mine["subjects"]) > 5
    for one in mine["subjects"]:
        name = one["subject"]
        shown = risk_views.subject(told.state.risk, name, told.settings.risk)
        assert shown == risk_views.subject(fold.state.risk, name, fold.settings.risk), name


def test_every_point_of_the_risk_index_is_that_of_the_elements(bench: Bench) -> None:
    assert_same_risk(bench, told_of(bench))


def test_gaps_levels_and_what_has_faded_are_those_of_the_elements() -> None:
    bench = clean(tasks=2)
    gap(bench, 300.0)
    bench.tick(61)
    assert bench.shown("risk", "lab")["level"] != "ordinary"
    bench.now += 20 * DAY
    gap(bench, 3.0, ended=False)
    bench.weigh(item="later")
    bench.tick(61)
    assert "gap-open" in {one["code"] for one in bench.shown("risk", "instrument:bal-1")["contributions"]}
    assert_same_risk(bench, told_of(bench))


def test_weights_are_those_that_the_gateway_was_set_to_when_it_counted() -> None:
    told = Recorded()
    own = RiskSettings(half_life_days=7, weights={"gap": 9.0})
    bench = clean(half_life_days=7, weights={"gap": 9.0})
    bench.append("config", {"action": "start", "site": {"risk": own.model_dump(mode="json")}})
    gap(bench, 5.0)
    bench.tick()
    for record in bench.records:
        if record.kind in KINDS:
            told.take(record)
    told.until(UTC0 + bench.now)
    assert told.settings.risk == own
    assert risk_views.overview(told.state.risk, told.settings.risk) == bench.shown("risk")


def test_time_does_not_go_back_for_the_risk_index() -> None:
    told = Recorded()
    told.until(UTC0 + DAY)
    told.until(UTC0)
    assert told.state.risk == RiskState(now_run_ns=UTC0 + DAY, now_utc_ns=UTC0 + DAY)
