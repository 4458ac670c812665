"""Pages at a centre: no door, nothing but the stored records, and yet the same alarms, batches and charts."""

from __future__ import annotations

import contextlib
import html
import re
from typing import TYPE_CHECKING

import pytest

from dashboard import Door, WebSettings
from dashboard.app import build_dashboard
from dashboard.kept import Kept
from pipeline.elements.lookback.report import look_backs
from pipeline.ledger.recorded import KINDS
from tests.unit.dashboard.client import MakeApplication, make_client
from tests.unit.dashboard.fakes import NOW_NS, ORIGIN, SECOND, FakeStore
from tests.unit.dashboard.laboratory import LaboratoryDoor, proposed, quality_bench
from tests.unit.elements.bench import UTC0

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx
    from starlette.applications import Starlette

    from tests.unit.elements.bench import Bench

BATCH = "/batches/B%201%2F26"


@pytest.fixture(scope="module")
def bench() -> Bench:
    bench = quality_bench()
    proposed(bench)
    return bench


@pytest.fixture
def make_application(bench: Bench, store: FakeStore) -> MakeApplication:
    """Pages whose clock is the laboratory's."""

    def make(door: Door | None, anonymous_role: str = "none") -> Starlette:
        settings = WebSettings.model_validate({"anonymous_role": anonymous_role})
        return build_dashboard(
            store=store, door=door, settings=settings, origin=ORIGIN, utc_now_ns=lambda: UTC0 + bench.now
        )

    return make


@pytest.fixture
async def centre(make_application: MakeApplication) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever reads at a centre."""
    async with make_client(make_application(None, "lab")) as client:
        yield client


def words(page: str) -> str:
    main = page[page.index('<main id="main"') : page.index("</main>")]
    shown = re.sub(r'<p class="notice" id="kept".*?</p>|<p><a href="/login.*?</p>', "", main)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", shown)).split())


async def test_the_centre_shows_what_the_gateway_would(
    centre: httpx.AsyncClient, lab: httpx.AsyncClient, bench: Bench
) -> None:
    (known,) = look_backs(bench.elements.fold.state)
    for path in (
        "/alarms", "/batches", BATCH, "/charts", "/charts/C-1", f"/lookbacks/{known['lookback']}", "/risk",
        "/risk/lab", "/risk/instrument:bal-1", "/risk/method:weighing", "/risk/element:measurement",
    ):  # fmt: skip
        here, there = await centre.get(path), await lab.get(path)
        assert here.status_code == there.status_code == 200, path
        assert words(here.text) == words(there.text), path
        assert 'id="kept"' in here.text
        assert 'id="kept"' not in there.text


async def test_a_gateway_that_is_away_is_stood_in_for_and_the_page_says_so(
    lab: httpx.AsyncClient, door: LaboratoryDoor
) -> None:
    door.away = True
    for language, said in (("en", "told from its records"), ("zh", "由此处保存的网关记录得出")):
        lab.cookies.set("yaosu-lang", language)
        page = (await lab.get("/charts/C-1")).text
        assert said in page
        assert "1-3s" in page


async def test_new_records_are_told_and_a_late_one_in_its_place(store: FakeStore) -> None:
    late = next(row for row in store.rows_ledger if row.kind == "batch")
    store.rows_ledger.remove(late)
    context = Kept(store, ORIGIN, lambda: now_ns)
    now_ns = NOW_NS
    assert await context.view("batches", None) == []
    store.rows_ledger.append(late)
    assert await context.view("batches", None) == [], "shown again for two seconds"
    now_ns += 10 * SECOND
    (batch,) = await context.view("batches", None)
    assert (batch["batch"], batch["open"]) == ("B 1/26", False)
    with pytest.raises(KeyError):
        await context.view("batches", "none")


async def test_a_long_record_is_read_over_several_looks_and_each_says_how_far(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.kept.READ_S", 0.0)
    monkeypatch.setattr("dashboard.kept.PAGE", 20)
    kept, whole = Kept(store, ORIGIN, lambda: NOW_NS), Kept(store, ORIGIN, lambda: NOW_NS)
    reached: list[int] = []
    while not reached or reached[-1] < max(row.seq for row in store.rows_ledger if row.kind in KINDS):
        with contextlib.suppress(KeyError):
            await kept.view("batches", None)
        reached.append(kept.through_seq)
        assert len(reached) < 1000, reached
    assert len(reached) > 3
    monkeypatch.undo()
    assert await kept.view("alarms", None) == await whole.view("alarms", None)


async def test_a_page_says_that_nothing_is_stored_yet_or_the_store_is_away(
    make_application: MakeApplication, store: FakeStore
) -> None:
    async with make_client(make_application(None, "lab")) as client:
        store.away = True
        assert "store" in words((await client.get("/alarms")).text).lower()
        store.away, store.rows_ledger = False, []
        assert 'id="kept"' not in (await client.get("/alarms")).text
        assert (await client.get("/charts/C-9")).status_code == 200


async def test_who_has_cosigned_is_told_from_the_stored_cosignatures(
    centre: httpx.AsyncClient, store: FakeStore
) -> None:
    for size, t_s in ((512, 1), (1024, 2)):
        told = {
            "witness": "w.example",
            "operator": "Institute",
            "size": size,
            "t_s": t_s,
            "note": "",
            "root": "",
        }
        store.record("cosignature", told, seq=90_000 + size)
    page = words((await centre.get("/trust")).text)
    assert "w.example Institute" in page
    assert "1024" in page
    assert "512" not in page
