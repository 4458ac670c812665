"""Logging in, signing a disposition, scanning: what reaches the door, and how refusals are shown."""

import html
import re
from typing import Any

import httpx
import pytest

from dashboard import Door
from tests.unit.dashboard.client import log_in
from tests.unit.dashboard.fakes import FakeDoor, FakeStore
from tests.unit.dashboard.site import HELD, RUNNING, add_verdict


async def test_a_login_opens_a_session_and_a_logout_ends_it(
    nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    answer = await log_in(nobody, "p-wang", "correct horse", "/tasks")
    assert answer.headers["location"] == "/tasks"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "P-WANG" in (await nobody.get("/tasks")).text
    await nobody.post("/logout")
    assert door.tokens == {}
    assert (await nobody.get("/tasks")).status_code == 303


@pytest.mark.parametrize(("language", "said"), [("en", "do not match"), ("zh", "不符")])
async def test_a_wrong_password_is_refused_in_the_chosen_language(
    nobody: httpx.AsyncClient, language: str, said: str
) -> None:
    nobody.cookies.set("yaosu-lang", language)
    answer = await log_in(nobody, "p-wang", "no")
    assert said in answer.text
    assert "set-cookie" not in answer.headers


async def test_a_regulators_login_gives_the_regulators_pages(nobody: httpx.AsyncClient) -> None:
    await log_in(nobody, "p-reg", "tall giraffe")
    assert (await nobody.get("/api/channels/room-t/temperature/data?from_ns=0&to_ns=9")).status_code == 403
    assert "99.9998" not in (await nobody.get(f"/tasks/{HELD}")).text


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x"]
)
async def test_a_login_never_leads_to_another_site(nobody: httpx.AsyncClient, target: str) -> None:
    assert (await log_in(nobody, "p-wang", "correct horse", target)).headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
