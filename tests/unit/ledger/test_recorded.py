"""What the ledger records alone tell is what the elements themselves show."""

from __future__ import annotations

import pytest

from pipeline.elements.alarms import views as alarm_views
from pipeline.elements.batches import views as batch_views
from pipeline.elements.lookback import report
from pipeline.ledger.recorded import KINDS, Recorded
from tests.unit.dashboard.laboratory import proposed, quality_bench
from tests.unit.elements.bench import SIGNER, Bench


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
