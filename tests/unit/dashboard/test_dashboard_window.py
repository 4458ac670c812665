"""What a regulator sees of raw values: nothing, but for the window of one task under a recorded trigger."""

from collections.abc import AsyncIterator

import httpx
import pytest

from dashboard.events import event_rows
from dashboard.language import messages
from dashboard.verdicts import reason_text
from pipeline.elements.codec import to_body
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.shapes import Reason, Verdict
from pipeline.records.events import event_body
from pipeline.store.door import LedgerRow
from tests.unit.dashboard.client import MakeApplication, log_in, make_client
from tests.unit.dashboard.fakes import NOW_NS, SECOND, FakeDoor, FakeStore
from tests.unit.dashboard.site import HELD, RUNNING

CHANNEL = "room-t.temperature"
SPAN = (NOW_NS - 500 * SECOND, NOW_NS - 300 * SECOND)
READING = 36.4375


@pytest.fixture
async def inspector(make_application: MakeApplication, door: FakeDoor) -> AsyncIterator[httpx.AsyncClient]:
    """A regulator who has logged in."""
    async with make_client(make_application(door)) as client:
        await log_in(client, "p-reg", "tall giraffe")
        yield client


@pytest.fixture
def triggered(store: FakeStore, door: FakeDoor) -> int:
    """A trigger of the held task, and the answer of a daemon that has recorded the notice."""
    seq = store.record("event", event_body("trigger", trigger="offline", task=HELD, seqs=[7], margin_s=60.0))
    result = {
        "task": HELD, "channel": CHANNEL, "trigger_seq": seq, "from_utc_ns": SPAN[0], "to_utc_ns": SPAN[1],
    }  # fmt: skip
    door.answers["window.read"] = {"ok": True, "seq": [77], "result": result}
    return seq


async def read(client: httpx.AsyncClient, task: str = HELD, channel: str = CHANNEL) -> httpx.Response:
    return await client.post(f"/tasks/{task}/window", data={"channel": channel})


async def test_a_regulator_gets_the_window_exactly_with_trigger_and_notice(
    inspector: httpx.AsyncClient, store: FakeStore, door: FakeDoor, triggered: int
) -> None:
    answer = await read(inspector)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/csv")
    head, rows = answer.text.splitlines()[:4], answer.text.splitlines()[4:]
    assert head[1] == f"# trigger: record {triggered}; notice of this reading: record 77"
    series = store.series["room-t", "temperature"]
    inside = (series.t_utc_ns >= SPAN[0]) & (series.t_utc_ns < SPAN[1])
    assert len(rows) == inside.sum() > 100
    expected = [
        [str(t_ns), "" if value != value else repr(value)]  # noqa: PLR0124 - NaN
        for t_ns, value in zip(series.t_utc_ns[inside].tolist(), series.value[inside].tolist(), strict=True)
    ]
    assert [row.split(",")[1:3] for row in rows] == expected
    (command,) = door.commands
    assert (command["name"], command["args"]) == ("window.read", {"task": HELD, "channel": CHANNEL})
    assert command["token"]


async def test_nothing_is_read_from_the_store_before_the_notice_is_recorded(
    inspector: httpx.AsyncClient, store: FakeStore, door: FakeDoor, triggered: int
) -> None:
    assert triggered
    refused = {"ok": False, "code": "not-durable", "en": "the journal cannot be written", "zh": "无法落盘"}
    door.answers["window.read"] = refused
    before = store.reads
    answer = await read(inspector)
    assert answer.status_code == 403
    assert store.reads == before


async def test_a_refusal_of_the_daemon_is_shown_with_what_to_do(
    inspector: httpx.AsyncClient, door: FakeDoor
) -> None:
    door.answers["window.read"] = {
        "ok": False, "code": "no-trigger", "en": "no trigger is recorded", "zh": "没有触发",
        "hint": "ask the lab",
    }  # fmt: skip
    answer = await read(inspector, RUNNING)
    assert answer.status_code == 403
    assert "no trigger is recorded ask the lab" in answer.text