async def test_another_sites_page_can_change_nothing(
    nobody: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await nobody.post(
        "/login", data={"person": "p-wang", "password": "correct horse"}, headers=headers
    )
    assert answer.status_code == 403


async def test_names_are_shown_to_those_who_logged_in_only(
    nobody: httpx.AsyncClient, lab: httpx.AsyncClient
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    assert "Li Na" in (await nobody.get(f"/tasks/{HELD}")).text
    anonymous = (await lab.get(f"/tasks/{HELD}")).text
    assert "Li Na" not in anonymous
    assert "p-li" in anonymous


async def test_a_session_that_the_daemon_does_not_know_any_more_ends_here_too(
    nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    door.tokens.clear()
    await nobody.get("/api/overview")
    assert (await nobody.get("/tasks")).status_code == 303


async def _sign(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    page = (await client.get(f"/tasks/{HELD}")).text
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page))
    form = {**fields, "disposition": "release", "reason": "verified on return", "password": "correct horse"}
    return await client.post(f"/tasks/{HELD}/disposition", data={**form, **changes})


async def test_a_disposition_carries_what_was_shown_and_the_password_again(
    nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    page = (await nobody.get(f"/tasks/{HELD}")).text
    answer = await _sign(nobody)
    assert answer.headers["location"] == f"/tasks/{HELD}?recorded=900"
    (command,) = door.commands
    assert command["name"] == "hold.release"
    assert command["args"].keys() == {"task", "disposition", "reason", "signed_hash"}
    assert command["args"]["signed_hash"] in page
    assert command["actor"]["password"] == "correct horse"
    assert command["token"]
    assert len(command["key"]) == 32


async def test_a_later_verdict_changes_what_is_signed(nobody: httpx.AsyncClient, store: FakeStore) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    pages = [(await nobody.get(f"/tasks/{HELD}")).text]
    add_verdict(store, HELD, "people", "ok", "final", ago_s=1)
    pages.append((await nobody.get(f"/tasks/{HELD}")).text)
    hashes = [re.findall(r'name="signed_hash" value="(\w{64})"', page)[0] for page in pages]
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(("language", "said"), [("en", "was an operator"), ("zh", "操作人员")])
async def test_a_refused_disposition_says_why_and_what_to_do(
    nobody: httpx.AsyncClient, door: FakeDoor, language: str, said: str
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    nobody.cookies.set("yaosu-lang", language)
    door.answers["hold.release"] = {
        "ok": False,
        "code": "own-task",
        "en": "p-wang was an operator of task",
        "zh": "p-wang 是任务的操作人员",
        "hint": "ask another authorised signatory",
    }
    answer = await _sign(nobody, reason='because "I" <b>can</b>')
    assert answer.status_code == 200
    assert said in answer.text
    assert "ask another authorised signatory" in answer.text
    assert "<b>can</b>" not in answer.text
    assert 'because "I" <b>can</b>' in html.unescape(answer.text)


@pytest.mark.parametrize("missing", ["disposition", "reason", "password"])
async def test_an_incomplete_disposition_is_not_sent(
    nobody: httpx.AsyncClient, door: FakeDoor, missing: str
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    answer = await _sign(nobody, **{missing: "  "})
    assert answer.status_code == 200
    assert "nothing was sent" in answer.text
    assert door.commands == []


async def test_nobody_signs_without_a_login(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    answer = await lab.post(
        f"/tasks/{HELD}/disposition", data={"disposition": "release", "reason": "x", "password": "y"}
    )
    assert answer.status_code == 401
    assert door.commands == []


async def test_a_door_that_does_not_answer_is_a_refusal_with_a_hint(
    nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    await nobody.get("/tasks")
    door.away = True
    answer = await _sign(nobody)
    assert answer.status_code == 200
    assert "yaosu run" in answer.text


async def _scan(client: httpx.AsyncClient, *codes: str) -> dict[str, Any]:
    answer = await client.post("/api/scan", json={"codes": list(codes)})
    assert answer.status_code == 200
    content: dict[str, Any] = answer.json()
    return content


async def test_badge_sample_and_instrument_lead_to_the_methods_that_fit(lab: httpx.AsyncClient) -> None:
    state = await _scan(lab, "B-100", "S-2026-017", "A-0042")
    assert state["step"] == "method"
    (method,) = state["methods"]
    assert method == {
        "method": "m-mass",
        "code": "GB 5009.3",
        "edition": "2016",
        "purpose": "test",
        "items": ["net mass"],
        "authorised": True,
    }
    other = await _scan(lab, "B-200", "S-2026-017", "balance")
    assert other["methods"][0]["authorised"] is False


@pytest.mark.parametrize(
    ("codes", "step", "said"),
    [
        (("S-2026-017",), "badge", "Scan your badge first"),
        (("B-100", "A-0042"), "sample-or-task", "Scan the sample before"),
        (("B-100", "unknown-1"), "sample-or-task", "not in the registry"),
        (("B-100", HELD), "sample-or-task", "not running any more"),
        (("B-100", "S-2026-017", "B-200"), "instrument", "A badge was scanned already"),
        (("B-100", "S-2026-017", "A-0042", "A-0042"), "method", "already"),
    ],
)
async def test_a_code_in_the_wrong_place_is_left_out_with_what_to_do(
    lab: httpx.AsyncClient, codes: tuple[str, ...], step: str, said: str
) -> None:
    state = await _scan(lab, *codes)
    assert state["step"] == step
    assert said in str(state["problem"])
    assert state["problem_code"] == codes[-1]
    assert codes[-1] not in state["codes"] or codes.count(codes[-1]) > 1


async def test_a_scan_starts_a_task_under_the_badge(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    codes = ["B-100", "S-2026-017", "A-0042"]
    answer = await lab.post(
        "/api/scan/act", json={"codes": codes, "action": "start", "method": "m-mass", "key": "k" * 32}
    )
    assert answer.json()["ok"] is True
    (command,) = door.commands
    assert command["name"] == "task.start"
    assert command["args"] == {
        "method": "m-mass",
        "purpose": "test",
        "instruments": ["balance"],
        "item": "net mass",
        "sample": "S-2026-017",
    }
    assert command["actor"]["badge"] == "B-100"
    assert command["key"] == "k" * 32


async def test_a_check_weight_starts_a_quality_control_task(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    codes = ["B-100", "W-100", "A-0042"]
    await lab.post("/api/scan/act", json={"codes": codes, "action": "start", "method": "m-mass"})
    assert door.commands[0]["args"]["reference"] == "W-100"
    assert door.commands[0]["args"]["purpose"] == "qc"


async def test_another_badge_takes_a_task_over_and_its_operator_stops_it(
    lab: httpx.AsyncClient, door: FakeDoor
) -> None:
    assert (await _scan(lab, "B-100", RUNNING))["actions"] == ["handover", "stop", "enter"]
    assert (await _scan(lab, "B-200", RUNNING))["actions"] == ["stop", "enter"]
    await lab.post("/api/scan/act", json={"codes": ["B-100", RUNNING], "action": "handover"})
    assert (door.commands[0]["name"], door.commands[0]["args"]) == ("task.handover", {"task": RUNNING})


async def test_a_refused_scan_says_why(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    door.answers["task.handover"] = {
        "ok": False,
        "code": "same-operator",
        "en": "is the operator already",
        "zh": "已是",
        "hint": "scan another badge",
    }
    answer = await lab.post("/api/scan/act", json={"codes": ["B-100", RUNNING], "action": "handover"})
    assert answer.status_code == 200
    assert answer.json()["hint"] == "scan another badge"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"codes": 5, "action": "start"}', b'{"codes": ["B-100"], "action": "stop"}']
)
async def test_an_act_that_was_not_scanned_is_not_sent(
    lab: httpx.AsyncClient, door: FakeDoor, body: bytes
) -> None:
    answer = await lab.post("/api/scan/act", content=body)
    assert answer.json()["ok"] is False
    assert door.commands == []


def test_the_fake_door_is_a_door(door: FakeDoor) -> None:
    checked: Door = door
    assert checked is door
