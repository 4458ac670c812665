"""A snapshot that packs finished tasks once is, byte for byte, one that packs everything."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.elements.engine import VERSION, Fold
from pipeline.elements.saving import PackedTasks, save
from tests.unit.elements.days import STEPS, Day, ended, lived


def whole(bench: Day) -> bytes:
    fold = bench.elements.fold
    return save(VERSION, fold.state, fold.registry, PackedTasks())


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12), st.integers(0, 10))
def test_packed_once_or_again_is_the_same(steps: list[str], restart: int) -> None:
    bench = ended(lived(steps[:restart]))
    bench.nonsense = "nonsense" in steps
    for step in ["test", "load", *steps[restart:], "flags", "gap", "correct entry", "sign"]:
        assert bench.elements.snapshot() == whole(bench)
        STEPS[step](bench)
        assert bench.elements.snapshot() == whole(bench), step
    restored = Fold(bench.settings)
    restored.restore(bench.elements.snapshot())
    assert restored.snapshot() == bench.elements.snapshot()
