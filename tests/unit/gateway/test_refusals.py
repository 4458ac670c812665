"""Refused commands as evidence: what of them is recorded, and how often."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from gateway.edge.commands import REFUSALS_BURST, REFUSALS_PER_S, Commands
from pipeline.elements import Elements
from tests.unit.gateway.paper import HandClock


class Recorder:
    """Keeps the events."""

    def __init__(self) -> None:
        self.elements = Elements()
        self.clock = HandClock()
        self.journal = SimpleNamespace(clock=self.clock)
        self.events: list[dict[str, Any]] = []

    def append(self, kind: str, body: dict[str, Any]) -> None:
        assert kind == "event"
        self.events.append(body["args"])


def made() -> tuple[Commands, Recorder]:
    recorder = Recorder()
    return Commands(cast("Any", recorder), *cast("Any", (None, None, None, None))), recorder


async def test_somebody_who_is_refused_again_and_again_fills_no_journal() -> None:
    commands, recorder = made()
    for _ in range(REFUSALS_BURST + 50):
        await commands.refused("task.stop", "unknown-task", "unknown")
    assert len(recorder.events) == REFUSALS_BURST
    await commands.refused("task.stop", "unknown-task", "p-1")
    assert recorder.events[-1]["person"] == "p-1", "another person's refusal is news"
    assert recorder.events[-1]["unrecorded"] == 50, "what was left out is counted in the next"
    recorder.clock.now += round(1e9 / REFUSALS_PER_S)
    await commands.refused("task.stop", "unknown-task", "unknown")
    assert recorder.events[-1] == {
        "command": "task.stop", "reason": "unknown-task", "person": "unknown", "about": {}, "unrecorded": 0,
    }  # fmt: skip


async def test_nothing_that_was_typed_and_is_not_on_file_enters_the_record() -> None:
    commands, recorder = made()
    args = {
        "task": "王大锤",
        "sample": "secret",
        "instruments": ["x" * 10_000],
        "operator": 5,
        "method": None,
    }
    await commands.refused("王大锤", "unknown-command", "unknown", args)
    assert recorder.events == [
        {"command": "unknown", "reason": "unknown-command", "person": "unknown", "about": {}, "unrecorded": 0}
    ]
