"""A witness at work over one connection: hears of checkpoints, asks for proofs, brings cosignatures."""

from __future__ import annotations

import asyncio
import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from gateway.witness.judge import RefusedError, read_answer
from pipeline.evidence.cosignature import vkey
from pipeline.evidence.policy import LOG as LOG_KEY
from pipeline.evidence.policy import read_key
from pipeline.mqtt import PublishRefusedError, Topics
from pipeline.mqtt.reconnect import LinkHealth

if TYPE_CHECKING:
    from gateway.witness.judge import Witness
    from gateway.witness.settings import WitnessSettings
    from gateway.witness.state import Alarms
    from pipeline.evidence.policy import Key
    from pipeline.mqtt import Delivery, Link
    from pipeline.records import Clock

LOG = logging.getLogger(__name__)
CORRELATION_BYTES = 16
NOTE_BYTES_MAX = 65536


@dataclass(slots=True)
class LogHealth:
    """What the status page says of one witnessed log."""

    heard_size: int = 0
    """Records of the latest checkpoint that was heard of."""
    cosigned_size: int = 0
    cosigned_t_s: int = 0
    cosignatures: int = 0
    """Given in this run."""
    refused: str = ""
    """Why the latest checkpoint was not cosigned; empty when it was."""
    silent: bool = False
    """The gateway did not answer the last question."""


@dataclass(slots=True)
class WitnessHealth:
    """What the status page says."""

    link: LinkHealth = field(default_factory=LinkHealth)
    logs: dict[str, LogHealth] = field(default_factory=dict)


class _Watched:
    """One log on one connection."""

    def __init__(self, key: Key) -> None:
        self.key = key
        _, lab, gateway = key.name.split("/")
        self.topics = Topics(lab, gateway)
        self.grown = asyncio.Event()
        self.answer: asyncio.Future[bytes] | None = None
        self.correlation = b""

    def take(self, delivery: Delivery) -> None:
        """Take an answer, if it is the one to the question that is under way."""
        waited_for = self.answer is not None and delivery.correlation == self.correlation
        if waited_for and self.answer is not None and not self.answer.done():
            self.answer.set_result(delivery.payload)


