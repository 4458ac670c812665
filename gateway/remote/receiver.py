"""Commands over MQTT: each is checked, counted on disk, recorded, carried out, and answered, signed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from gateway.door.app import CommandRefusedError
from gateway.remote.rate import RateLimit
from gateway.remote.signed import (
    REPLY_CONTEXT,
    BadRequestError,
    Circumstances,
    check,
    read_request,
    seal,
)  # fmt: skip
from pipeline.mqtt import PublishRefusedError, PublishTooLargeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.edge.recorder import Recorder
    from gateway.remote.counters import Counters
    from gateway.remote.settings import CommandsSettings
    from gateway.remote.signed import SignedRequest
    from gateway.trust import Pinned
    from pipeline.mqtt import Delivery, Link, Topics

LOG = logging.getLogger(__name__)
Json = dict[str, Any]
UNKNOWN = "unknown"
TOO_MANY = ("too-many", "too many commands; send fewer a second", "命令过于频繁，请降低频率")


class Executor(Protocol):
    """What carries commands out: `gateway.edge.commands.Commands`."""

    async def execute(self, command: str, args: Json, actor: Json, key: str) -> Json:
        """Do a command once. Raises CommandRefusedError."""
        ...

    async def refused(self, command: str, code: str, person: str, args: Json | None = None) -> None:
        """Record a refusal."""
        ...


class CommandReceiver:
    """Carries out signed commands, one at a time and in the order in which they come.

    A request is answered when its sender gave a response topic and its signature is good; one that is not
    signed by a pinned key gets no answer. Bounded: what waits is bounded by the connection, and each key by
    the rate limit; a command beyond it is refused, not queued. After a crash a request is carried out once or
    not at all; its sender, who got no answer, sends it again under a new counter with the same
    idempotency key, and gets the answer of the one that was carried out.

    Args:
        settings: the rate limit.
        topics: of this gateway.
        pinned: the pinned keys as they are now.
        counters: what they have used up.
        recorder: takes the `command` and `reply` records.
        executor: carries commands out.
    """

    def __init__(
        self, settings: CommandsSettings, *, topics: Topics, pinned: Callable[[], Mapping[str, Pinned]],
        counters: Counters, recorder: Recorder, executor: Executor,
    ) -> None:  # fmt: skip
        self._topics = topics
        self._pinned = pinned
        self._counters = counters
        self._recorder = recorder
        self._executor = executor
        self._rate = RateLimit(settings.rate_per_s, settings.burst)
        self.taken = 0
        """Requests that were carried out or refused since the start."""

    async def work(self, link: Link) -> None:
        """Receive until the connection ends."""
        await link.subscribe(self._topics.command)
        async for delivery in link.deliveries():
            try:
                answer = await self._handle(delivery)
                if answer is not None:
                    await self._send(link, delivery, answer)
            finally:
                delivery.done()
            self.taken += 1

    async def _handle(self, delivery: Delivery) -> Json | None:
        """Do what a message asks for; the answer's body, or None for a sender who gets none."""
        clock = self._recorder.journal.clock
        request: SignedRequest | None = None
        try:
            request = read_request(delivery.payload)
            holder = check(
                request,
                Circumstances(
                    self._pinned(), f"{self._topics.lab}/{self._topics.gateway}", clock.utc_ns(),
                    clock.state().synchronised, self._counters.used(request.key),
                ),
            )  # fmt: skip
            self._count(request.key, holder)
            await self._counters.use(request.key, request.counter, request.nonce)
        except BadRequestError as bad:
            return await self._refuse(request, bad)
        except OSError as error:
            LOG.warning("a command is not carried out, its counter cannot be kept: %s", error)
            return _refusal(
                "not-durable", "the counter cannot be written now", "计数器暂时无法落盘",
                "send it again once the disk works",
            )  # fmt: skip
        return await self._carry_out(request, holder)

    def _count(self, key: str, holder: Pinned) -> None:
        if not self._rate.allow(key, self._recorder.journal.clock.run_ns()):
            raise BadRequestError(*TOO_MANY, signed_by=holder)

    async def _refuse(self, request: SignedRequest | None, bad: BadRequestError) -> Json | None:
        command = UNKNOWN if request is None else request.command
        name = UNKNOWN if bad.signed_by is None else bad.signed_by.name
        await self._executor.refused(command, bad.code, name)
        if request is None or bad.signed_by is None:
            return None
        return _refusal(bad.code, bad.en, bad.zh) | {"request": request.sha256}

    async def _carry_out(self, request: SignedRequest, holder: Pinned) -> Json:
        told = {
            "door": "mqtt", "key": request.key, "name": holder.name, "role": holder.role,
            "command": request.command, "args": request.args, "counter": request.counter,
            "nonce": request.nonce, "idempotency_key": request.idempotency_key, "request": request.sha256,
        }  # fmt: skip
        try:
            asked = self._recorder.append("command", told)
            answer = await self._execute(request, holder)
        except Exception as error:
            LOG.exception("a command over MQTT failed")
            text = f"the daemon could not do it ({type(error).__name__}); its log says more"
            return _refusal("internal", text, "守护进程执行失败，详见日志") | {"request": request.sha256}
        answer["request"] = request.sha256
        reply = self._recorder.append("reply", {"to_seq": asked.seq, **answer})
        await self._recorder.journal.wait_beyond(reply.seq - 1)
        return answer

    async def _execute(self, request: SignedRequest, holder: Pinned) -> Json:
        actor = {
            "person": holder.name, "role": holder.role, "how": "service", "station": f"mqtt {request.key}",
            "meaning": request.command, "reason": "", "idempotency_key": request.idempotency_key,
            "signed_at_ns": self._recorder.journal.clock.utc_ns(),
        }  # fmt: skip
        try:
            done = await self._executor.execute(request.command, request.args, actor, request.idempotency_key)
        except CommandRefusedError as refused:
            await self._executor.refused(request.command, refused.code, holder.name, request.args)
            return _refusal(refused.code, refused.en, refused.zh, refused.hint)
        return {"ok": True, **done}

    async def _send(self, link: Link, delivery: Delivery, answer: Json) -> None:
        topic = delivery.response_topic
        if topic is None or not self._topics.answerable(topic):
            return
        gateway = f"{self._topics.lab}/{self._topics.gateway}"
        signed = seal(self._recorder.journal.key, REPLY_CONTEXT, {"gateway": gateway, **answer})
        try:
            await link.publish(topic, signed, correlation=delivery.correlation)
        except (PublishRefusedError, PublishTooLargeError) as error:
            LOG.warning("the answer to a command could not be sent: %s", error)


def _refusal(code: str, en: str, zh: str, hint: str = "") -> Json:
    return {"ok": False, "code": code, "en": en, "zh": zh, "hint": hint}
