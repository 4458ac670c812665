"""What runs as long as the rehearsal journal is open: its recorder, its intake, its publisher, its rhythm."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgpack
import orjson

from gateway.edge.config_history import Birth
from gateway.edge.key_change import KeyChange
from gateway.edge.recorder import Recorder
from gateway.edge.recovery import INTAKE, READ_BYTES_MAX, say_repairs
from gateway.edge.witnessing import Witnessing
from gateway.site.rehearsal import rehearsal_site
from gateway.trust.history import TrustHistory
from pipeline.elements import Elements
from pipeline.intake import VERSION as INTAKE_VERSION
from pipeline.intake import Intake
from pipeline.journal import Journal, JournalFullError
from pipeline.mqtt import Publisher, Questions, Topics
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.edge.world import World
    from gateway.site import LoadedSite
    from pipeline.elements import Draft
    from pipeline.evidence.policy import Key
    from pipeline.qc import QcEngine
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
TURN_S = 1.0
SEAL_TURNS = 5
SNAPSHOT_TURNS = 30
"""Turns of the rhythm between two checkpoints, and between two snapshots."""
FULL_PAUSE_S = 0.1
"""Between two tries to append to a journal that is full."""
WITNESS_KEYS, WITNESS_KEYS_VERSION = "witness-keys", 1
"""Snapshot of the changes of witness keys that this journal has recorded."""
LAST_S = 10.0
"""At a stop, a disk that does not work is waited for this long."""


@dataclass(frozen=True, slots=True)
class Context:
    """What the production gateway lends to the journal beside it."""

    site: LoadedSite
    """The production gateway's."""
    world: World
    production: Journal
    service_state: Callable[[str], str]
    make_engine: Callable[[], QcEngine]
    """Makes a QC engine with the rules of the site; called in a thread."""
    trusted: Callable[[], Mapping[str, bytes]]
    """Collector keys."""
    witnesses: Callable[[], Mapping[str, tuple[Key, str]]]
    password: str | None = None
    """The broker's."""


class NothingJudged(Elements):
    """Stands for the elements in a journal that has no tasks: those that run are the production gateway's."""

    def consume(self, record: Record) -> list[Draft]:  # noqa: ARG002 - the signature of what it stands for
        """Derive nothing."""
        return []


