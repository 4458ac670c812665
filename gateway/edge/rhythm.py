"""What happens by the clock: ticks, checkpoints, snapshots, retirement, signs of life."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

from gateway import notify
from gateway.edge import config_history
from gateway.edge.footprint import release_freed
from gateway.edge.key_change import KeyChange
from gateway.edge.recorder import CONSUMER
from gateway.edge.recovery import INTAKE
from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.intake import VERSION as INTAKE_VERSION
from pipeline.records.events import event_body
from pipeline.records.pieces import Pieces

if TYPE_CHECKING:
    from gateway.edge.config_history import ConfigHistory
    from gateway.edge.pulse import Pulse
    from gateway.edge.recorder import Recorder
    from gateway.supervise import Supervisor
    from pipeline.elements import Elements
    from pipeline.intake import Intake
    from pipeline.journal import Journal
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
TICK_BUSY_S = 1.0
TICK_IDLE_S = 10.0
CHECKPOINT_S = 5.0
SNAPSHOT_S = 30.0
CAPTURES_MAX = 5
"""Ticks after which a snapshot of the elements is begun, before it is made in one go."""
UPKEEP_S = 5.0
VERIFY_S = 1.0
LAST_S = 10.0


class Rhythm:
    """The daemon's periodic parts."""

    def __init__(
        self, journal: Journal, recorder: Recorder, intake: Intake, elements: Elements,
        history: ConfigHistory, pulse: Pulse,
    ) -> None:  # fmt: skip
        self._history = history
        self._pulse = pulse
        self._journal = journal
        self._recorder = recorder
        self._intake = intake
        self._elements = elements
        self.latest_checkpoint: Record | None = None
        self._key_change = KeyChange(recorder)
        self._ticked = asyncio.Event()
        self.parts: list[str] = []

    def start(self, supervisor: Supervisor) -> None:
        """Start every part."""
        parts = {
            "ticks": self._ticks,
            "checkpoints": self._checkpoints,
            "snapshots": self._snapshots,
            "journal upkeep": self._upkeep,
            "journal verification": self._verification,
            "watchdog": self._watchdog,
        }
        for part, run in parts.items():
            self.parts.append(part)
            supervisor.start(part, run)

    async def _ticks(self) -> None:
        last_ns = self._journal.clock.run_ns()
        while True:
            self._pulse.beat("ticks")
            await asyncio.sleep(TICK_BUSY_S)
            # Time passes for the elements through records: while none can be taken, it does not.
            await self._recorder.room()
            now_ns = self._journal.clock.run_ns()
            for notice in self._journal.take_notices():
                self._recorder.append("event", event_body(notice.code, **notice.args))
            # A task may begin at any moment, so idleness is looked at every second.
            if self._elements.open_tasks or now_ns - last_ns >= TICK_IDLE_S * 1e9:
                last_ns = now_ns
                self._recorder.append("tick", {})
                self._ticked.set()

    async def _checkpoints(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            await self._recorder.room()
            await self._key_change.look()
            self.checkpoint()

    def checkpoint(self, *, stop: bool = False) -> None:
        """Seal what is durable."""
        if not self._recorder.settled:
            return
        sealed = self._journal.checkpoint(stop=stop)
        if sealed is not None:
            self.latest_checkpoint = sealed

    async def _snapshots(self) -> None:
        await asyncio.sleep(SNAPSHOT_S)
        # By now the ledger's index and the publisher have read what the start recorded of the site.
        release_freed()
        while True:
            await self._recorder.room()
            await self._intake.close_in_turn()
            if self._recorder.settled:
                self._save_others()
                await self._save_elements()
            await asyncio.sleep(SNAPSHOT_S)

    def snapshot(self) -> None:
        """Hand the consumers' state to the journal, which writes it once what it covers is durable."""
        if self._recorder.settled:  # else the elements' state would cover records that are not there
            self._save_others()
            self._journal.save_snapshot(
                CONSUMER, self._journal.head_seq - 1, self._elements.snapshot(), ELEMENTS_VERSION
            )

    def _save_others(self) -> None:
        intake = self._intake.snapshot()  # closes open frames: the seq is that after them
        seq = self._journal.head_seq - 1
        self._journal.save_snapshot(INTAKE, seq, intake, INTAKE_VERSION)
        self._journal.save_snapshot(
            config_history.NAME, seq, self._history.snapshot(), config_history.VERSION
        )

    async def _save_elements(self) -> None:
        """Save the elements' state as of a tick, made between other work; at once where that never lasts."""
        for _ in range(CAPTURES_MAX):
            self._ticked.clear()
            await self._ticked.wait()
            if not self._recorder.settled:
                return
            capture = self._elements.capture()
            while not (capture.whole or capture.lost):
                capture.take()
                await asyncio.sleep(0)
            if capture.whole:
                self._journal.save_snapshot(CONSUMER, capture.seq, Pieces(capture.taken), ELEMENTS_VERSION)
                return
        if self._recorder.settled:
            seq = self._journal.head_seq - 1
            self._journal.save_snapshot(CONSUMER, seq, self._elements.snapshot(), ELEMENTS_VERSION)

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            await self._journal.upkeep.maintain(self._recorder.append)

    async def _verification(self) -> None:
        while True:
            await asyncio.sleep(VERIFY_S)
            await self._journal.upkeep.verify_some(VERIFY_S)

    async def _watchdog(self) -> None:
        period_s = notify.watchdog_period_s()
        told: list[str] = []
        while period_s is not None:
            silent = self._pulse.silent()
            if not silent:
                notify.notify("WATCHDOG=1")
            elif silent != told:
                LOG.error("no sign of life of %s: the service manager will restart the daemon", silent)
            told = silent
            await asyncio.sleep(period_s)

    async def last(self) -> None:
        """The end of a clean stop: everything durable, sealed, and its state saved.

        Waits LAST_S for a disk that does not work; what is not durable then is told by the journal's close.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self._all_durable()
                self.checkpoint(stop=True)
                self.snapshot()
                await self._all_durable()

    async def _all_durable(self) -> None:
        await self._journal.wait_beyond(self._journal.head_seq - 2)
