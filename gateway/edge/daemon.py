"""The edge daemon: brings the parts up in order, keeps them running, takes them down in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from drivers.compose import writers_of
from gateway import notify
from gateway.door.actors import Actors
from gateway.door.app import build_door
from gateway.door.socket_server import bind, serve
from gateway.durable import write_durably
from gateway.edge.acquisition import Acquisition, Taker
from gateway.edge.alarms import AlarmBoard, Webhook
from gateway.edge.commands import Commands
from gateway.edge.config_history import ConfigHistory
from gateway.edge.footprint import release_compiler, release_freed
from gateway.edge.ledger import Ledger
from gateway.edge.open_writes import LookUp
from gateway.edge.pulse import Pulse
from gateway.edge.reach import Reach
from gateway.edge.recorder import Recorder
from gateway.edge.recovery import Recovery
from gateway.edge.rehearsal import Beside, Context, Routing
from gateway.edge.rhythm import Rhythm
from gateway.edge.services import DaemonServices
from gateway.edge.wire_recording import WireRecording
from gateway.edge.witnessing import Witnessing
from gateway.edge.world import World
from gateway.edge.writes import Writes
from gateway.persons import Directory
from gateway.remote.doors import RemoteDoors
from gateway.supervise import Supervisor
from gateway.trust import ServiceTokens, TrustedKeys, TrustedWitnesses
from gateway.trust.watch import TrustWatch, files_of
from gateway.tuning import settle
from pipeline.compiled.compiling import WarmUp
from pipeline.elements import Elements
from pipeline.elements.alarms.views import summary as alarm_summary
from pipeline.elements.batches.charting import warm as warm_charting
from pipeline.intake import Intake
from pipeline.journal import Journal, JournalFullError
from pipeline.mqtt import Publisher, Questions, Topics
from pipeline.qc import QcEngine
from pipeline.records.envelope import own_source
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from drivers.door import Driver
    from gateway.site import LoadedSite
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
WARM_S = 1.0
"""The QC kernels are waited for this long at start; where they are not in the cache, acquisition starts at
once without them."""
DRAIN_LOOK_S = 0.05
DRAIN_S = 5.0
"""At a stop, what is durable is given this long to be receipted; the rest waits in the journal."""


class EdgeDaemon:
    """One gateway. `run()` returns after `stop` is set and everything is on disk.

    Args:
        site: what it is to do.
        world: what it touches; default the real one.
    """

    def __init__(self, site: LoadedSite, world: World | None = None) -> None:
        self._world = World() if world is None else world
        self._site = site
        self._settings = site.settings
        self._state = site.state
        self._password: str | None = None
        self._recording: WireRecording | None = None
        self.warm_up = WarmUp()
        self._charting = asyncio.Event()
        """Set once the control rules are compiled, or cannot be."""
        self._beside: Beside | None = None
        self._collectors = TrustedKeys(self._state.trusted_keys, self._keys_damaged).keys
        self._witnesses = TrustedWitnesses(self._state.trusted_witnesses, self._keys_damaged).witnesses

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set.

        Raises:
            SocketInUseError: another daemon serves this state folder.
        """
        mqtt_password = self._settings.mqtt.password
        folder = self._site.path.parent
        # Before anything is made: a missing credential leaves no half-prepared gateway behind.
        self._password = None if mqtt_password is None else mqtt_password.resolve_text(folder)
        webhook = self._settings.elements.alarms.webhook
        token = None if webhook is None else webhook.token
        self._webhook_token = None if token is None else token.resolve_text(folder)
        listener = bind(self._state.socket("door"))
        try:
            await self.record(stop, lambda: serve(build_door(self.services), listener))
        finally:
            listener.close()
            self._state.socket("door").unlink(missing_ok=True)

    async def record(self, stop: asyncio.Event, door: Callable[[], Awaitable[None]]) -> None:
        """Run every part until `stop` is set; `door` serves the commands."""
        journal = await self._open_journal()
        try:
            async with Supervisor(self._record_failure) as supervisor:
                await self._assemble(journal, supervisor)
                release_freed()
                supervisor.start("door", door)
                notify.notify("READY=1", f"STATUS=recording into {self._state.journal}")
                await stop.wait()
                notify.notify("STOPPING=1")
                await self._wind_down(supervisor)
        finally:
            try:
                if self._beside is not None:
                    await self._beside.close()
            finally:
                await journal.close()

    async def _open_journal(self) -> Journal:
        site = self._settings.site
        return await Journal.open(
            self._state.journal,
            self._settings.journal,
            purpose=site.purpose,
            origin=f"yaosu/{site.lab}/{site.gateway}",
            disk=self._world.disk,
            base_clock=self._world.clock,
            boot_id=self._world.boot_id,
        )

    async def _warm_kernels(self, supervisor: Supervisor) -> None:
        """Load the kernels; where they must be compiled, let that go on beside acquisition."""
        loop, cold = asyncio.get_running_loop(), asyncio.Event()

        def compiling() -> None:
            loop.call_soon_threadsafe(cold.set)

        async def warm() -> None:
            self.warm_up = WarmUp(compiling)
            try:
                await asyncio.to_thread(self._warm, self.warm_up, loop)
            finally:
                self._charting.set()  # whoever has waited tries by itself, and tells what is wrong
                self.warm_up.give_up()  # nobody waits for a process that compiles when the daemon stops

        supervisor.start("warm kernels", warm)
        ready = supervisor.wait(["warm kernels"], WARM_S)
        ends = {asyncio.ensure_future(ready), asyncio.ensure_future(cold.wait())}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    def _warm(self, warm_up: WarmUp, loop: asyncio.AbstractEventLoop) -> None:
        with warm_up:
            warm_charting()  # first: it is soon done, and a QC sample cannot wait
            loop.call_soon_threadsafe(self._charting.set)
            self.engine.warm()
        release_compiler()
        settle()

    def _record_failure(self, part: str, error: str) -> None:
        self._record_event("part-failed", part=part, error=error)

    async def _assemble(self, journal: Journal, supervisor: Supervisor) -> None:
        settings = self._settings
        self.elements = Elements(settings.elements)
        self.recorder = Recorder(
            journal, self.elements, {i.id: i.source for i in settings.instrument},
            own_source(settings.site.purpose),
        )  # fmt: skip
        self.alarm_board = AlarmBoard(self.elements)
        self.engine = self._make_engine()
        self.intake = Intake(
            self.engine, self.recorder, journal.clock, self.elements.service_state, self.elements.corrections,
            settings.intake.frame_delay_ms * 1_000_000,
        )  # fmt: skip
        self.history = ConfigHistory()
        await self._warm_kernels(supervisor)
        parts = journal, self.recorder, self.intake, self.elements, self.history
        await Recovery(*parts, self._charting.wait).run(self._site)
        self.trust = TrustWatch(files_of(self._state), self.recorder, self.history.trust)
        await self.trust.look_at_all()
        pulse = Pulse(journal, journal.clock)
        self.rhythm = Rhythm(*parts, pulse)
        self._drivers = self._make_drivers(journal)
        note = None if self._recording is None else self._recording.note
        taker = await self._taker(journal, supervisor)
        self.acquisition = Acquisition(self._drivers, taker, supervisor, pulse, note)
        self.witnessing = Witnessing(
            self.recorder, lambda: self._durable(journal, self.rhythm.latest_checkpoint),
            journal.consistency_proof, self._witnesses, self.history.trust,
        )  # fmt: skip
        self.publisher = self._publisher(journal)
        own = Topics(settings.site.lab, settings.site.gateway)
        self.publisher.questions = Questions(own.witness, self.witnessing.answer)
        await self._open_doors(journal, supervisor)
        self.acquisition.start()
        self.rhythm.start(supervisor)
        supervisor.start("publisher", self.publisher.run)
        supervisor.start("trust", self.trust.run)
        for part, run in self.remote.parts().items():
            supervisor.start(part, run)
        self._watch_alarms(supervisor)

    def _make_engine(self) -> QcEngine:
        return QcEngine(self._site.qc(), self._site.intervals_s())

    async def _taker(self, journal: Journal, supervisor: Supervisor) -> Taker:
        """Give what takes the drivers' items: in production, what is found to be simulated goes aside."""
        if self._settings.site.purpose != "production":
            return self.intake
        context = Context(
            site=self._site, world=self._world, production=journal, service_state=self.elements.service_state,
            make_engine=self._make_engine, trusted=self._collectors, witnesses=self._witnesses,
            password=self._password,
        )  # fmt: skip
        self._beside = Beside(
            context, supervisor, lambda error: self._record_event("rehearsal-unavailable", error=error)
        )
        await self._beside.start()
        endpoints = {each.id: each.endpoint for each in self._settings.instrument}
        return Routing(self.intake, self.recorder, self._beside, journal.clock, endpoints)

    def _make_drivers(self, journal: Journal) -> Sequence[Driver]:
        """Make the drivers; with a recording of their lines where that is wanted and can be."""
        settings = self._settings
        if settings.recording.enabled:
            try:
                self._recording = WireRecording(
                    self._state.wire, settings.recording, settings.instrument, journal.clock,
                    self._recording_changed,
                )  # fmt: skip
            except OSError as error:
                self._recording_changed("wire-recording-ended", str(error))
            else:
                return self._recording.drivers(journal.clock, self._world.random)
        return self._world.drivers(settings.instrument, journal.clock, self._world.random)

    def _recording_changed(self, code: str, error: str) -> None:
        LOG.warning("%s: %s", code, error)
        self._record_event(code, error=error)

    def _watch_alarms(self, supervisor: Supervisor) -> None:
        """Start what tells alarms outside, completes look-backs, and finds out what a stop left open."""
        supervisor.start("open writes", self.look_up.run)
        supervisor.start("look-back", Reach(self.recorder, self.elements, self.ledger).run)
        settings = self._settings.elements.alarms.webhook
        self.webhook: Webhook | None = None
        if settings is not None:
            site = self._settings.site
            about = {
                "lab": site.lab, "gateway": site.gateway, "purpose": site.purpose,
                "journal": self.recorder.journal.id.hex(),
            }  # fmt: skip
            self.webhook = Webhook(settings, self._webhook_token, about, self.recorder, self.elements)
            supervisor.start("webhook", self.webhook.run)

    async def _open_doors(self, journal: Journal, supervisor: Supervisor) -> None:
        """Make what carries commands out, and the doors through which they come."""
        state = self._state
        directory = await asyncio.to_thread(Directory, state.persons)
        actors = Actors(
            directory, journal.clock,
            lambda badge: self.elements.badge_owner(badge, journal.clock.utc_ns()),
            lambda person: bool(self.elements.registry("person", entry_id=person)),
            ServiceTokens(state.service_tokens).find,
        )  # fmt: skip
        self.ledger = Ledger(state.ledger_index, journal, self.elements)
        supervisor.start("ledger", self.ledger.run)
        commands = Commands(self.recorder, directory, self.history, self.ledger, self.trust)
        writers, opened = writers_of(self._drivers), self.history.writes
        commands.offer(Writes(self.recorder, directory, writers, opened).handlers)
        self.look_up = LookUp(self.recorder, opened, writers)
        self.services = DaemonServices(
            self._site, elements=self.elements, intake=self.intake, counters=self.health,
            supervisor=supervisor, actors=actors, commands=commands, directory=directory, journal=journal,
            ledger=self.ledger,
        )  # fmt: skip
        self.remote = RemoteDoors(
            self._site, recorder=self.recorder, executor=commands, password=self._password,
            problem=lambda text: self._record_event("command-file", problem=text),
            damaged=self._keys_damaged,
        )  # fmt: skip

    def _publisher(self, journal: Journal) -> Publisher:
        settings = self._settings
        return Publisher(
            settings=settings.mqtt,
            topics=Topics(settings.site.lab, settings.site.gateway),
            source=journal,
            clock=journal.clock,
            random=self._world.random,
            trusted=self._collectors,
            status=lambda: {"purpose": settings.site.purpose, "config_sha256": self._site.sha256},
            retained=lambda: self._retained(journal),
            password=self._password,
            link=self._world.link,
        )

    def _keys_damaged(self, error: str) -> None:
        LOG.error("%s", error)
        self._record_event("trusted-keys-damaged", error=error)

    def _record_event(self, code: str, **args: str) -> None:
        """Record something that must not fail for want of room: the log has it in any case."""
        with contextlib.suppress(JournalFullError):
            self.recorder.append("event", event_body(code, **args))

    def _retained(self, journal: Journal) -> Mapping[str, bytes]:
        """Birth, checkpoint and open alarms, each only once its records are durable."""
        topics = Topics(self._settings.site.lab, self._settings.site.gateway)
        retained = {}
        birth, checkpoint = self.history.birth, self._durable(journal, self.rhythm.latest_checkpoint)
        if told := [pair for pair in journal.keys.successions if pair[0] <= journal.durable_seq]:
            retained[topics.keys] = orjson.dumps(told)  # before what the new key has signed
        if birth is not None and birth.seq <= journal.durable_seq:
            retained[topics.birth] = birth.data
        if checkpoint is not None:
            retained[topics.checkpoint] = checkpoint.body["note"].encode()
        alarms = self.alarm_board.payload(journal.durable_seq)
        return retained if alarms is None else {**retained, topics.alarm: alarms}

    @staticmethod
    def _durable(journal: Journal, record: Record | None) -> Record | None:
        return record if record is not None and record.seq <= journal.durable_seq else None

    async def _wind_down(self, supervisor: Supervisor) -> None:
        """Drivers first, then what they left, then the seal, then a short chance for receipts."""
        await self.acquisition.stop()
        if self._recording is not None:
            self._recording.close()
        await supervisor.stop(
            *self.remote.parts(), *self.rhythm.parts, "look-back", "webhook", "trust", "open writes"
        )
        self._record_event("daemon-stop")
        await self.rhythm.last()
        if self._beside is not None:
            await self._beside.last()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while self._undelivered():  # noqa: ASYNC110 - receipts are the publisher's business, and rare
                    await asyncio.sleep(DRAIN_LOOK_S)
        await supervisor.stop("publisher", "rehearsal publisher")
        await supervisor.stop("door", "ledger")
        await self.ledger.close()
        try:
            write_durably(self._state.last_run, orjson.dumps(self._counted()), mode=0o640)
        except OSError as error:
            LOG.warning("%s was not written: %s", self._state.last_run, error)

    def _undelivered(self) -> bool:
        if self._beside is not None and self._beside.undelivered:
            return True
        return self.publisher.health.link.connected and self.recorder.journal.stats().backlog_records > 0

    def _counted(self) -> dict[str, int]:
        """What the drivers gave in this run, and how many records the journal holds."""
        return {
            "readings": self.intake.readings,
            "rows": self.intake.rows,
            "channels": sum(len(driver.describe().layout.channels) for driver in self._drivers),
            "records": self.recorder.journal.head_seq,
        }

    def health(self) -> dict[str, Any]:
        """Counters of the data path: what is recorded, never what a power cut could take back."""
        return {
            "readings": self.intake.recorded_readings,
            "rows": self.intake.recorded_rows,
            "publisher": self.publisher.status(),
            "witnesses": {name: asdict(one) for name, one in self.witnessing.health.items()},
            "kernels": "ready" if self.engine.ready else "warming",
            "kernels_warm_up": {"state": self.warm_up.state, "problem": self.warm_up.problem},
            **self.remote.health(),
            "alarms": self._alarm_health(),
            "rehearsal": None if self._beside is None else self._beside.health(),
        }

    def _alarm_health(self) -> dict[str, Any]:
        known = alarm_summary(self.elements.fold.state)
        return {
            "open": known["open"],
            "suppressed": known["suppressed"],
            "webhook": None if self.webhook is None else self.webhook.health(),
        }
