"""The webhook against a real HTTP server: what is owed follows from the record, each notice has one key."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest

from gateway.edge.alarms import AlarmBoard, Webhook
from gateway.edge.recorder import Recorder
from pipeline.elements import Elements
from pipeline.elements.alarms.settings import WebhookSettings
from pipeline.elements.alarms.shapes import AlarmStep
from pipeline.elements.codec import to_body
from pipeline.journal import Journal
from pipeline.records.events import event_body
from tests.support.webhook import Receiver, receiving
from tests.unit.elements.bench import actor
from tests.unit.gateway.paper import PaperJournal

ABOUT = {"lab": "lab", "gateway": "gw", "purpose": "production", "journal": "ab" * 16}


@dataclass
class DurablePaper(PaperJournal):
    """A journal on paper that says how much of it no power cut can take back."""

    durable_seq: int = 10**9


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


class Stand:
    """A recorder with its elements, and a webhook to the receiver."""

    def __init__(self, receiver: Receiver, journal: DurablePaper | None = None, **settings: Any) -> None:
        self.journal = DurablePaper() if journal is None else journal
        self.elements = Elements()
        for record in self.journal.records:
            self.elements.consume(record)
        self.recorder = Recorder(cast("Journal", self.journal), self.elements, {}, "live")
        facts = {"url": receiver.url, "retry_first": 2.0, "retry_max": 30.0, **settings}
        self.webhook = Webhook(WebhookSettings(**facts), "secret", ABOUT, self.recorder, self.elements)

    def lose(self, instrument: str = "bal-1") -> None:
        self.recorder.append(
            "event", event_body("instrument-lost", instrument=instrument, error="timeout"),
            instrument=instrument,
        )  # fmt: skip

    async def post(self) -> float:
        headers = self.webhook._headers
        async with httpx.AsyncClient(headers=headers, timeout=5.0) as client:
            return await self.webhook.post_owed(client)

    def told(self) -> list[tuple[str, int, int, bool]]:
        bodies = [record.body for record in self.journal.records if record.kind == "alarm"]
        return [
            (body["alarm"], body["notice"], body["attempts"], body["taken"])
            for body in bodies
            if body["do"] == "told"
        ]


async def test_each_alarm_is_posted_once_with_its_texts_and_the_token(receiver: Receiver) -> None:
    stand = Stand(receiver)
    stand.lose()
    stand.lose("th-1")
    await stand.post()
    await stand.post()
    assert [body["alarm"] for _, body in receiver.posts] == ["A-00001", "A-00002"]
    headers, body = receiver.posts[0]
    assert headers["authorization"] == "Bearer secret"
    assert headers["idempotency-key"] == f"{ABOUT['journal']}-A-00001-1"
    assert (body["lab"], body["severity"], body["step"]) == ("lab", "alarm", "raised")
    assert body["zh"] == "bal-1 停止应答：timeout"
    assert stand.told() == [("A-00001", 1, 1, True), ("A-00002", 1, 1, True)]


async def test_a_receiver_that_is_busy_gets_the_same_key_again_after_a_growing_pause(
    receiver: Receiver,
) -> None:
    receiver.answers = [503, 429, (503, {"retry-after": "20"}), 200]
    stand = Stand(receiver)
    stand.lose()
    pauses = [await stand.post() for _ in range(4)]
    assert len(set(receiver.keys)) == 1
    assert 1.8 <= pauses[0] <= 2.0
    assert 3.6 <= pauses[1] <= 4.0
    assert 18.0 <= pauses[2] <= 20.0
    assert stand.told() == [("A-00001", 1, 4, True)]
    assert stand.webhook.health() == {"owed": 0, "error": ""}


async def test_nobody_at_the_address_is_tried_again_and_said_on_the_status_page() -> None:
    with receiving() as gone:
        pass
    stand = Stand(gone, retry_max=3.0)
    stand.lose()
    pauses = [await stand.post() for _ in range(5)]
    assert all(2.7 <= pause <= 3.0 for pause in pauses[1:])
    assert stand.webhook.health()["owed"] == 1
    assert "ConnectError" in stand.webhook.health()["error"]
    assert stand.told() == []


async def test_a_refusal_for_good_is_an_event_and_stops_nothing(receiver: Receiver) -> None:
    receiver.answers = [400]
    stand = Stand(receiver)
    stand.lose()
    stand.lose("th-1")
    await stand.post()
    assert stand.told()[:2] == [("A-00001", 1, 1, False), ("A-00002", 1, 1, True)]
    codes = [record.body.get("code") for record in stand.journal.records]
    assert "alarm-undelivered" in codes


async def test_what_is_owed_after_a_restart_follows_from_the_record(receiver: Receiver) -> None:
    stand = Stand(receiver)
    stand.lose()
    await stand.post()
    stand.lose("th-1")
    again = Stand(receiver, stand.journal)
    await again.post()
    assert receiver.keys == [f"{ABOUT['journal']}-A-00001-1", f"{ABOUT['journal']}-A-00002-1"]


async def test_a_crash_between_answer_and_record_repeats_the_key(receiver: Receiver) -> None:
    stand = Stand(receiver)
    stand.lose()
    before = list(stand.journal.records)
    await stand.post()
    await Stand(receiver, DurablePaper(records=before)).post()
    assert len(receiver.keys) == 2
    assert len(set(receiver.keys)) == 1


async def test_nothing_is_told_that_a_power_cut_could_take_back(receiver: Receiver) -> None:
    stand = Stand(receiver, DurablePaper(durable_seq=-1))
    stand.lose()
    await stand.post()
    assert receiver.posts == []
    stand.journal.durable_seq = stand.journal.head_seq
    await stand.post()
    assert len(receiver.posts) == 1


async def test_a_receiver_that_was_away_gets_the_present_state_of_an_alarm_not_its_past(
    receiver: Receiver,
) -> None:
    receiver.answers = [503]
    stand = Stand(receiver)
    stand.lose()
    await stand.post()
    for deed in ("acknowledge", "cause"):
        step = AlarmStep("A-00001", deed, "why", actor())
        stand.recorder.append("alarm", to_body(step))
    await stand.post()
    assert [(body["notice"], body["step"]) for _, body in receiver.posts] == [(1, "raised"), (3, "cause")]


async def test_a_full_journal_leaves_the_notice_owed(receiver: Receiver) -> None:
    stand = Stand(receiver)
    stand.lose()
    stand.journal.room_left = 0
    await stand.post()
    assert stand.webhook.health()["owed"] == 1
    stand.journal.give_room()
    await stand.post()
    assert len(set(receiver.keys)) == 1
    assert stand.webhook.health()["owed"] == 0


async def test_warnings_are_left_out_where_only_alarms_are_wanted(receiver: Receiver) -> None:
    stand = Stand(receiver, severity_min="alarm")
    stand.recorder.append("event", event_body("slow-sync", seconds=3.0))
    await stand.post()
    assert receiver.posts == []


def test_the_board_shows_only_what_is_durable() -> None:
    journal = DurablePaper(durable_seq=-1)
    elements = Elements()
    recorder = Recorder(cast("Journal", journal), elements, {}, "live")
    board = AlarmBoard(elements)
    empty = board.payload(-1)
    assert empty is not None
    recorder.append("event", event_body("slow-sync", seconds=3.0))
    assert board.payload(-1) == empty
    recorder.append("event", event_body("clock-step", step_s=3.0))
    shown = board.payload(1)  # the first alarm is durable, the second not yet
    assert shown is not None
    assert b"slow-sync" in shown
    assert b"clock-step" not in shown
    later = board.payload(journal.head_seq)
    assert later is not None
    assert b"clock-step" in later


@pytest.mark.parametrize("url", ["ftp://host/x", "http://user:word@host/x", "host/x"])
def test_an_address_with_a_secret_in_it_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        WebhookSettings(url=url)