class WitnessService:
    """Witnesses every configured log. One question at a time is under way for each of them.

    Args:
        settings: who witnesses whom, and how often.
        witness: judges and signs.
        own: the witness's public key.
        changes: the notes in which its keys named their successors, up to this one.
        alarms: takes what is refused.
        clock: UTC of the cosignatures.
    """

    def __init__(
        self, settings: WitnessSettings, witness: Witness, own: Key, changes: list[str], alarms: Alarms,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._witness = witness
        self._own = own
        self._changes = changes
        self._logs = [read_key(log.key, LOG_KEY) for log in settings.log]
        self._alarms = alarms
        self._clock = clock
        self.health = WitnessHealth(logs={key.name: LogHealth() for key in self._logs})

    async def work(self, link: Link) -> None:
        """Witness over one connection until it is lost."""
        watched = [_Watched(key) for key in self._logs]
        by_topic = {one.topics.checkpoint: one for one in watched}
        by_reply = {self._reply_topic(one): one for one in watched}
        by_keys = {one.topics.keys: one for one in watched}
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._receive(link, by_topic, by_reply, by_keys))
            for one in watched:
                parts.create_task(self._watch(link, one))
            await link.subscribe(*by_keys)  # before the first checkpoint that a new key has signed
            await link.subscribe(*by_reply, *by_topic)

    def _reply_topic(self, one: _Watched) -> str:
        return one.topics.witness_reply(self._own.id.hex())

    async def _receive(
        self, link: Link, by_topic: dict[str, _Watched], by_reply: dict[str, _Watched],
        by_keys: dict[str, _Watched],
    ) -> None:  # fmt: skip
        async for delivery in link.deliveries():
            if (one := by_topic.get(delivery.topic)) is not None:
                self._hear(one, delivery)
            elif (one := by_reply.get(delivery.topic)) is not None:
                one.take(delivery)
            elif (one := by_keys.get(delivery.topic)) is not None:
                self._follow(one, delivery)
            delivery.done()

    def _hear(self, one: _Watched, delivery: Delivery) -> None:
        """Take a retained checkpoint: another tree of a known size needs no proof to be a fork."""
        health = self.health.logs[one.key.name]
        try:
            note = delivery.payload[:NOTE_BYTES_MAX].decode(errors="replace")
            health.heard_size = self._witness.compare(one.key, note).size
        except RefusedError as refused:
            self._refuse(one.key, refused)
        else:
            one.grown.set()

    def _follow(self, one: _Watched, delivery: Delivery) -> None:
        """Take the changes of a log's key; one that the key before has not signed is refused, and told."""
        try:
            self._witness.follow(one.key, delivery.payload[:NOTE_BYTES_MAX])
        except RefusedError as refused:
            self._refuse(one.key, refused)

    async def _watch(self, link: Link, one: _Watched) -> None:
        while True:
            await one.grown.wait()
            one.grown.clear()
            try:
                await self._ask(link, one)
            except RefusedError as refused:
                self._refuse(one.key, refused)
            except PublishRefusedError as error:
                self._note(one.key, str(error))
            except OSError as error:
                self._note(one.key, f"the state cannot be written, nothing is signed: {error}")
                LOG.error("%s", error)  # noqa: TRY400 - the trace says no more
            await asyncio.sleep(self._settings.period_s)

    async def _ask(self, link: Link, one: _Watched) -> None:
        health = self.health.logs[one.key.name]
        one.correlation = secrets.token_bytes(CORRELATION_BYTES)
        one.answer = asyncio.get_running_loop().create_future()
        last = self._witness.last(one.key)
        question = orjson.dumps({
            "key": vkey(self._own), "old": last.size, "new": health.heard_size,
            **({"changes": self._changes} if self._changes else {}),
        })  # fmt: skip
        await link.publish(
            one.topics.witness, question, response_topic=self._reply_topic(one), correlation=one.correlation
        )
        try:
            async with asyncio.timeout(self._settings.answer_s):
                payload = await one.answer
        except TimeoutError:
            health.silent = True
            one.grown.set()
            return
        finally:
            one.answer = None
        health.silent = False
        if payload.startswith(b"{"):
            self._note(one.key, _error_of(payload))
            one.grown.set()
            return
        answer = read_answer(payload)
        note = await asyncio.to_thread(
            self._witness.cosign, one.key, answer, self._clock.utc_ns() // 1_000_000_000
        )
        seen = self._witness.last(one.key)
        health.cosigned_size, health.cosigned_t_s, health.refused = seen.size, seen.t_s, ""
        health.cosignatures += 1
        await link.publish(one.topics.witness, note.encode())

    def _note(self, log: Key, reason: str) -> None:
        health = self.health.logs[log.name]
        if reason != health.refused:
            LOG.warning("%s: %s", log.name, reason)
        health.refused = reason

    def _refuse(self, log: Key, refused: RefusedError) -> None:
        self._note(log, f"{refused.kind}: {refused}")
        last = self._witness.last(log)
        alarm: dict[str, Any] = {
            "kind": refused.kind, "origin": log.name, "t_utc_ns": self._clock.utc_ns(),
            "reason": str(refused), "note": refused.note, "cosigned_size": last.size,
            "cosigned_root": last.root.hex(),
        }  # fmt: skip
        try:
            if self._alarms.add(alarm):
                LOG.error("ALARM (%s) %s: %s", refused.kind, log.name, refused)
        except OSError as error:
            LOG.error("the alarm cannot be kept: %s", error)  # noqa: TRY400 - the trace says no more


def _error_of(payload: bytes) -> str:
    try:
        return f"the gateway answers: {str(orjson.loads(payload)['error'])[:500]}"
    except (ValueError, TypeError, LookupError):
        return "the gateway's answer cannot be read"
