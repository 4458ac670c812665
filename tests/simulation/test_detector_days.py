"""Each detector has a day that fires it and a clean twin that does not, played through the whole gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.elements.detectors.evidence import PREFIX, cases
from pipeline.elements.detectors.reported import _CASE_OF_CODE, _CASE_OF_ELEMENT
from pipeline.elements.detectors.table import DETECTORS
from pipeline.records.events_catalogue import CATALOGUE
from simulators import load_scenario
from tests.support.played import play
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from simulators.days import DayEntry

SCENARIO = "detectors"
DAYS = load_scenario(SCENARIO).day
OF = {(day.evidence, day.case): day for day in DAYS}


def day_of(code: str, case: str) -> DayEntry:
    assert (code, case) in OF, f"detector {code} of case {case} has no day in the scenario '{SCENARIO}'"
    return OF[code, case]


def test_the_table_of_detectors_is_whole() -> None:
    codes = {code.removeprefix(PREFIX) for code in CATALOGUE if code.startswith(PREFIX)}
    assert {one.code for one in DETECTORS} == codes
    of_elements = {*_CASE_OF_ELEMENT.values(), *_CASE_OF_CODE.values()} - {None}
    assert {one.case for one in DETECTORS if one.code == "element"} == of_elements
    assert {one.case for one in DETECTORS} == set(cases())
    assert len(set(DETECTORS)) == len(DETECTORS)


def test_every_day_belongs_to_a_detector() -> None:
    assert set(OF) == {tuple(one) for one in DETECTORS}
    assert len(DAYS) == len(OF)


@pytest.mark.parametrize(("code", "case"), DETECTORS)
def test_its_day_fires_the_detector_and_no_other(tmp_path: Path, code: str, case: str) -> None:
    told = play(tmp_path, SCENARIO, day_of(code, case), "fires")
    assert told.unexpected == []
    assert told.evidence == {(code, case)}
    assert told.found() == day_of(code, case).found.get("fires", {})


@pytest.mark.parametrize(("code", "case"), DETECTORS)
def test_the_clean_twin_of_its_day_fires_none(tmp_path: Path, code: str, case: str) -> None:
    told = play(tmp_path, SCENARIO, day_of(code, case), "clean")
    assert told.unexpected == []
    assert told.evidence == set()
    assert told.found() == day_of(code, case).found.get("clean", {})


@pytest.mark.parametrize("day", DAYS, ids=[day.id for day in DAYS])
def test_the_twins_share_most_of_their_day(day: DayEntry) -> None:
    shared = [step for step in day.steps if step.only is None]
    assert len(shared) >= 2
    assert day.played("fires") != day.played("clean")


def test_the_page_says_of_each_detector_which_day_shows_it() -> None:
    page = (ROOT / "docs" / "detectors.md").read_text(encoding="utf-8")
    for day in DAYS:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{day.id}` ")]
        assert f"`{PREFIX}{day.evidence}`" in row
        assert f"**{day.case}**" in row
        assert f"`yaosu demo {SCENARIO} --day {day.id}`" in row
