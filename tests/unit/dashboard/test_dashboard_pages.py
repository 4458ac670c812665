"""What the pages show, to whom, in which language, and under which headers."""

import re
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

import dashboard
from tests.unit.dashboard.client import MakeApplication, make_client
from tests.unit.dashboard.fakes import FakeDoor, FakeStore
from tests.unit.dashboard.site import HELD

PAGES = [
    "/",
    "/tasks",
    "/tasks?show=held",
    f"/tasks/{HELD}",
    "/scan",
    "/events",
    "/events?severity=alarm",
    "/login",
    "/channels/room-t/temperature",
]
ROUTES = [
    *PAGES,
    "/health",
    "/api/overview",
    "/api/messages",
    "/tasks/none",
    "/nowhere",
    "/static/js/live.js",
]
RAW_TEXTS = ("100.0004", "100.0002", "99.9998", "0.0003")


@pytest.mark.parametrize("path", ROUTES)
async def test_every_answer_has_the_security_headers(lab: httpx.AsyncClient, path: str) -> None:
    answer = await lab.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] in {"no-store", "no-cache"}


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_shown_in_both_languages(
    lab: httpx.AsyncClient, path: str, language: str
) -> None:
    lab.cookies.set("yaosu-lang", language)
    answer = await lab.get(path)
    assert answer.status_code == 200
    assert f'data-lang="{language}"' in answer.text
    assert f'<span class="brand-name">{"要素" if language == "zh" else "Yaosu"}</span>' in answer.text


async def test_the_chosen_language_is_remembered(lab: httpx.AsyncClient) -> None:
    await lab.get("/tasks?lang=zh")
    assert 'lang="zh-CN"' in (await lab.get("/events")).text


async def test_a_chinese_browser_gets_chinese_pages(lab: httpx.AsyncClient) -> None:
    answer = await lab.get("/", headers={"accept-language": "zh-CN,zh;q=0.9"})
    assert "本页可信吗" in answer.text


