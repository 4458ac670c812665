"""Hand-entered readings on the page of a task, and changes of who is believed on the page of trust."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from dashboard.entries import FIELDS
from pipeline.elements.codec import to_body
from pipeline.elements.hand.shapes import Entry
from pipeline.records.events import event_body
from tests.unit.dashboard.client import log_in
from tests.unit.dashboard.fakes import NOW_NS, SECOND
from tests.unit.dashboard.site import ACTOR, HELD, RUN_NS, RUNNING

if TYPE_CHECKING:
    import httpx

    from tests.unit.dashboard.fakes import FakeDoor, FakeStore


def add_entry(store: FakeStore, text: str, **changes: object) -> int:
    facts = {
        "task": RUNNING, "instrument": "cal-1", "channel": "length", "text": text, "value": float(text),
        "unit": "mm", "decimals": 2, "at_run_ns": RUN_NS, "at_utc_ns": NOW_NS - 60 * SECOND, "foreseen": True,
        "late": False, "reason": "no line", "actor": ACTOR,
    }  # fmt: skip
    entry = Entry(**{**facts, **changes})  # type: ignore[arg-type]
    return store.record("entry", to_body(entry), key=RUNNING, t_utc_ns=NOW_NS - 50 * SECOND)


async def test_a_corrected_reading_stays_on_the_page_struck_out(
    lab: httpx.AsyncClient, store: FakeStore
) -> None:
    first = add_entry(store, "12.50")
    second = add_entry(store, "12.05", corrects=first, was="12.50 mm", reason="digits swapped")
    page = (await lab.get(f"/tasks/{RUNNING}")).text
    assert "<del>12.50 mm</del>" in page
    assert f"corrected by entry {second}" in page
    assert f"corrects entry {first}" in page
    assert "digits swapped" in page


async def test_a_regulator_sees_that_there_was_an_entry_and_no_figures(
    nobody: httpx.AsyncClient, store: FakeStore
) -> None:
    add_entry(store, "12.50")
    await log_in(nobody, "p-reg", "tall giraffe")
    page = (await nobody.get(f"/tasks/{RUNNING}")).text
    assert "cal-1.length" in page
    assert "12.50" not in page
    assert 'id="enter"' not in page


async def test_a_filled_in_form_is_a_signed_command(nobody: httpx.AsyncClient, door: FakeDoor) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    form = {
        "deed": "enter", "channel": "bal-1.weight", "value": " 12.50 ", "unit": "g", "reason": "line lost",
        "secret": "482913", "how": "pin", "key": "k" * 32,
    }  # fmt: skip
    answer = await nobody.post(f"/tasks/{RUNNING}/entries", data=form)
    assert answer.headers["location"].startswith(f"/tasks/{RUNNING}?recorded=")
    (command,) = door.commands
    assert command["name"] == "task.enter"
    assert command["args"] == {
        "task": RUNNING, "channel": "bal-1.weight", "value": "12.50", "unit": "g", "reason": "line lost"
    }  # fmt: skip
    assert (command["actor"]["pin"], command["key"]) == ("482913", "k" * 32)
    await nobody.post(f"/tasks/{RUNNING}/entries", data={**form, "deed": "correct", "entry": "77"})
    correction = door.commands[-1]
    assert (correction["name"], correction["args"]["entry"]) == ("task.correct", 77)


@pytest.mark.parametrize("missing", ["value", "reason", "secret"])
async def test_an_incomplete_entry_is_not_sent_and_keeps_what_was_typed(
    nobody: httpx.AsyncClient, door: FakeDoor, missing: str
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    form = {"deed": "enter", "channel": "bal-1.weight", "value": "12.51", "reason": "lost", "secret": "1"}
    answer = await nobody.post(f"/tasks/{RUNNING}/entries", data={**form, missing: " "})
    assert answer.status_code == 200
    assert "nothing was sent" in answer.text
    assert ("12.51" in answer.text) == (missing != "value")
    assert door.commands == []


async def test_nobody_enters_without_a_login(lab: httpx.AsyncClient, door: FakeDoor) -> None:
    answer = await lab.post(f"/tasks/{HELD}/entries", data={"deed": "enter"})
    assert answer.status_code == 401
    assert door.commands == []


async def test_changes_of_trust_are_shown_with_who_signed_and_the_hashes(
    lab: httpx.AsyncClient, store: FakeStore
) -> None:
    common: dict[str, Any] = {
        "file": "trusted-keys",
        "before": "",
        "after": "ab" * 32,
        "believed": {},
        "removed": {},
        "changed": {},
    }
    body = event_body("trust-changed", by="p-wang", added={"3b3b": "lims hospital"}, **common)
    store.record("event", body, key="", t_utc_ns=NOW_NS - SECOND)
    body = event_body("trust-changed-unsigned", by="", added={"5d5d": "collector"}, **common)
    store.record("event", body, key="", t_utc_ns=NOW_NS - SECOND)
    page = (await lab.get("/trust")).text
    assert "p-wang changed who is believed" in page
    assert "+ 3b3b (lims hospital)" in page
    assert "nobody signed it" in page
    assert "abababababab" in page


FORM = {
    "deed": "enter", "channel": "bal-1.weight", "value": " 12.50 ", "unit": "g", "reason": "line lost",
    "secret": "482913", "how": "pin",
}  # fmt: skip
SCANNED = {"codes": ["B-200", RUNNING], "action": "enter", "key": "k" * 32}


async def test_the_scan_station_asks_for_the_same_fields_as_the_page_of_a_task(
    nobody: httpx.AsyncClient, lab: httpx.AsyncClient, store: FakeStore
) -> None:
    add_entry(store, "12.50")
    await log_in(nobody, "p-wang", "correct horse")
    shown = []
    for page in ((await nobody.get(f"/tasks/{RUNNING}")).text, (await lab.get("/scan")).text):
        form = page[page.index('id="enter"') :].partition("</form>")[0]
        shown.append(re.findall(r'<(?:input|select|textarea) id="entry-\w+" name="(\w+)"', form))
    assert shown[0] == shown[1]
    assert {*FIELDS, "how", "secret"} == {*shown[0]}


async def test_a_scanned_badge_and_task_say_what_may_be_entered_and_who_signs(
    lab: httpx.AsyncClient, store: FakeStore
) -> None:
    first = add_entry(store, "12.50")
    second = add_entry(store, "12.05", corrects=first, was="12.50 mm")
    state = (await lab.post("/api/scan", json={"codes": ["B-200", RUNNING]})).json()
    assert state["actions"] == ["stop", "enter"]
    assert state["entry"]["channels"]
    assert [one["seq"] for one in state["entry"]["correctable"]] == [second]
    assert (await lab.post("/api/scan", json={"codes": ["B-200"]})).json()["entry"] is None


async def test_an_entry_at_the_scan_station_is_signed_by_the_person_of_the_badge(
    lab: httpx.AsyncClient, door: FakeDoor
) -> None:
    answer = (await lab.post("/api/scan/act", json={**SCANNED, "form": FORM})).json()
    assert answer["ok"] is True
    assert RUNNING in answer["text"]
    (command,) = door.commands
    assert command["name"] == "task.enter"
    assert command["args"] == {
        "task": RUNNING, "channel": "bal-1.weight", "value": "12.50", "unit": "g", "reason": "line lost"
    }  # fmt: skip
    assert command["actor"] == {
        "person": "p-li", "pin": "482913", "reason": "line lost", "station": "scan",
        "meaning": "task.enter",
    }  # fmt: skip
    assert command["key"] == "k" * 32
    corrected = {**FORM, "deed": "correct", "entry": "77", "how": "password"}
    answer = (await lab.post("/api/scan/act", json={**SCANNED, "form": corrected})).json()
    assert "correction" in answer["text"]
    assert door.commands[-1]["name"] == "task.correct"
    assert door.commands[-1]["actor"]["password"] == "482913"


@pytest.mark.parametrize("form", [None, [], {}, {**FORM, "secret": ""}, {**FORM, "reason": " "}])
async def test_an_incomplete_entry_at_the_scan_station_is_not_sent(
    lab: httpx.AsyncClient, door: FakeDoor, form: object
) -> None:
    answer = await lab.post("/api/scan/act", json={**SCANNED, "form": form})
    assert answer.json()["ok"] is False
    assert "nothing was sent" in answer.json()["hint"].lower()
    assert door.commands == []


async def test_no_reading_is_entered_at_the_scan_station_without_badge_and_task(
    lab: httpx.AsyncClient, door: FakeDoor
) -> None:
    for codes in ([], ["B-200"], [RUNNING]):
        answer = await lab.post("/api/scan/act", json={**SCANNED, "codes": codes, "form": FORM})
        assert answer.json()["ok"] is False
    assert door.commands == []


async def test_the_form_is_folded_until_it_is_wanted_or_was_refused(
    nobody: httpx.AsyncClient, door: FakeDoor
) -> None:
    await log_in(nobody, "p-wang", "correct horse")
    folded = re.compile(r'<details class="panel"><summary>[^<]*</summary><form id="enter"')
    assert folded.search((await nobody.get(f"/tasks/{RUNNING}")).text)
    refused = (await nobody.post(f"/tasks/{RUNNING}/entries", data={**FORM, "reason": " "})).text
    assert '<details class="panel" open><summary>' in refused
    assert not folded.search(refused)
    assert door.commands == []
