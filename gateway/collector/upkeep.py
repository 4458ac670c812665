"""What the collector does for its archive in the background: reads it again, lets go of what is over age."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably
from pipeline.archive import ArchiveError, Checker, HoldsError

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.archive import Archive, ArchiveSettings
    from pipeline.records import Clock

LOG = logging.getLogger(__name__)
YEAR_NS = 31_556_952 * 10**9
"""A Gregorian year, on average."""
DAY_NS = 86_400 * 10**9
PAUSE_S = 60.0
STATE_NAME = "check.json"


class Upkeep:
    """Checks one segment after the other, no faster than the settings allow; once a day lets go of old ones.

    A clock that nobody vouches for counts no further than the latest stamp of an archived record.

    Where a round has come to is kept in the archive's folder, so that a restart does not begin it anew.
    """

    def __init__(self, folder: Path, archive: Archive, settings: ArchiveSettings, clock: Clock) -> None:
        self._folder = folder
        self._archive = archive
        self._settings = settings
        self._clock = clock
        self._purged_ns = 0

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await self.turn()
            await asyncio.sleep(PAUSE_S)

    async def turn(self) -> None:
        """Let go of what is over age, if it is time; check what is due, if anything is."""
        await self._purge()
        after, ended_ns = self._state()
        self._archive.health.checked_utc_ns = ended_ns
        due_ns = ended_ns + int(self._settings.check_days * DAY_NS) // 2  # the reading itself takes time too
        if not after and self._clock.utc_ns() < due_ns:
            return
        try:
            checker = await asyncio.to_thread(Checker, self._folder)
        except (OSError, sqlite3.Error) as error:
            LOG.warning("the archive cannot be checked: %s", error)
            return
        try:
            await self._round(checker, after)
        finally:
            checker.close()

    async def _round(self, checker: Checker, after: str) -> None:
        damaged = self._archive.health.damaged
        for segment in sorted(checker.segments()):
            if segment <= after:
                continue
            size = checker.size(segment)
            try:
                findings = await asyncio.to_thread(checker.check, segment)
            except (OSError, sqlite3.Error) as error:
                LOG.warning("segment %s cannot be checked: %s", segment, error)
                return
            for finding in findings[:10]:
                LOG.error("ARCHIVE DAMAGED: segment %s at byte %d: %s", *finding)
            if findings and segment not in damaged:
                damaged.append(segment)
            self._keep(after=segment, ended_utc_ns=self._archive.health.checked_utc_ns)
            await asyncio.sleep(size / self._settings.check_bytes_per_s)
        self._archive.health.checked_utc_ns = self._clock.utc_ns()
        self._keep(after="", ended_utc_ns=self._archive.health.checked_utc_ns)

    async def _purge(self) -> None:
        now_ns = self._clock.utc_ns()
        if 0 <= now_ns - self._purged_ns < DAY_NS:
            return
        self._purged_ns = now_ns
        try:
            if not self._clock.state().synchronised:  # set wrong, it could be years ahead
                now_ns = min(now_ns, await self._archive.latest_ns())
            gone = await self._archive.purge(now_ns - int(self._settings.keep_years * YEAR_NS))
        except (ArchiveError, HoldsError) as error:
            LOG.error("nothing over age was let go: %s", error)  # noqa: TRY400 - the trace says no more
        else:
            if gone:
                LOG.warning("over age and let go, but for their hashes: segments %s", ", ".join(gone))

    def _state(self) -> tuple[str, int]:
        """Name of the last segment checked in this round, "" between rounds; when the last round ended."""
        try:
            state = orjson.loads((self._folder / STATE_NAME).read_bytes())
            return str(state["after"]), int(state["ended_utc_ns"])
        except (OSError, ValueError, TypeError, LookupError):
            return "", 0  # the round is only begun anew

    def _keep(self, *, after: str, ended_utc_ns: int) -> None:
        try:
            state = {"after": after, "ended_utc_ns": ended_utc_ns}
            write_durably(self._folder / STATE_NAME, orjson.dumps(state), mode=0o640)
        except OSError as error:
            LOG.warning("how far the check has come was not written: %s", error)
