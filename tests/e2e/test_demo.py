"""`yaosu demo --duration 30 --json`: nothing lost, nothing doubled, every seeded fault seen and told."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from dashboard.events import event_rows
from dashboard.language import messages
from gateway.site import load_site
from pipeline.store import Origin, open_store
from tests.support.bench import MAIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WAIT_S = 150.0


async def run_demo(folder: Path) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAIN, "demo", "--duration", "30", "--json", "--port", "0",
        "--keep", str(folder),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def told(folder: Path) -> list[dict[str, Any]]:
    """All events of the run, with their texts as the pages show them."""
    site = load_site(folder / "gateway.toml")
    origin = Origin(site.settings.site.lab, site.settings.site.gateway)
    async with open_store(site.store) as store:
        rows = await store.ledger(origin, "event", limit=10_000, newest_first=False)
    return event_rows(rows, "lab", messages("en"), {})


async def test_the_demonstration_loses_nothing_and_tells_every_seeded_fault(tmp_path: Path) -> None:
    code, out, err = await run_demo(tmp_path / "demo")
    assert code == 0, err
    report = orjson.loads(out)
    assert report["scenario"] == "two_benches"
    assert report["instruments"] == 6
    assert report["channels"] == 16
    assert report["readings_acquired"] == report["readings_stored"] > 3000
    assert (report["lost"], report["duplicated"], report["unexpected"]) == (0, 0, [])
    assert report["records"] > 100
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert report["dashboard"].startswith("http://127.0.0.1:")
    events = await told(tmp_path / "demo")
    assert_overdue_calibration(report, events)
    assert_environment_excursion(report, events)
    assert report["rules"]["spike"] >= 1
    assert named(events, "p-1", "spike")
    assert report["rules"]["flat_line"] >= 10
    assert named(events, "p-2", "flat line")
    assert named(events, "em-1", "stopped answering")
    assert named(events, "em-1", "answers again")


def assert_overdue_calibration(report: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert report["elements"]["equipment"]["hold"] >= 1
    assert any("JD-2024-0309" in event["text"] and "2025-03-08" in event["text"] for event in events)


def assert_environment_excursion(report: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert report["elements"]["environment"]["hold"] >= 1
    assert report["flags"]["fail"] >= 1
    assert named(events, "th-fridge", "range")
    assert any("sample-fridge" in event["text"] for event in events)


def named(events: list[dict[str, Any]], instrument: str, words: str) -> bool:
    """Whether a readable event, in both languages, names the instrument and says this."""
    return any(
        event["instrument"] == instrument and words in event["text"] and instrument in event["other"]
        for event in events
    )
