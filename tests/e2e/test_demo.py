"""`yaosu demo --duration 30 --json`: nothing lost, nothing doubled, every seeded fault seen and told."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from dashboard.events import event_rows
from dashboard.language import messages
from dashboard.site import site_of
from gateway.site import load_site
from pipeline.qc.table import BY_NAME, RULES
from pipeline.records import Flag
from pipeline.store import Origin, open_store
from simulators import load_scenario
from tests.support.bench import MAIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.door import Counts, LedgerRow, Row
    from simulators.scenario import Expectation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

WAIT_S = 150.0
EVER = 2**62


async def run_demo(folder: Path) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAIN, "demo", "--duration", "30", "--json", "--port", "0",
        "--keep", str(folder),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode is not None
    return process.returncode, out, err.decode()


@dataclass
class Kept:
    """What the run left in its store."""

    rows: dict[str, list[Row]]
    counts: Mapping[str, Counts]
    ledger: dict[str, list[LedgerRow]]

    def told(self) -> list[dict[str, Any]]:
        """All events of the run, with their texts as the pages show them."""
        return event_rows(self.ledger["event"], "lab", messages("en"), {})


async def kept(folder: Path) -> Kept:
    """Read the store of a run that has ended."""
    site = load_site(folder / "gateway.toml")
    origin = Origin(site.settings.site.lab, site.settings.site.gateway)
    async with open_store(site.store) as store:
        return Kept(
            {name: await store.rows(origin, name, n_from=0, n_to=EVER)
             for name in await store.instruments(origin)},
            await store.counts(origin, 0, EVER),
            {kind: await store.ledger(origin, kind, limit=10_000, newest_first=False)
             for kind in ("config", "event", "gap", "verdict")},
        )  # fmt: skip


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
    store = await kept(tmp_path / "demo")
    events = store.told()
    assert_overdue_calibration(report, events)
    assert_environment_excursion(report, events)
    assert report["rules"]["spike"] >= 1
    assert named(events, "p-1", "spike")
    assert report["rules"]["flat_line"] >= 10
    assert named(events, "p-2", "flat line")
    assert named(events, "em-1", "stopped answering")
    assert named(events, "em-1", "answers again")
    assert report["rules"]["gap"] >= 1
    assert_every_rule_is_on(store)
    assert_rules_are_quiet_elsewhere(store)
    expected = load_scenario("two_benches").expect
    assert {one.kind for one in expected} == set(FOUND)
    for one in expected:
        assert FOUND[one.kind](store, one), (
            f"the store does not show: {one.kind} of {one.instrument}: {one.text}"
        )


def found_flag(store: Kept, one: Expectation) -> bool:
    """Whether a reading of the channel has this flag in the end, and by this rule."""
    flag, rule = Flag[one.status.upper()], BY_NAME[one.rule]
    rows = [row for row in store.rows[str(one.instrument)] if row.flags[one.channel] == flag]
    if any(row.reasons[one.channel] >> rule.bit & 1 for row in rows):
        return True
    # A rule that waits speaks after the row is recorded: the row's own reasons do not name it.
    later = store.counts[str(one.instrument)].rules.get(one.rule, 0)
    return rule.later and later >= 1 and bool(rows)


def found_verdict(store: Kept, one: Expectation) -> bool:
    """Whether the last word on the element, in some task, is this, for a reason about the instrument."""
    newest = {row.key: row.body for row in store.ledger["verdict"] if row.body["element"] == one.element}
    return any(
        body["status"] == one.status
        and any(
            reason["status"] == one.status and reason["subject"].partition(".")[0] == one.instrument
            for reason in body["reasons"]
        )
        for body in newest.values()
    )


def found_gap(store: Kept, one: Expectation) -> bool:
    """Whether a gap of the instrument began and ended."""
    gaps = [row.body for row in store.ledger["gap"] if row.body["instrument"] == one.instrument]
    return {body["ended"] for body in gaps} == {False, True}


def found_event(store: Kept, one: Expectation) -> bool:
    """Whether an event says that the instrument went."""
    return any(
        row.body["instrument"] == one.instrument and row.body["code"] == "instrument-lost"
        for row in store.ledger["event"]
    )


FOUND = {"flag": found_flag, "verdict": found_verdict, "gap": found_gap, "event": found_event}
"""By kind of expectation: whether the store shows it."""


TELLS_OF_LATENESS = {"missing", "gap", "order", "duplicate", "late", "completeness", "stability"}
"""Rules that a busy machine may make fire anywhere, and the one that tells a state, not a fault."""
MAY_FIRE = {
    "th-fridge.temperature": {"range", "schedule"},
    "p-1.pressure": {"spike", "hampel", "rate_dev", "redundancy"},
    "p-2.raw_code": {"flat_line", "repeated"},
}
"""Channel to the rules that its fault is told by; nothing else may speak."""


def assert_every_rule_is_on(store: Kept) -> None:
    """The recorded configuration, as the channel pages show it, has each rule of the table on somewhere."""
    instruments = site_of(reversed(store.ledger["config"])).instruments.values()
    on = {name for one in instruments for channel in one.channels.values() for name in channel.rules}
    assert on == {rule.table for rule in RULES if rule.table}


def assert_rules_are_quiet_elsewhere(store: Kept) -> None:
    """No rule speaks of a channel that the scenario left alone."""
    spoke: dict[str, set[str]] = {}
    for instrument, rows in store.rows.items():
        later = {name for name, count in store.counts[instrument].rules.items() if count}
        quiet = {name for channel, names in MAY_FIRE.items() if channel.startswith(f"{instrument}.")
                 for name in names}  # fmt: skip
        assert later <= quiet, f"{instrument}: decided later by {later - quiet}"
        for row in rows:
            for channel, mask in row.reasons.items():
                fired = {rule.name for rule in RULES if mask >> rule.bit & 1}
                spoke.setdefault(f"{instrument}.{channel}", set()).update(fired)
    unexpected = {
        channel: names - TELLS_OF_LATENESS - MAY_FIRE.get(channel, set()) for channel, names in spoke.items()
    }
    assert {channel: names for channel, names in unexpected.items() if names} == {}


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