async def test_a_daemon_that_is_away_serves_nothing(
    inspector: httpx.AsyncClient, store: FakeStore, door: FakeDoor
) -> None:
    door.away = True
    before = store.reads
    assert (await read(inspector)).status_code == 403
    assert store.reads == before


async def test_without_a_login_or_as_the_laboratory_there_is_no_window(
    lab: httpx.AsyncClient, regulator: httpx.AsyncClient, nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    assert (await read(lab)).status_code == 403
    assert (await read(regulator)).status_code == 403
    assert (await read(nobody)).status_code == 303
    assert door.commands == []


@pytest.mark.parametrize("channel", ["", "temperature", "../x.y", "a.b,c"])
async def test_a_form_without_a_channel_is_refused(
    inspector: httpx.AsyncClient, door: FakeDoor, channel: str
) -> None:
    assert (await read(inspector, HELD, channel)).status_code == 400
    assert door.commands == []


async def test_the_task_page_shows_the_trigger_and_offers_the_window_to_a_regulator_only(
    inspector: httpx.AsyncClient, lab: httpx.AsyncClient, triggered: int
) -> None:
    page = (await inspector.get(f"/tasks/{HELD}")).text
    assert "an instrument was offline during the work" in page
    assert f"/tasks/{HELD}/window" in page
    assert triggered
    shown = (await lab.get(f"/tasks/{HELD}")).text
    assert "an instrument was offline during the work" in shown
    assert f"/tasks/{HELD}/window" not in shown
    assert "/window" not in (await inspector.get(f"/tasks/{RUNNING}")).text


def excursion() -> Reason:
    about = {"place": "room", "channel": CHANNEL, "quantity": "temperature", "low": 18.25, "high": 26.75}
    return Reason("environment-excursion", "hold", CHANNEL, {**about, "unit": "°C", "value": READING}, (7,))


async def test_the_value_behind_a_verdict_is_shown_to_the_laboratory_and_not_to_a_regulator(
    lab: httpx.AsyncClient, regulator: httpx.AsyncClient, store: FakeStore
) -> None:
    reason = excursion()
    verdict = Verdict(
        RUNNING,
        "environment",
        "hold",
        "provisional",
        None,
        "tick",
        1,
        late=False,
        reasons=(reason,),
        facts={},
    )
    store.record("verdict", to_body(verdict), key=RUNNING)
    details = event_body(
        "element-held", task=RUNNING, element="environment", reason=reason.code, subject=reason.subject,
        details=reason.args,
    )  # fmt: skip
    store.record("event", details)
    for path in (f"/tasks/{RUNNING}", "/events", "/api/overview"):
        assert str(READING) in (await lab.get(path)).text, path
        hidden = (await regulator.get(path)).text
        assert str(READING) not in hidden, path
        assert "26.75" in hidden, path


@pytest.mark.parametrize("code", REASONS)
def test_no_reason_tells_a_regulator_a_number_that_is_not_known_to_be_none_of_a_reading(code: str) -> None:
    names = (
        "value",
        "told",
        "mean",
        "deviation",
        "recovery",
        "result",
        "somebody_s_new_argument_of_tomorrow",
    )
    reason = Reason(code, "hold", "x.y", dict.fromkeys(names, READING))
    for language in ("en", "zh"):
        assert str(READING) not in reason_text(reason, language, "regulator")


def test_an_event_of_a_hold_keeps_its_limits_for_a_regulator() -> None:
    body = event_body(
        "element-held", task="t", element="environment", reason="environment-excursion", subject=CHANNEL,
        details=excursion().args,
    )  # fmt: skip
    row = LedgerRow("event", "", bytes(16), "e", 7, 0, "live", body)
    (shown,) = event_rows([row], "regulator", messages("zh"), {})
    assert "[不显示]" in shown["text"]
    assert "26.75" in shown["text"]
