"""Hand-entered readings on the page of a task, and changes of who is believed on the page of trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

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
