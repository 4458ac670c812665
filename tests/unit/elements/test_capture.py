"""Snapshots made piece by piece: of one seq, whatever goes on between, or lost and begun again."""

import pytest

from pipeline.elements import Elements
from pipeline.elements.codec import MalformedBody
from pipeline.elements.engine import VERSION
from pipeline.elements.saving import Capture
from tests.unit.elements.bench import Bench, opened


def captured(capture: Capture) -> bytes:
    while not (capture.whole or capture.lost):
        capture.take()
    assert capture.whole
    return b"".join(capture.taken)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench with finished tasks and one that runs, whose snapshot has many pieces."""
    monkeypatch.setattr("pipeline.elements.saving.PART_BYTES", 64)
    bench = opened()
    bench.check_passes()
    bench.weigh()
    bench.start()
    bench.weight(50.0)
    bench.air(1)
    return bench


def test_the_pieces_together_are_the_snapshot_made_at_once(busy: Bench) -> None:
    capture = busy.elements.capture()
    count = len(capture.taken)
    taken = captured(capture)
    assert taken == busy.elements.snapshot()
    assert len(capture.taken) > count + 5, "it is made in many turns"
    again = Elements(busy.settings)
    again.restore(taken)
    assert again.snapshot() == busy.elements.snapshot()
    assert again.last_seq == capture.seq == len(busy.records) - 1


def test_readings_that_come_between_the_pieces_are_not_in_the_snapshot(busy: Bench) -> None:
    expected = busy.elements.snapshot()
    capture = busy.elements.capture()
    while not capture.whole:
        capture.take()
        busy.weight(50.0)
        assert not capture.lost
    assert b"".join(capture.taken) == expected
    assert busy.elements.last_seq > capture.seq
    again = Elements(busy.settings)
    again.restore(expected)
    for record in busy.records[capture.seq + 1 :]:
        again.consume(record)
    assert again.snapshot() == busy.elements.snapshot(), "what came after it is replayed"


@pytest.mark.parametrize("kind", ["tick", "start", "registry", "event", "flags"])
def test_a_record_that_changes_the_state_loses_what_was_begun(busy: Bench, kind: str) -> None:
    capture = busy.elements.capture()
    capture.take()
    if kind == "start":
        busy.do("instrument.state", instrument="bal-1", state="qc", reason="seen")
    elif kind == "registry":
        busy.enrol({})
        busy.air(1)
    elif kind == "flags":
        busy.decide("bal-1", n=[0], channel=["weight"], flag=[4])
    else:
        busy.append(kind, {} if kind == "tick" else {"code": "whatever", "args": {}})
    assert (capture.lost, capture.whole) == (True, False)
    assert captured(busy.elements.capture()) == busy.elements.snapshot()


def test_a_snapshot_that_is_whole_cannot_be_lost(busy: Bench) -> None:
    capture = busy.elements.capture()
    taken = captured(capture)
    busy.air(3)
    assert (capture.whole, capture.lost, b"".join(capture.taken)) == (True, False, taken)


def test_a_task_that_settles_by_a_reading_loses_what_was_begun(busy: Bench) -> None:
    task = next(one["task"] for one in busy.elements.tasks() if one["phase"] == "running")
    busy.do("task.stop", task=task)
    capture = busy.elements.capture()
    capture.take()
    busy.now += 10**9
    busy.weight(50.0)
    assert capture.lost


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xc1", bytes([VERSION]), bytes([VERSION]) + b"\x92\xa0\x01"]
)
def test_what_is_no_snapshot_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedBody):
        Elements().restore(content)


def test_a_snapshot_that_was_cut_off_is_refused(busy: Bench) -> None:
    whole = busy.elements.snapshot()
    for end in range(1, len(whole), 997):
        with pytest.raises(MalformedBody):
            Elements().restore(whole[:end])


def test_what_lies_in_a_long_table_comes_in_parts_and_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.elements.saving._LARGE", 1)
    bench = opened()
    bench.check_passes()
    for _ in range(3):
        bench.weigh()
    bench.check_passes(101.0)
    bench.air(2)
    monkeypatch.setattr("pipeline.elements.saving.PART_BYTES", 200)
    again = Elements(bench.settings)
    again.restore(captured(bench.elements.capture()))
    assert again.fold.state == bench.elements.fold.state
    assert list(again.fold.state.lookbacks.items) == list(bench.elements.fold.state.lookbacks.items)
    assert again.snapshot() == bench.elements.snapshot()
