"""Take up where the last run ended: snapshots, the records after them, the account of the time between."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gateway.edge import config_history
from gateway.edge.config_history import Birth
from gateway.edge.recorder import CONSUMER
from gateway.site.ages import too_short
from pipeline.elements import VERSION as ELEMENTS_VERSION
from pipeline.elements import MalformedBody
from pipeline.intake import VERSION as INTAKE_VERSION
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.edge.config_history import ConfigHistory
    from gateway.edge.recorder import Recorder
    from gateway.site import LoadedSite
    from pipeline.elements import Elements
    from pipeline.intake import Intake
    from pipeline.journal import Journal
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
INTAKE = "intake"
READ_BYTES_MAX = 4 * 1024 * 1024


def say_repairs(journal: Journal, recorder: Recorder) -> None:
    """Record what the opening of a journal had to repair."""
    found = journal.recovery
    if found.torn_bytes or found.meta_rebuilt:
        body = event_body("journal-repaired", torn_bytes=found.torn_bytes, meta_rebuilt=found.meta_rebuilt)
        recorder.append("event", body)
    for damage in found.quarantined:
        recorder.append("event", event_body("quarantine", segment=damage.segment))


class Recovery:
    """Brings intake, elements and configuration history to the journal's end, then says what happened.

    Args:
        journal: whose records are replayed.
        recorder: feeds them to the elements.
        intake: goes on after them.
        elements: the fold over them.
        history: of the configuration.
        charting: waits until the control rules are compiled. Only a gateway that has charts waits for that:
            an observation asks for them at once, and the loop with all acquisition would wait in its place.
    """

    def __init__(
        self, journal: Journal, recorder: Recorder, intake: Intake, elements: Elements,
        history: ConfigHistory, charting: Callable[[], Awaitable[object]],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._recorder = recorder
        self._intake = intake
        self._elements = elements
        self._history = history
        self._charting = charting
        self._unreadable: list[str] = []

    async def run(self, site: LoadedSite) -> None:
        """Recover; afterwards the next append is the first of this boot's own news."""
        await self._replay()
        self._say_start(site)
        self._say_too_short(site)
        self._account_for_downtime(site)

    async def _replay(self) -> None:
        elements_seq = self._restore(CONSUMER, ELEMENTS_VERSION, self._elements.restore)
        intake_seq = self._restore(INTAKE, INTAKE_VERSION, self._intake.restore)
        history_seq = self._restore(config_history.NAME, config_history.VERSION, self._history.restore)

        def forward(record: Record) -> None:
            if record.seq > intake_seq:
                self._intake.replay(record)
            if record.seq > history_seq:
                self._history.see(record)

        if any(chart.versions for chart in self._elements.fold.state.batches.charts.values()):
            await self._charting()
        first = min(intake_seq, history_seq) + 1
        if first <= elements_seq:
            await self._read(first, elements_seq, forward)
        await self._recorder.replay(elements_seq + 1, forward, self._charting)
        self._intake.go_on_from(self._journal.ordinals)

    def _restore(self, name: str, version: int, restore: Callable[[bytes], object]) -> int:
        """Take up a snapshot; returns the seq that it covers, -1 without one that can be read.

        A restore that fails leaves the consumer as it was: then all records are replayed, which takes longer.
        """
        saved = self._journal.load_snapshot(name, version)
        if saved is None:
            return -1
        try:
            restore(saved[1])
        except (MalformedBody, ValueError, TypeError, KeyError, AttributeError) as error:
            LOG.warning("the snapshot of %s cannot be taken up, replaying all records: %s", name, error)
            self._unreadable.append(name)
            return -1
        return saved[0]

    async def _read(self, first: int, last: int, forward: Callable[[Record], None]) -> None:
        while first <= last:
            records = await self._journal.read(first, bytes_max=READ_BYTES_MAX)
            if not records:
                return
            for record in records:
                if record.seq <= last:
                    forward(record)
            first = records[-1].seq + 1

    def _say_start(self, site: LoadedSite) -> None:
        start = self._journal.start
        downtime = start.downtime
        seconds = "unknown" if downtime.ns is None else downtime.ns / 1e9
        self._recorder.append(
            "event",
            event_body(
                "daemon-start",
                boot=start.boot,
                offset_ns=start.offset_ns,
                downtime_s=seconds,
                basis=downtime.basis,
            ),
        )
        for name in self._unreadable:
            self._recorder.append("event", event_body("snapshot-unreadable", consumer=name))
        say_repairs(self._journal, self._recorder)
        attributed = self._history.applied_sha256 == site.sha256
        body = {
            "action": "start",
            "sha256": site.sha256,
            "path_name": site.path.name,
            "site": site.summary(),
            "actor": self._history.applied_by if attributed else None,
        }
        self._history.birth = Birth.of(self._recorder.append("config", body))
        if not attributed:
            self._recorder.append("event", event_body("unattributed-change", sha256=site.sha256))

    def _say_too_short(self, site: LoadedSite) -> None:
        """Tell which registered environments cannot be known with the polls of this site."""
        intervals_s = site.intervals_s()
        for entry in self._elements.registry("environment"):
            for one in entry["data"]["channels"]:
                rated = one.get("rate_max_per_h") is not None
                window_s = one["rate_window_s"] if rated else None
                for found in too_short(one["target"], one["staleness_s"], window_s, intervals_s):
                    LOG.warning("environment '%s': %s", entry["id"], found.message)
                    told = event_body(
                        "environment-too-seldom", environment=entry["id"], target=one["target"],
                        problem=found.message, advice=found.hint,
                    )  # fmt: skip
                    self._recorder.append("event", told)

    def _account_for_downtime(self, site: LoadedSite) -> None:
        downtime = self._journal.start.downtime
        if downtime.last_run_ns is None or downtime.last_utc_ns is None:
            return
        intervals_s = site.intervals_s()
        here = {instrument.id for instrument in site.settings.instrument}
        for instrument in sorted(self._intake.known() - here):
            self._intake.leave(instrument, downtime.last_run_ns, downtime.last_utc_ns)
        for instrument in sorted(here):
            self._intake.begin(
                instrument,
                round(intervals_s[instrument] * 1e9),
                downtime.last_run_ns,
                downtime.last_utc_ns,
                known=downtime.ns is not None,
            )
