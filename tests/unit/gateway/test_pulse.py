"""Signs of life: told only while acquisition, ticks and commits go round."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway import notify
from gateway.edge.pulse import COMMITS_NS, FRAMES_NS, TICKS_NS, Pulse
from gateway.edge.rhythm import Rhythm
from gateway.supervise import Supervisor
from tests.unit.gateway.paper import HandClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.journal import Journal


@dataclass
class Figures:
    """A journal of which only the figures are asked."""

    durable_seq: int = 7
    uncommitted_records: int = 0
    trouble: Any = None
    clock: HandClock = field(default_factory=HandClock)

    def stats(self) -> Figures:
        return self

    def pulse(self) -> Pulse:
        return Pulse(cast("Journal", self), self.clock)


@pytest.mark.parametrize(("stage", "other", "limit_ns"), [
    ("frames", "ticks", FRAMES_NS), ("ticks", "frames", TICKS_NS),
])  # fmt: skip
def test_a_stage_that_stands_still_is_silent(stage: str, other: str, limit_ns: int) -> None:
    journal = Figures()
    pulse = journal.pulse()
    journal.clock.now += limit_ns
    pulse.beat(other)
    assert pulse.silent() == []
    journal.clock.now += 1
    assert pulse.silent() == [stage]
    pulse.beat(stage)
    assert pulse.silent() == []


def later(journal: Figures, pulse: Pulse, ns: int) -> list[str]:
    journal.clock.now += ns
    pulse.beat("frames")
    pulse.beat("ticks")
    return pulse.silent()


def test_a_sync_that_never_returns_is_silent_and_a_slow_one_is_not() -> None:
    journal = Figures(uncommitted_records=3)
    pulse = journal.pulse()
    assert later(journal, pulse, 0) == []
    assert later(journal, pulse, COMMITS_NS) == []
    journal.durable_seq += 1
    assert later(journal, pulse, COMMITS_NS) == []
    assert later(journal, pulse, COMMITS_NS + 1) == ["commits"]


def test_a_disk_that_refuses_is_alive_as_long_as_it_is_tried_whatever_waits_for_it() -> None:
    journal = Figures(uncommitted_records=3, trouble=SimpleNamespace(attempts=1))
    pulse = journal.pulse()
    for attempt in range(2, 6):
        journal.trouble = SimpleNamespace(attempts=attempt)
        journal.clock.now += COMMITS_NS
        assert pulse.silent() == []
    journal.clock.now += COMMITS_NS + 1
    assert pulse.silent() == ["commits"]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listening


def heard(manager: socket.socket) -> int:
    count = 0
    while True:
        try:
            count += manager.recv(4096) == b"WATCHDOG=1"
        except BlockingIOError:
            return count


@pytest.mark.virtual_time
async def test_the_manager_hears_of_life_and_of_nothing_else(manager: socket.socket) -> None:
    journal = Figures()
    pulse = journal.pulse()
    none = cast("Any", None)
    rhythm = Rhythm(cast("Journal", journal), none, none, none, none, pulse)
    async with Supervisor(lambda part, error: None) as supervisor:
        supervisor.start("watchdog", rhythm._watchdog)
        await asyncio.sleep(9.5)
        assert heard(manager) == 10
        journal.clock.now += TICKS_NS + 1
        await asyncio.sleep(10.0)
        assert heard(manager) == 0
        pulse.beat("ticks")
        pulse.beat("frames")
        await asyncio.sleep(2.0)
        assert heard(manager) == 2


@pytest.mark.parametrize(
    ("period", "pid", "expected"),
    [("2000000", "", 1.0), ("0", "", None), ("x", "", None), ("", "", None), ("2000000", "1", None)],
)
def test_a_watchdog_is_only_ours_when_it_is_meant_for_us(
    monkeypatch: pytest.MonkeyPatch, period: str, pid: str, expected: float | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", period)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    if pid:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert notify.watchdog_period_s() == expected


def test_a_manager_that_does_not_read_does_not_stop_the_daemon(manager: socket.socket) -> None:
    sent = [notify.notify("STATUS=" + "x" * 1000) for _ in range(2000)]
    assert sent[0]
    assert not sent[-1]
