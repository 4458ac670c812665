"""The elements' state is saved as of a tick, between other work; at once where nobody leaves it alone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.edge.rhythm import CAPTURES_MAX, Rhythm
from pipeline.elements import VERSION
from pipeline.records.pieces import Pieces
from tests.unit.elements.bench import Bench, opened


class BenchJournal:
    """Takes snapshots of a bench's elements."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.saved: list[tuple[int, int, bytes, bool]] = []

    @property
    def head_seq(self) -> int:
        return len(self._bench.records)

    def save_snapshot(self, name: str, seq: int, state: bytes | Pieces, version: int) -> None:
        assert name == "elements"
        self.saved.append((seq, version, bytes(state), isinstance(state, Pieces)))


class SettledRecorder:
    """Owes nothing."""

    settled = True


class Saving:
    """A rhythm that saves, and its bench."""

    def __init__(self) -> None:
        self.bench = opened()
        self.bench.weigh()
        self.journal, self.recorder = BenchJournal(self.bench), SettledRecorder()
        nothing: Any = None
        self.rhythm = Rhythm(
            cast("Any", self.journal), cast("Any", self.recorder), nothing, self.bench.elements, nothing,
            nothing,
        )  # fmt: skip
        self.task = asyncio.get_running_loop().create_task(self.rhythm._save_elements())

    async def tick(self) -> None:
        self.bench.tick()
        self.rhythm._ticked.set()
        await asyncio.sleep(0)


@pytest.fixture
def in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.elements.saving.PART_BYTES", 64)


@pytest.mark.usefixtures("in_small_pieces")
async def test_a_snapshot_tells_of_the_tick_at_which_it_was_begun_though_readings_go_on() -> None:
    saving = Saving()
    await asyncio.sleep(0)
    await saving.tick()
    expected, seq = saving.bench.elements.snapshot(), saving.journal.head_seq - 1
    turns = 0
    while not saving.task.done():
        saving.bench.temperature()
        turns += 1
        await asyncio.sleep(0)
    assert turns > 10, "other work had its turns in between"
    assert saving.journal.saved == [(seq, VERSION, expected, True)]


@pytest.mark.usefixtures("in_small_pieces")
async def test_a_snapshot_that_was_lost_is_begun_again_and_made_at_once_in_the_end() -> None:
    saving = Saving()
    await asyncio.sleep(0)
    for number in range(CAPTURES_MAX):
        assert not saving.task.done(), number
        await saving.tick()
        saving.bench.append("event", {"code": "whatever", "args": {}})
        await asyncio.sleep(0)
    await saving.task
    seq = saving.journal.head_seq - 1
    assert saving.journal.saved == [(seq, VERSION, saving.bench.elements.snapshot(), False)]


async def test_a_state_that_covers_records_which_are_not_there_is_not_saved() -> None:
    saving = Saving()
    await asyncio.sleep(0)
    saving.recorder.settled = False
    await saving.tick()
    await saving.task
    assert saving.journal.saved == []
