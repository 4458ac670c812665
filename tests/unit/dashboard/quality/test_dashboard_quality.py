"""Alarms, batches, charts, look-backs, risk and records on the pages, over elements that are real."""

import html
import re

import httpx
import pytest

from pipeline.elements.lookback.report import look_backs
from tests.unit.dashboard.client import MakeApplication, make_client
from tests.unit.dashboard.laboratory import LaboratoryDoor
from tests.unit.elements.bench import Bench

REJECTED, WARNED, BATCH = "00010203-00009", "00010203-00005", "/batches/B%201%2F26"
PAGES = ["/alarms", "/alarms?show=all", "/batches", "/charts", "/lookbacks", "/risk", "/risk/lab", "/trust"]
VALUES = ("50.035", "50.025", "50.0350", "3.50", "+2.50", "55.0", "2.0000")


async def text_of(client: httpx.AsyncClient, path: str, status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status_code == status, path
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


async def alarm_of(client: httpx.AsyncClient, code: str) -> str:
    page = (await client.get("/alarms")).text
    found = re.search(rf'data-alarm="(A-\d+)" data-step="\w+" data-code="{code}"', page)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("path", PAGES)
async def test_each_page_is_shown_in_both_languages(lab: httpx.AsyncClient, path: str, language: str) -> None:
    lab.cookies.set("yaosu-lang", language)
    page = (await lab.get(path)).text
    assert f'data-lang="{language}"' in page
    assert 'class="notice notice-bad"' not in page
    assert not re.search(r"<script(?![^>]*src)|<style| style=| onclick=", page)


@pytest.mark.parametrize("path", [*PAGES, BATCH, f"/tasks/{REJECTED}", f"/tasks/{WARNED}"])
async def test_a_regulator_sees_states_and_no_value(regulator: httpx.AsyncClient, path: str) -> None:
    shown = await text_of(regulator, path)
    assert [value for value in VALUES if value in shown] == []


@pytest.mark.parametrize("path", ["/charts/C-1", "/api/charts/C-1", "/risk/person:p-1"])
async def test_charts_and_the_index_of_a_person_are_the_laboratorys(
    regulator: httpx.AsyncClient, path: str
) -> None:
    assert (await regulator.get(path)).status_code == 403


async def test_alarms_are_grouped_with_their_count_and_evidence(lab: httpx.AsyncClient) -> None:
    alarm = await alarm_of(lab, "instrument-lost")
    page = (await lab.get(f"/alarms/{alarm}")).text
    assert "bal-1 stopped answering: timeout" in page
    assert "停止应答" in page
    assert re.search(r"<dd>3 <span", page)
    assert len(set(re.findall(r'href="/records/(\d+)"', page))) == 3


async def test_an_alarm_is_walked_to_closed_with_a_reason_at_each_step(
    signer: httpx.AsyncClient, door: LaboratoryDoor
) -> None:
    alarm = await alarm_of(signer, "lookback-opened")
    for deed, reached in (("acknowledge", "acknowledged"), ("cause", "cause"), ("action", "action"),
                          ("close", "closed")):  # fmt: skip
        page = (await signer.get(f"/alarms/{alarm}")).text
        assert f'<option value="{deed}" selected>' in page
        form = {"deed": deed, "text": f"why {deed}", "how": "pin", "secret": "246810", "key": deed * 8}
        answer = await signer.post(f"/alarms/{alarm}", data=form)
        assert answer.status_code == 303, answer.text
        assert f'id="flow" data-step="{reached}"' in (await signer.get(f"/alarms/{alarm}")).text
    page = (await signer.get(f"/alarms/{alarm}")).text
    assert "why close" in page
    assert 'id="act"' not in page
    assert [one["name"] for one in door.commands] == [
        "alarm.acknowledge", "alarm.cause", "alarm.action", "alarm.close"
    ]  # fmt: skip
    sent = door.commands[1]
    assert (sent["args"], sent["key"]) == ({"alarm": alarm, "text": "why cause"}, "cause" * 8)
    assert (sent["actor"]["pin"], sent["actor"]["reason"]) == ("246810", "why cause")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text": " "}, "The reason is missing"),
        ({"secret": ""}, "nothing was sent"),
        ({"secret": "111111"}, "do not match"),
        ({"deed": "close"}, "stands at raised"),
    ],
)
async def test_a_step_that_is_incomplete_or_refused_says_why_and_keeps_what_was_typed(
    signer: httpx.AsyncClient, changes: dict[str, str], said: str
) -> None:
    alarm = await alarm_of(signer, "instrument-lost")
    form = {"deed": "acknowledge", "text": "on my <way>", "how": "pin", "secret": "246810", **changes}
    answer = await signer.post(f"/alarms/{alarm}", data=form)
    assert answer.status_code == 200
    assert said in answer.text
    assert ("on my &lt;way&gt;" in answer.text) == bool(form["text"].strip())
    assert 'data-step="raised"' in answer.text


async def test_nobody_acts_on_an_alarm_without_a_login(
    lab: httpx.AsyncClient, regulator: httpx.AsyncClient, door: LaboratoryDoor
) -> None:
    form = {"deed": "acknowledge", "text": "x", "how": "pin", "secret": "246810"}
    assert (await lab.post("/alarms/A-00014", data=form)).status_code == 401
    assert (await regulator.post("/alarms/A-00014", data=form)).status_code == 403
    assert door.commands == []
    assert 'id="act"' not in (await lab.get("/alarms/A-00014")).text


