"""RangeSet against a set of integers."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.ranges import RangeSet

RANGES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], sum(pair))), max_size=25
)


def members(ranges: list[tuple[int, int]]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(RANGES, st.integers(0, 75), st.integers(0, 75))
def test_a_range_set_is_a_set(ranges: list[tuple[int, int]], low: int, high: int) -> None:
    model, made = members(ranges), RangeSet(ranges)
    assert len(made) == len(model)
    assert members(list(made)) == model
    assert [number in made for number in range(80)] == [number in model for number in range(80)]
    if low <= high:
        span = set(range(low, high + 1))
        assert made.covers(low, high) == (span <= model)
        assert members(made.missing(low, high)) == span - model
    pairs = list(made)
    assert all(after > last + 1 for (_, last), (after, _) in pairwise(pairs))
    made.remove(low)
    assert made == RangeSet((number, number) for number in model - {low})


@given(RANGES, st.randoms())
def test_the_order_of_adding_does_not_matter(ranges: list[tuple[int, int]], random: object) -> None:
    turned = RangeSet()
    turned.update(reversed(ranges))
    assert turned == RangeSet(ranges)
    assert turned != ranges


def test_one_number_and_an_empty_range() -> None:
    one = RangeSet()
    one.add(5)
    assert list(one) == [(5, 5)]
    assert repr(one) == "RangeSet([(5, 5)])"
    with pytest.raises(ValueError, match="empty"):
        one.add(5, 4)
