"""Stores: corrected values over time, in every implementation."""

import math

import numpy as np

from pipeline.store import Store
from tests.contract.test_store_conformance import ALL_NS, bits, store
from tests.support.stored import ORIGIN, S_NS, T0_NS, data, frame

__all__ = ["store"]


async def test_corrected_values_are_drawn_beside_what_the_instrument_showed(
    store: Store,
) -> None:
    exact = [0.1 + 0.2, math.nan, -0.0, 5e-324]
    first = frame("ph", {("ph", "f8"): [7.0, 7.1, 7.2, 7.3]}, corrected={"ph": exact})
    later = frame("ph", {("ph", "f8"): [7.4]}, n_first=4, t_ns=[T0_NS + 4 * S_NS])
    await store.write(ORIGIN, [data(first, 1), data(later, 2)])
    series = await store.window(ORIGIN, "ph", "ph", *ALL_NS, 100)
    assert series.value.tolist() == [7.0, 7.1, 7.2, 7.3, 7.4]
    assert series.corrected is not None
    drawn = [bits(value) for value in series.corrected.tolist()]
    assert [drawn[0], *drawn[2:4]] == [bits(exact[0]), bits(exact[2]), bits(exact[3])]
    assert np.isnan(series.corrected).tolist() == [False, True, False, False, True]
    part = await store.window(ORIGIN, "ph", "ph", T0_NS + 2 * S_NS, T0_NS + 4 * S_NS, 100)
    assert part.corrected is not None
    assert part.corrected.tolist() == [-0.0, 5e-324]
    bare = await store.window(ORIGIN, "ph", "ph", T0_NS + 4 * S_NS, T0_NS + 5 * S_NS, 100)
    assert bare.corrected is None