class Services:
    """An open rehearsal journal with all that belongs to it. Made by `open`."""

    def __init__(
        self, context: Context, journal: Journal, recorder: Recorder, trust: TrustHistory, engine: QcEngine
    ) -> None:
        self.journal = journal
        self.recorder = recorder
        self._context = context
        self._settings = context.site.settings
        # No corrections: a certificate is that of the instrument, never of what stands in its place.
        self.intake = Intake(
            engine, recorder, journal.clock, context.service_state,
            frame_delay_ns=self._settings.intake.frame_delay_ms * 1_000_000,
        )  # fmt: skip
        self.intake.go_on_from(journal.ordinals)
        self._configured = {each.id for each in self._settings.instrument} & set(journal.ordinals)
        self._birth: Birth | None = None
        self._latest: Record | None = None
        self._key_change = KeyChange(recorder)
        self._site = rehearsal_site(context.site, ())
        self._topics = Topics(self._site.settings.site.lab, self._site.settings.site.gateway)
        self._trust = trust
        self._witnessing = Witnessing(
            recorder, lambda: self._durable(self._latest), journal.consistency_proof, context.witnesses, trust
        )
        self.publisher = self._publisher()
        self.publisher.questions = Questions(self._topics.witness, self._witnessing.answer)
        self._say_open()

    @classmethod
    async def open(cls, context: Context) -> Services:
        """Open or make the journal, and bring what the last run left open in it to its end.

        Raises:
            JournalError, OSError: it cannot be used.
        """
        site = rehearsal_site(context.site, ())
        place = site.settings.site
        # The gateway time of the production journal is the clock here: it never stands still and never goes
        # back, so a boot of this journal's clock lasts as long as that journal does.
        journal = await Journal.open(
            site.state.journal, site.settings.journal, purpose="rehearsal",
            origin=f"yaosu/{place.lab}/{place.gateway}", disk=context.world.disk,
            base_clock=context.production.clock, boot_id=context.production.id.hex(),
        )  # fmt: skip
        try:
            recorder = Recorder(journal, NothingJudged(), {}, "simulated")
            say_repairs(journal, recorder)
            trust = TrustHistory()
            if journal.start.downtime.last_run_ns is not None:
                await _end_last(context, journal, recorder, trust)
            return cls(context, journal, recorder, trust, await asyncio.to_thread(_warm_engine, context))
        except BaseException:
            await journal.close()
            raise

    def _say_open(self) -> None:
        self.recorder.append(
            "event",
            event_body(
                "rehearsal-opened", of_journal=self._context.production.id.hex(), boot=self.journal.boot,
                offset_ns=self.journal.start.offset_ns,
            ),
        )  # fmt: skip
        self._configure()

    def _configure(self) -> None:
        """Record of which instruments rows come here, as a start of any gateway does."""
        site = rehearsal_site(self._context.site, self._configured)
        body = {
            "action": "start", "sha256": site.sha256, "path_name": site.path.name, "site": site.summary(),
            "actor": None,
        }  # fmt: skip
        self._birth = Birth.of(self.recorder.append("config", body))

    async def expect(self, instrument: str) -> None:
        """Take rows of an instrument from now on; what the journal is of is recorded anew for a new one."""
        if instrument not in self._configured:
            await self.recorder.room()
            self._configured.add(instrument)
            self._configure()

    async def depart(self, instrument: str) -> None:
        """End what is open of an instrument whose rows no longer come; waits for room."""
        clock = self.journal.clock
        while True:
            await self.recorder.room()
            try:
                return self.intake.leave(instrument, clock.run_ns(), clock.utc_ns())
            except JournalFullError:
                await asyncio.sleep(FULL_PAUSE_S)

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is to be run, by name."""
        return {"rehearsal rhythm": self._rhythm, "rehearsal publisher": self.publisher.run}

    async def _rhythm(self) -> None:
        """Go on for ever: what `Rhythm` does for the production journal, in one part."""
        turn = 0
        while True:
            await asyncio.sleep(TURN_S)
            turn += 1
            await self.recorder.room()
            for notice in self.journal.take_notices():
                self.recorder.append("event", event_body(notice.code, **notice.args))
            if turn % SEAL_TURNS == 0:
                await self._key_change.look()
                self._seal()
                await self.journal.upkeep.maintain(self.recorder.append)
            if turn % SNAPSHOT_TURNS == 0:
                await self.intake.close_in_turn()
                self._save()
            await self.journal.upkeep.verify_some(TURN_S)

    def _seal(self, *, stop: bool = False) -> None:
        self._latest = self.journal.checkpoint(stop=stop) or self._latest

    def _save(self) -> None:
        state = self.intake.snapshot()
        through = self.journal.head_seq - 1
        self.journal.save_snapshot(INTAKE, through, state, INTAKE_VERSION)
        trust: bytes = msgpack.packb(self._trust.snapshot())
        self.journal.save_snapshot(WITNESS_KEYS, through, trust, WITNESS_KEYS_VERSION)

    async def last(self) -> None:
        """The end of a clean stop: everything durable, sealed, and its state saved."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                await self.journal.wait_beyond(self.journal.head_seq - 2)
                self._seal(stop=True)
                self._save()
                await self.journal.wait_beyond(self.journal.head_seq - 2)

    @property
    def undelivered(self) -> bool:
        """Whether the broker is there and something waits for a receipt."""
        return self.publisher.health.link.connected and self.journal.stats().backlog_records > 0

    def health(self) -> dict[str, Any]:
        """What the status page says of it."""
        return {
            "gateway": self._topics.gateway,
            "journal_id": self.journal.id.hex(),
            "journal": asdict(self.journal.stats()),
            "readings": self.intake.recorded_readings,
            "rows": self.intake.recorded_rows,
            "publisher": self.publisher.status(),
            "witnesses": {name: asdict(one) for name, one in self._witnessing.health.items()},
        }

    def _publisher(self) -> Publisher:
        return Publisher(
            settings=self._settings.mqtt, topics=self._topics, source=self.journal, clock=self.journal.clock,
            random=self._context.world.random, trusted=self._context.trusted,
            status=lambda: {"purpose": "rehearsal", "config_sha256": self._context.site.sha256},
            retained=self._retained, password=self._context.password, link=self._context.world.link,
        )  # fmt: skip

    def _retained(self) -> Mapping[str, bytes]:
        """Birth, checkpoint and changes of the key, each only once its record is durable."""
        retained = {}
        if told := [pair for pair in self.journal.keys.successions if pair[0] <= self.journal.durable_seq]:
            retained[self._topics.keys] = orjson.dumps(told)  # before what the new key has signed
        if self._birth is not None and self._birth.seq <= self.journal.durable_seq:
            retained[self._topics.birth] = self._birth.data
        checkpoint = self._durable(self._latest)
        if checkpoint is not None:
            retained[self._topics.checkpoint] = checkpoint.body["note"].encode()
        return retained

    def _durable(self, record: Record | None) -> Record | None:
        return record if record is not None and record.seq <= self.journal.durable_seq else None


def _warm_engine(context: Context) -> QcEngine:
    engine = context.make_engine()
    engine.warm()
    return engine


def _restored(journal: Journal, name: str, version: int, restore: Callable[[bytes], None]) -> int:
    """Take up a snapshot; return the seq that it covers, -1 when there is none that can be taken up."""
    saved = journal.load_snapshot(name, version)
    if saved is None:
        return -1
    try:
        restore(saved[1])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        LOG.warning("the snapshot %s of the rehearsal journal is not taken up: %s", name, error)
        return -1
    return saved[0]


async def _end_last(context: Context, journal: Journal, recorder: Recorder, trust: TrustHistory) -> None:
    """Take up the witness keys, and end what the last run left open: gaps, and rows a rule had not decided.

    Rules begin anew with every run, and nobody counts on polls while the gateway is down: that time is a gap
    of the production journal.
    """
    engine = await asyncio.to_thread(_warm_engine, context)
    intake = Intake(engine, recorder, journal.clock, context.service_state)
    rows_seq = _restored(journal, INTAKE, INTAKE_VERSION, intake.restore)
    trust_seq = _restored(
        journal, WITNESS_KEYS, WITNESS_KEYS_VERSION, lambda state: trust.restore(msgpack.unpackb(state))
    )
    seq, last = min(rows_seq, trust_seq), journal.head_seq - 1
    while seq < last and (records := await journal.read(seq + 1, bytes_max=READ_BYTES_MAX)):
        for record in records:
            if record.seq > rows_seq:
                intake.replay(record)
            if record.seq > trust_seq:
                trust.see(record)
        seq = records[-1].seq
    downtime = journal.start.downtime
    assert downtime.last_run_ns is not None  # noqa: S101 - the caller has looked
    assert downtime.last_utc_ns is not None  # noqa: S101 - as above
    for name in sorted(intake.known()):
        intake.leave(name, downtime.last_run_ns, downtime.last_utc_ns)
