"""Versions of charts, batches and look-backs are approved and closed on their pages, signed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.elements.lookback.report import look_back_report, look_backs, waiting
from tests.unit.dashboard.client import log_in
from tests.unit.dashboard.laboratory import LaboratoryDoor, proposed, quality_bench
from tests.unit.elements.bench import SIGNER, Bench
from tests.unit.elements.quality import measure

if TYPE_CHECKING:
    import httpx

SIGNED = {"how": "pin", "secret": "246810", "key": "k" * 32}
BATCH = "/batches/B%202%2F26"


@pytest.fixture
def bench() -> Bench:
    bench = quality_bench()
    proposed(bench)
    bench.do("batch.open", batch="B 2/26", method="weighing")
    measure(bench, 60.0, batch="B 2/26")
    return bench


def hidden(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', page)
    assert found is not None, page
    return found[1]


async def approved(client: httpx.AsyncClient, **changes: str) -> httpx.Response:
    """Read the chart's page and approve what it shows."""
    page = (await client.get("/charts/C-1")).text
    shown = {name: hidden(page, name) for name in ("version", "to_sign", "key")}
    form = {**SIGNED, **shown, "text": "figures of the insert", **changes}
    return await client.post("/charts/C-1", data=form)


def versions(bench: Bench) -> list[Any]:
    (chart,) = bench.elements.fold.state.batches.charts.values()
    return chart.versions


async def test_a_version_of_a_chart_is_approved_by_somebody_else(
    signer: httpx.AsyncClient, bench: Bench, door: LaboratoryDoor
) -> None:
    answer = await approved(signer)
    assert answer.status_code == 303, answer.text
    assert versions(bench)[-1].approval.person == "p-wang"
    (sent,) = door.commands
    assert (sent["name"], sent["actor"]["pin"]) == ("chart.approve", "246810")
    assert sent["actor"]["reason"] == sent["args"]["reason"] == "figures of the insert"
    page = (await signer.get(answer.headers["location"])).text
    assert 'role="status"' in page
    assert 'id="act"' not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": " "}, "The reason is missing"),
        ({"secret": ""}, "nothing was sent"),
        ({"secret": "111111"}, "do not match"),
        ({"to_sign": "0" * 64}, "sign"),
        ({"version": "99"}, "99"),
    ],
)
async def test_an_approval_that_is_incomplete_or_of_something_else_is_refused(
    signer: httpx.AsyncClient, bench: Bench, changes: dict[str, str], said: str
) -> None:
    answer = await approved(signer, **changes)
    assert answer.status_code == 200
    refusal = answer.text[answer.text.index('id="refusal"') :]
    assert said in refusal
    assert versions(bench)[-1].approval is None
    assert "111111" not in answer.text


@pytest.mark.parametrize(("language", "said"), [("en", "proposed"), ("zh", "提出")])
async def test_the_proposer_of_a_version_is_refused_in_the_readers_language(
    nobody: httpx.AsyncClient, bench: Bench, language: str, said: str
) -> None:
    proposed(bench, "p-wang")
    await log_in(nobody, "p-wang", "correct horse")
    nobody.cookies.set("yaosu-lang", language)
    answer = await approved(nobody)
    assert answer.status_code == 200
    assert said in answer.text[answer.text.index('id="refusal"') :]
    assert versions(bench)[-1].approval is None


async def test_a_batch_is_closed_and_without_its_quality_control_only_with_a_reason(
    signer: httpx.AsyncClient, bench: Bench
) -> None:
    refused = await signer.post(BATCH, data={**SIGNED, "text": ""})
    assert refused.status_code == 200
    assert "blank" in refused.text[refused.text.index('id="refusal"') :]
    done = await signer.post(BATCH, data={**SIGNED, "key": "l" * 32, "text": "blank spilled"})
    assert done.status_code == 303, done.text
    assert done.headers["location"].startswith(BATCH)
    batch = bench.elements.fold.state.batches.batches["B 2/26"]
    assert (batch.is_open, batch.closed_by, batch.reason) == (False, "p-wang", "blank spilled")
    assert 'id="act"' not in (await signer.get(BATCH)).text


async def test_a_look_back_is_closed_once_nothing_waits_any_more(
    signer: httpx.AsyncClient, bench: Bench
) -> None:
    state = bench.elements.fold.state
    (known,) = look_backs(state)
    path = f"/lookbacks/{known['lookback']}"
    form = {**SIGNED, "text": "two results recalled"}
    held = await signer.post(path, data=form)
    assert held.status_code == 200
    assert "two results recalled" in held.text, "what was typed is kept"
    assert 'id="refusal"' in held.text
    for task in waiting(state.lookbacks.items[known["lookback"]], state):
        bench.do("hold.release", bench.someone(SIGNER), task=task, disposition="void", reason="balance",
                 signed_hash=bench.view(task)["to_sign"])  # fmt: skip
    done = await signer.post(path, data={**form, "key": "m" * 32})
    assert done.status_code == 303, done.text
    report = look_back_report(state, known["lookback"])
    assert report is not None
    assert (report["closed"]["person"], report["closed"]["conclusion"]) == ("p-wang", form["text"])


@pytest.mark.parametrize("path", ["/charts/C-1", BATCH, "/lookbacks/LB-1"])
async def test_nobody_signs_without_a_login(
    lab: httpx.AsyncClient, regulator: httpx.AsyncClient, door: LaboratoryDoor, path: str
) -> None:
    form = {**SIGNED, "text": "x", "version": "2", "to_sign": "0" * 64}
    assert (await lab.post(path, data=form)).status_code == 401
    assert (await regulator.post(path, data=form)).status_code == 403
    assert door.commands == []
    page = await lab.get(path)
    assert 'id="act"' not in page.text
