"""Commands at a centre: nobody answers at a door, and the stored records tell what the gateway recorded."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

import pytest

from pipeline.elements.lookback.report import look_backs
from pipeline.store import Origin
from pipeline.store.schema import LEDGER_KEYS
from tests.support.collecting import embedded_store
from tests.support.commanding import Outcome, yaosu
from tests.unit.dashboard.laboratory import quality_bench

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.elements.bench import Bench

SITE = """
[site]
lab = "lab"
gateway = "one"
state_dir = "state"

[store]
kind = "embedded"
path = "store.sqlite"
"""


@pytest.fixture(scope="module")
def bench() -> Bench:
    return quality_bench()


@pytest.fixture(scope="module")
def site(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("centre")

    async def store() -> None:
        async with embedded_store(folder) as store:
            records = [record for record in bench.records if record.kind in LEDGER_KEYS]
            assert not (await store.write(Origin("lab", "one"), records)).dead

    asyncio.run(store())
    path = folder / "centre.toml"
    path.write_text(SITE, encoding="utf-8")
    return path


def told(site: Path, *arguments: str) -> Outcome:
    outcome = yaosu(*arguments, "-c", site)
    assert outcome.code == 0, outcome.err
    assert "no gateway answers here; told from its stored records, through" in outcome.err
    return outcome


def test_the_risk_index_is_shown_and_explained_from_stored_records(site: Path, bench: Bench) -> None:
    shown = told(site, "risk", "show", "--json").json
    lab = next(one for one in shown["subjects"] if one["subject"] == "lab")
    known = bench.shown("risk", "lab")
    # Time passes here by stored records; the bench's last tick is a moment later.
    assert lab["index"] == pytest.approx(known["index"], rel=1e-6)
    assert shown["credit_class"]["credit_class"] == "B"
    explained = told(site, "risk", "explain", "instrument:bal-1", "--json").json
    assert explained["index"] == math.fsum(one["points"] for one in explained["contributions"]) > 0
    assert "bal-1: index" in told(site, "risk", "explain", "instrument:bal-1").out
    assert "official credit-risk class B" in told(site, "risk", "show").out


def test_alarms_batches_and_look_backs_are_listed_from_stored_records(site: Path, bench: Bench) -> None:
    (known,) = look_backs(bench.elements.fold.state)
    assert known["lookback"] in told(site, "lookback", "list").out
    assert "A-00001" in told(site, "alarm", "list").out


def test_what_no_record_tells_of_is_refused_with_what_to_do(site: Path) -> None:
    outcome = yaosu("risk", "explain", "instrument:none", "-c", site)
    assert outcome.code == 1
    assert "no stored record tells of it" in outcome.err


def test_views_that_no_stored_record_tells_leave_as_before(site: Path, tmp_path: Path) -> None:
    outcome = yaosu("task", "list", "-c", site)
    assert outcome.code == 69
    assert "nobody answers" in outcome.err
    empty = tmp_path / "centre.toml"
    empty.write_text(SITE, encoding="utf-8")
    outcome = yaosu("risk", "show", "-c", empty)
    assert outcome.code == 69
    assert not (tmp_path / "store.sqlite").exists()
