"""Every reason that a check can give: its passing, failing, boundary and missing-fact case."""

from functools import cache

import pytest

from pipeline.elements.batches.texts import REASONS as OF_BATCHES
from pipeline.elements.hand.texts import REASONS as OF_HAND
from pipeline.elements.lookback.texts import REASONS as OF_LOOKBACK
from pipeline.elements.reason_texts import REASONS
from tests.unit.elements.stories import Row, Story
from tests.unit.elements.table_corrections import CORRECTIONS
from tests.unit.elements.table_environment_measurement import ENVIRONMENT, MEASUREMENT
from tests.unit.elements.table_material_method import MATERIAL, METHOD
from tests.unit.elements.table_people_equipment import EQUIPMENT, PEOPLE

TABLE: dict[str, Row] = {
    **PEOPLE, **EQUIPMENT, **CORRECTIONS, **MATERIAL, **METHOD, **ENVIRONMENT, **MEASUREMENT,
}  # fmt: skip
NOT_GIVEN_ANY_MORE = {"steps-not-judged", "replicates-not-judged"}
"""Records of fold version 1 carry them; they are judged now."""


@cache
def _lived(story: int) -> frozenset[str]:
    return frozenset(STORIES[story].codes())


STORIES: dict[int, Story] = {}


def codes(story: Story) -> frozenset[str]:
    """Live a day once: many rows share the clean one."""
    STORIES[id(story)] = story
    return _lived(id(story))


def cases(name: str) -> list[str]:
    return [code for code, row in TABLE.items() if isinstance(getattr(row, name), Story)]


def test_every_reason_has_its_row_and_no_row_is_idle() -> None:
    # Those of batches, look-backs and hand-entered readings have suites of their own.
    expected = set(REASONS) - set(OF_BATCHES) - set(OF_LOOKBACK) - set(OF_HAND) - NOT_GIVEN_ANY_MORE
    assert expected - set(TABLE) == set(), "give these a row"
    assert set(TABLE) - expected == set()


def test_a_case_that_is_left_out_says_why() -> None:
    for code, row in TABLE.items():
        for given in (row.boundary, row.missing):
            assert isinstance(given, Story) or len(given) > 20, code


@pytest.mark.parametrize("code", TABLE)
def test_it_is_not_given_when_all_is_well(code: str) -> None:
    assert code not in codes(TABLE[code].passing)


@pytest.mark.parametrize("code", TABLE)
def test_it_is_given_when_it_is_so(code: str) -> None:
    assert code in codes(TABLE[code].failing)


@pytest.mark.parametrize("code", cases("boundary"))
def test_the_limit_itself(code: str) -> None:
    story = TABLE[code].boundary
    assert isinstance(story, Story)
    assert (code in codes(story)) == story.fires


@pytest.mark.parametrize("code", cases("missing"))
def test_a_missing_fact_is_told_and_never_ok(code: str) -> None:
    story = TABLE[code].missing
    assert isinstance(story, Story)
    found = codes(story)
    assert story.instead in found
    assert code == story.instead or code not in found
