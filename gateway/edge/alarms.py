"""Alarms told outside: a retained topic with what is open, and a webhook that is told each change."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from pipeline.elements.alarms import views
from pipeline.elements.alarms.shapes import AlarmTold
from pipeline.elements.codec import to_body
from pipeline.journal import JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from gateway.edge.recorder import Recorder
    from pipeline.elements import Elements
    from pipeline.elements.alarms.settings import WebhookSettings

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
ERROR_LENGTH_MAX = 200
_TRANSIENT = frozenset({408, 423, 425, 429})
"""Answers below 500 after which the same notice is tried again."""
_SEVERITIES = {"warning": frozenset({"warning", "alarm"}), "alarm": frozenset({"alarm"})}


class AlarmBoard:
    """Payload of the retained topic `alarm`: the open alarms, as far as they are durable.

    Retained, because an open alarm is a state: whoever subscribes later must see it too. Bounded by
    `views.SUMMARY_MAX` alarms. The single changes go out as `alarm` records, with receipts.
    """

    def __init__(self, elements: Elements) -> None:
        self._elements = elements
        self._shown: bytes | None = None
        self._next: tuple[int, bytes] | None = None

    def payload(self, durable_seq: int) -> bytes | None:
        """Give the newest summary that no power cut can take back; None before the first."""
        if self._next is not None and self._next[0] <= durable_seq:
            self._shown, self._next = self._next[1], None
        if self._next is None:
            summary = views.summary(self._elements.fold.state)
            made = orjson.dumps(summary)
            if summary["through_seq"] <= durable_seq:
                self._shown = made
            else:
                self._next = summary["through_seq"], made
        return self._shown


class Webhook:
    """Posts the present state of each alarm that has changed, until the receiver takes it.

    What is owed follows from the record: an alarm whose last notice no `told` record answers. So there is no
    queue beside the alarms themselves, which are bounded, and nothing is lost over a restart. Every try of
    one notice carries the same `Idempotency-Key`. One post at a time; an answer of 2xx takes the notice,
    408, 423, 425, 429, 5xx and no answer at all are tried again with a growing pause, anything else refuses
    it for good, which is an event. `Retry-After` in seconds is kept to.

    Args:
        settings: address and patience.
        token: bearer token, if the receiver wants one.
        about: lab, gateway and journal, told with each post.
        recorder: where `told` records go.
        elements: whose alarms are told.
        transport: of the HTTP client; default: the network.
    """

    def __init__(
        self, settings: WebhookSettings, token: str | None, about: dict[str, str], recorder: Recorder,
        elements: Elements, transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._about = about
        self._recorder = recorder
        self._elements = elements
        self._transport = transport
        self._attempts: tuple[str, int, int] = ("", 0, 0)
        """Alarm, notice and tries of the one that is being posted."""
        self.error = ""
        """Why the last try failed; empty once one succeeded."""

    async def run(self) -> None:
        """Post until cancelled."""
        async with httpx.AsyncClient(
            timeout=self._settings.timeout, headers=self._headers, transport=self._transport
        ) as client:  # fmt: skip
            while True:
                pause_s = await self.post_owed(client)
                await asyncio.sleep(pause_s)

    def health(self) -> dict[str, Any]:
        """What the status page says of the webhook."""
        return {"owed": len(self._owed()), "error": self.error}

    def _owed(self) -> list[tuple[str, int, int]]:
        return views.owed(self._elements.fold.state, _SEVERITIES[self._settings.severity_min])

    async def post_owed(self, client: httpx.AsyncClient) -> float:
        """Post what is owed and durable; returns the seconds until the next look."""
        for alarm, notice, seq in self._owed():
            if seq > self._recorder.journal.durable_seq:
                continue
            known = self._attempts[2] if self._attempts[:2] == (alarm, notice) else 0
            self._attempts = alarm, notice, known + 1
            wait_s = await self._post(client, alarm, notice)
            if wait_s is not None:
                return wait_s
        return LOOK_S

    async def _post(self, client: httpx.AsyncClient, alarm: str, notice: int) -> float | None:
        """Post one notice; returns the pause after a try that failed for now, None when it is settled."""
        shown = views.alarm(self._elements.fold.state, alarm)
        key = f"{self._about['journal']}-{alarm}-{notice}"
        content = orjson.dumps({**self._about, "idempotency_key": key, **(shown or {})})
        headers = {"idempotency-key": key, "content-type": "application/json"}
        try:
            answer = await client.post(self._settings.url, content=content, headers=headers)
        except httpx.HTTPError as error:
            return self._failed(f"{type(error).__name__}: {error}", None)
        if answer.is_success:
            self._settle(alarm, notice, "")
            return None
        said = f"HTTP {answer.status_code}"
        if answer.status_code in _TRANSIENT or answer.is_server_error:
            return self._failed(said, answer.headers.get("retry-after"))
        self._settle(alarm, notice, said)
        return None

    def _failed(self, error: str, retry_after: str | None) -> float:
        if error != self.error:
            LOG.warning("the webhook cannot be reached, trying again: %s", error)
        self.error = error[:ERROR_LENGTH_MAX]
        settings = self._settings
        pause_s = min(settings.retry_first * 2.0 ** min(self._attempts[2] - 1, 30), settings.retry_max)
        if retry_after is not None and retry_after.isdecimal():
            pause_s = min(max(pause_s, float(retry_after)), settings.retry_max)
        return pause_s * random.uniform(0.9, 1.0)  # noqa: S311 - jitter

    def _settle(self, alarm: str, notice: int, error: str) -> None:
        """Record what became of a notice. A full journal leaves it owed: it is posted again, same key."""
        self.error = error
        told = AlarmTold(alarm, notice, self._attempts[2], taken=not error, error=error)
        try:
            self._recorder.append("alarm", to_body(told))
            if error:
                body = event_body("alarm-undelivered", alarm=alarm, notice=notice, error=error)
                self._recorder.append("event", body)
        except JournalFullError as full:
            LOG.warning("a notice of alarm %s could not be noted: %s", alarm, full)