class _Markup(HTMLParser):
    """Collects what a strict policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.blocked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        if (tag == "script" and "src" not in names) or tag == "style":
            self.blocked.append(tag)
        self.blocked += [f"{tag} {name}" for name in names if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_inline_script_or_style(lab: httpx.AsyncClient, path: str) -> None:
    markup = _Markup()
    markup.feed((await lab.get(path)).text)
    assert markup.blocked == []


def test_no_script_writes_markup_as_text() -> None:
    scripts = Path(dashboard.__file__).parent.glob("static/js/*.js")
    sinks = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function")
    assert [script.name for script in scripts if sinks.search(script.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", [page for page in PAGES if page != "/scan"])
async def test_a_regulator_sees_no_value_of_a_reading(regulator: httpx.AsyncClient, path: str) -> None:
    answer = await regulator.get(path)
    assert answer.status_code == 200
    assert [text for text in RAW_TEXTS if text in answer.text] == []


async def test_a_regulators_overview_has_states_and_counts_but_no_values(
    regulator: httpx.AsyncClient,
) -> None:
    answer = await regulator.get("/api/overview")
    content = answer.json()
    channels = [channel for instrument in content["instruments"] for channel in instrument["channels"]]
    assert channels
    assert all("value" not in channel for channel in channels)
    assert {instrument["id"]: instrument["counts"]["pass"] for instrument in content["instruments"]}[
        "balance"
    ] == 400
    assert [text for text in RAW_TEXTS if text in answer.text] == []


@pytest.mark.parametrize(
    "path",
    ["/api/channels/room-t/temperature/data?from_ns=0&to_ns=9", "/live?channel=room-t/temperature", "/scan"],
)
async def test_raw_windows_are_refused_to_a_regulator(regulator: httpx.AsyncClient, path: str) -> None:
    assert (await regulator.get(path)).status_code == 403


async def test_a_stranger_is_sent_to_the_login_and_back(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get("/tasks?show=held")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=%2Ftasks%3Fshow%3Dheld"
    assert (await nobody.get("/api/overview")).status_code == 401


async def test_a_channel_names_the_rules_that_judge_it_and_one_without_names_none(
    lab: httpx.AsyncClient,
) -> None:
    english = await lab.get("/channels/room-t/temperature", headers={"accept-language": "en"})
    assert "Rules that judge this channel: range</p>" in english.text
    chinese = await lab.get("/channels/room-t/temperature", headers={"accept-language": "zh"})
    assert "判定此通道的规则：量程</p>" in chinese.text
    assert "rules-on" not in (await lab.get("/channels/room-t/humidity")).text


async def test_the_overview_says_what_cannot_be_trusted(lab: httpx.AsyncClient) -> None:
    content = (await lab.get("/api/overview")).json()
    trust = {item["id"]: item for item in content["trust"]}
    assert trust["freshness"]["state"] == "attention"
    assert "balance" in trust["freshness"]["detail"]
    assert trust["completeness"]["share"] == pytest.approx((540 + 540 + 400 - 1) / (540 + 540 + 400 + 2 * 60))
    assert trust["passed"]["state"] == "attention"
    assert trust["clock"]["state"] == "good"
    assert trust["seal"]["detail"] == "signed by the gateway; not yet witnessed"
    assert content["rehearsal"] is True


async def test_the_elements_show_the_worst_open_verdict_with_its_reason(lab: httpx.AsyncClient) -> None:
    tiles = {tile["element"]: tile for tile in (await lab.get("/api/overview")).json()["elements"]}
    assert list(tiles) == ["people", "equipment", "material", "method", "environment", "measurement"]
    assert tiles["equipment"]["status"] == "hold"
    assert "C-778" in tiles["equipment"]["reasons"][0]["text"]
    assert tiles["environment"]["status"] == "ok"


async def test_every_page_of_simulated_data_bears_the_watermark(lab: httpx.AsyncClient) -> None:
    for path in PAGES:
        if path != "/login":
            assert "Rehearsal: simulated data 演练" in (await lab.get(path)).text


async def test_events_are_shown_in_both_languages(lab: httpx.AsyncClient) -> None:
    page = (await lab.get("/events")).text
    assert "room-t stopped answering: no answer" in page
    assert "room-t 停止应答" in page


async def test_an_instruments_own_words_are_not_for_regulators(regulator: httpx.AsyncClient) -> None:
    assert "balance says" not in (await regulator.get("/events")).text


async def test_pages_survive_a_store_that_is_away(lab: httpx.AsyncClient, store: FakeStore) -> None:
    store.away = True
    for path in ("/", "/tasks", "/events", "/channels/room-t/temperature"):
        assert (await lab.get(path)).status_code < 500 or path.startswith("/channels")
    assert (await lab.get("/api/overview")).json()["store_error"]
    assert (await lab.get("/health")).status_code == 503
    assert (await lab.get(f"/tasks/{HELD}")).status_code == 503


async def test_an_empty_store_says_what_to_do(make_application: MakeApplication, store: FakeStore) -> None:
    store.series.clear()
    store.rows_ledger.clear()
    async with make_client(make_application(None, "lab")) as client:
        content = (await client.get("/api/overview")).json()
        assert {item["state"] for item in content["trust"]} == {"unknown"}
        assert "yaosu task start" in (await client.get("/tasks")).text


async def test_a_gateway_that_does_not_answer_is_told(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    door.away = True
    content = (await lab.get("/api/overview")).json()
    backlog = next(item for item in content["trust"] if item["id"] == "backlog")
    assert backlog["state"] == "bad"
    assert "yaosu run" in backlog["detail"]


async def test_without_a_door_the_pages_are_read_only(make_application: MakeApplication) -> None:
    async with make_client(make_application(None, "lab")) as client:
        assert "/scan" not in (await client.get("/")).text
        assert (await client.get("/scan")).status_code == 409
        assert (await client.post("/api/scan/act", json={"codes": []})).json()["ok"] is False
        assert 'id="sign"' not in (await client.get(f"/tasks/{HELD}")).text


async def test_a_foreign_host_name_is_refused(make_application: MakeApplication, door: FakeDoor) -> None:
    async with make_client(make_application(door, "lab")) as client:
        assert (await client.get("/", headers={"host": "rebound.example"})).status_code == 400
