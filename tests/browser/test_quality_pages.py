"""A person in front of charts, look-backs and risk: Chromium on pages over elements that are real."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import uvicorn
from playwright.async_api import async_playwright, expect

from dashboard import WebSettings
from dashboard.app import build_dashboard
from gateway.door.socket_server import QuietServer
from tests.support.services import program
from tests.unit.dashboard.fakes import NOW_NS, ORIGIN, FakeStore
from tests.unit.dashboard.laboratory import LaboratoryDoor, fill, proposed, quality_bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

CHROMIUM = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
PAGES = ("alarms", "batches", "batches/B%201%2F26", "charts", "lookbacks", "risk", "risk/lab", "trust")


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """Serve the pages on a free port."""
    bench, store = quality_bench(), FakeStore()
    proposed(bench)
    bench.do("batch.open", batch="B 2/26", method="weighing")
    fill(store, bench)
    application = build_dashboard(
        store=store, door=LaboratoryDoor(bench, store), origin=ORIGIN, utc_now_ns=lambda: NOW_NS,
        settings=WebSettings.model_validate({"anonymous_role": "lab"}),
    )  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=1)
        server = QuietServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        application.state.stop.set()
        server.should_exit = True
        await serving


@asynccontextmanager
async def visitor(complaints: list[str]) -> AsyncIterator[Page]:
    """Open a window; on leaving it, nothing may have been complained of."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program("chromium"), args=list(CHROMIUM))
        page = await browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en-GB")
        page.set_default_timeout(60_000)
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        yield page
        await browser.close()


async def test_every_page_of_quality_opens_in_both_languages_without_a_complaint() -> None:
    complaints: list[str] = []
    async with served() as url, visitor(complaints) as page:
        for language, lang in (("zh", "zh-CN"), ("en", "en")):
            for path in PAGES:
                answer = await page.goto(f"{url}{path}?lang={language}")
                assert answer is not None
                assert answer.status == 200, path
                await expect(page.locator("html")).to_have_attribute("lang", lang)
                await expect(page.locator("h1")).to_be_visible()
        await page.goto(f"{url}tasks/00010203-00005")
        await expect(page.locator("#steps")).to_contain_text("load")
        await page.keyboard.press("Tab")
        await expect(page.locator(".skip")).to_be_focused()
    assert complaints == []


async def test_the_chart_is_drawn_beside_a_table_that_names_the_rules() -> None:
    complaints: list[str] = []
    async with served() as url, visitor(complaints) as page:
        await page.goto(f"{url}charts")
        await page.locator("tr[data-chart=C-1] a").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#plot[data-points='6'] canvas")).to_be_visible()
        # What is drawn is ink: a canvas that stayed empty would be one colour.
        colours = await page.evaluate(
            """() => {
              const canvas = document.querySelector("#plot canvas");
              const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              const seen = new Set();
              for (let i = 0; i < data.length; i += 4) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
              return [...seen];
            }"""
        )
        assert {"178,24,43", "230,159,0", "0,114,178"} <= set(colours)
        rejected = page.locator("#points tr[data-status=fail]")
        await expect(rejected).to_contain_text("1-3s")
        await expect(rejected).to_contain_text("+3.50")
    assert complaints == []


async def test_a_person_approves_a_version_and_closes_a_batch_with_a_pin() -> None:
    complaints: list[str] = []
    async with served() as url, visitor(complaints) as page:
        await page.goto(f"{url}login?next=/charts/C-1&lang=zh")
        await page.locator("#person").fill("p-wang")
        await page.locator("#password").fill("correct horse")
        await page.locator("#password").press("Enter")
        await expect(page.locator("#act h2, #act-title")).to_contain_text("批准第 2 版")
        await page.locator("#text").fill("与证书一致")
        await page.locator("#secret").fill("111111")
        await page.locator("#secret").press("Enter")
        await expect(page.locator("#refusal")).to_be_visible()
        await expect(page.locator("#text")).to_have_value("与证书一致")
        await page.locator("#secret").fill("246810")
        await page.locator("#secret").press("Enter")
        await expect(page.locator(".notice-good")).to_be_visible()
        await expect(page.locator("#act")).to_have_count(0)
        await page.goto(f"{url}batches/B%202%2F26?lang=en")
        await page.locator("#text").fill("no sample came")
        await page.locator("#secret").fill("246810")
        await page.locator("#act button").click()
        await expect(page.locator(".notice-good")).to_be_visible()
        await expect(page.locator("#act")).to_have_count(0)
    assert complaints == []