async def test_a_chart_names_the_rule_on_its_point_and_says_the_same_in_a_table(
    lab: httpx.AsyncClient,
) -> None:
    data = (await lab.get("/api/charts/C-1")).json()
    assert data["z_lines"] == [-3, -2, -1, 0, 1, 2, 3]
    fired = [point["rules"] for point in data["points"]]
    assert fired == [[], [], [], [], ["1-2s"], ["1-2s", "1-3s", "2-2s"]]
    assert [point["mark"] for point in data["points"]][-2:] == ["suspect", "fail"]
    assert data["points"][0]["z"] is None
    assert [change["at"] for change in data["changes"]] == [1, 2]
    shown = await text_of(lab, "/charts/C-1")
    assert "+2.50" in shown
    assert data["points"][-1]["said"][0] in shown
    assert shown.index("+3.50") < shown.index("+2.50")


async def test_a_batch_shows_its_places_and_its_controls(lab: httpx.AsyncClient) -> None:
    assert "B 1/26" in await text_of(lab, "/batches")
    shown = await text_of(lab, BATCH)
    assert "blank" in shown
    assert "in control" in shown
    assert "2.0000 […, 5]" in shown


async def test_a_look_back_lists_what_rested_on_the_failure(lab: httpx.AsyncClient, bench: Bench) -> None:
    (known,) = look_backs(bench.elements.fold.state)
    assert known["lookback"] in await text_of(lab, "/lookbacks")
    shown = await text_of(lab, f"/lookbacks/{known['lookback']}")
    assert "the quality control failed" in shown
    assert "00010203-00007" in shown
    assert "00010203-00008" in shown
    assert "55.0 g" in shown


async def test_the_points_of_a_risk_index_add_up_to_it(lab: httpx.AsyncClient, bench: Bench) -> None:
    index = bench.shown("risk")["subjects"][0]["index"]
    page = (await lab.get("/risk/lab")).text
    groups = page[page.index('id="groups"') : page.index("<details")]
    points = [float(found) for found in re.findall(r'number strong">([\d.]+)', groups)]
    assert sum(points) == pytest.approx(index, abs=0.05)
    assert f"{index:.1f}" in page


async def test_official_class_and_table_are_shown_as_imported(lab: httpx.AsyncClient) -> None:
    shown = await text_of(lab, "/risk")
    assert "Credit-risk class B" in shown
    assert "provincial list" in shown
    assert "nobody issued it" in shown
    assert "B ← applies" in shown


async def test_steps_formula_and_budget_are_on_the_task_page(lab: httpx.AsyncClient) -> None:
    shown = await text_of(lab, f"/tasks/{WARNED}")
    assert "load" in shown
    assert "net_mass = net(w)" in shown
    assert "gross(w) 1 0.00015 50 % tare(w) -1 -0.00015 50 %" in shown
    assert f"yaosu evidence create --task {WARNED}" in shown


async def test_then_and_now_differ_where_a_verdict_was_replaced(lab: httpx.AsyncClient, bench: Bench) -> None:
    task = "00010203-00008"
    before = look_backs(bench.elements.fold.state)[0]["seq"] - 1
    page = (await lab.get(f"/tasks/{task}?known_at={before}")).text
    compared = page[page.index('id="compared"') :]
    rows = re.findall(r'<tr class="differs"><th scope="row">(\w+)', compared)
    assert rows == ["measurement"]
    assert "look-back" in compared
    assert "was not on record" in await text_of(lab, f"/tasks/{task}?known_at=1")


async def test_a_record_is_found_by_its_number_and_its_content_is_the_laboratorys(
    lab: httpx.AsyncClient, regulator: httpx.AsyncClient, bench: Bench
) -> None:
    result = bench.of_kind("result")[-1]
    path = f"/records/{result.seq}?task={REJECTED}"
    assert "50.035" in await text_of(lab, path)
    hidden = await text_of(regulator, path)
    assert "50.035" not in hidden
    assert f"yaosu evidence create --task {REJECTED}" in hidden
    data = bench.of_kind("data")[0].seq
    assert "holds readings" in await text_of(lab, f"/records/{data}")
    await text_of(lab, "/records/first", 404)


async def test_the_page_of_trust_tells_witnesses_archive_and_what_it_does_not_know(
    make_application: MakeApplication, door: LaboratoryDoor
) -> None:
    door.status |= {
        "journal": {"durable_seq": 1099, "receipted_through": 1063, "backlog_records": 36},
        "witnesses": {
            "w.institute.example": {"operator": "Institute", "size": 1024, "t_s": 1_772_351_990},
            "w.other.example": {"operator": "University", "size": 0, "t_s": 0},
        },
        "publisher": {"receipts": 12, "receipts_refused": 1, "receipt_error": "key not pinned"},
    }
    async with make_client(make_application(door, "regulator")) as client:
        shown = await text_of(client, "/trust")
    assert "w.institute.example Institute newest records not yet 1024 2026-03-01 07:59:50 UTC" in shown
    assert "nothing cosigned since the gateway started 0" in shown
    assert "36 wait for a receipt" in shown
    assert "1 refused key not pinned" in shown
    assert "yaosu status -c collector.toml" in shown


@pytest.mark.parametrize("path", ["/alarms", "/batches", "/charts", "/lookbacks", "/risk"])
async def test_a_page_whose_gateway_is_away_says_so(
    make_application: MakeApplication, lab: httpx.AsyncClient, door: LaboratoryDoor, path: str
) -> None:
    door.away = True
    assert "told from its records" in await text_of(lab, path)
    async with make_client(make_application(None, "lab")) as centre:
        assert "told from its records" in await text_of(centre, path)


@pytest.mark.parametrize(
    "path", ["/alarms/A-99", "/batches/none", "/charts/C-9", "/lookbacks/LB-0", "/risk/x"]
)
async def test_what_the_gateway_does_not_know_is_no_error_of_the_page(
    lab: httpx.AsyncClient, path: str
) -> None:
    assert "no such thing" in await text_of(lab, path, 404)
