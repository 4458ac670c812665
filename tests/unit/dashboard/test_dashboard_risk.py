"""What the pages of the risk index say of it, and how evidence is listed."""

import html
import math
import re

import httpx
import pytest
from jinja2 import Environment, FileSystemLoader

from dashboard.language import messages
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.risk.weights import WEIGHTS
from pipeline.records.events import Language
from tests.support.tree import ROOT
from tests.unit.dashboard.fakes import FakeStore
from tests.unit.dashboard.laboratory import LaboratoryDoor, fill, quality_bench
from tests.unit.elements.bench import Bench


@pytest.fixture(scope="module")
def bench() -> Bench:
    return quality_bench()


@pytest.fixture
def store(bench: Bench) -> FakeStore:
    store = FakeStore()
    fill(store, bench)
    return store


@pytest.fixture
def door(bench: Bench, store: FakeStore) -> LaboratoryDoor:
    return LaboratoryDoor(bench, store)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_that_counts_for_the_risk_index_has_words(language: Language) -> None:
    named = messages(language).table("risk_code")
    assert {*REASONS, *WEIGHTS, "gap", "gap-open", "other"} == set(named)
    assert len(set(named.values())) == len(named), "two causes with one name"


async def test_a_little_less_than_enough_work_does_not_look_like_enough(
    lab: httpx.AsyncClient, bench: Bench
) -> None:
    shown = bench.elements.risk_of("instrument:bal-1")
    assert shown is not None
    page = (await lab.get("/risk/instrument:bal-1")).text
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert f"Work done: {math.floor(shown['work'] * 100) / 100:.2f}" in text
    assert ("less work than 10 tasks" in text) == (shown["work"] < 10)


def test_many_records_of_evidence_are_folded_away() -> None:
    template = Environment(
        loader=FileSystemLoader(ROOT / "dashboard" / "templates"), autoescape=True
    ).from_string("{% from 'parts.html' import seqs %}{{ seqs(numbers) }}")
    assert "<details" not in template.render(numbers=range(8))
    shown = template.render(numbers=list(range(90)))
    assert "+82" in shown
    assert shown.count("seq-link") == 90
    assert shown.index("<details") < shown.index("/records/8")
