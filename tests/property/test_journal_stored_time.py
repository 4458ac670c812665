"""Stored times strictly increase, move as little as they can, and do not depend on how rows are cut."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.journal.stored_time import StoredTimes

times = st.lists(st.integers(0, 50) | st.integers(-(2**60), 2**60), max_size=40)


def naive(values: list[int]) -> list[int]:
    stored: list[int] = []
    for value in values:
        stored.append(value if not stored else max(value, stored[-1] + 1))
    return stored


@given(times, st.lists(st.integers(0, 40), max_size=4))
def test_the_vectorised_rule_equals_the_naive_one_however_the_rows_are_cut(
    values: list[int], cuts: list[int]
) -> None:
    stored_times, stored = StoredTimes(), []
    edges = sorted({0, len(values), *(cut for cut in cuts if cut <= len(values))})
    for start, stop in pairwise(edges):
        part = np.array(values[start:stop], dtype=np.int64)
        offsets = stored_times.offsets("meter", part)
        stored += (part if offsets is None else part + offsets).tolist()
    assert stored == naive(values)
