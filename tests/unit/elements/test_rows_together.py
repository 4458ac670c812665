"""Rows are taken in together; nothing that is remembered of them may show it."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.elements import Elements
from pipeline.elements.registry_shapes import FormulaInput, ResultSpec
from pipeline.elements.rows import ROWS_MAX
from tests.unit.elements.bench import Bench, opened, room, weighing
from tests.unit.elements.table_material_method import FILL, POUR

SPEC = ResultSpec(
    "q", formula="mean(w) + sd(w) + max(w) - min(w) + last(w) - first(w)",
    inputs=(FormulaInput("w", "weight", "g"),),
)  # fmt: skip
METHOD = weighing(steps=(POUR, FILL), results=(SPEC, ResultSpec("n", "net-weight", "weight")))
ROOM = room(hysteresis=0.5, grace_s=3.0, rate_max_per_h=10.0, rate_window_s=2.0)


def busy(rng: random.Random) -> Bench:
    """A task with several frames between two ticks, of two instruments."""
    bench = opened({("method", "weighing"): METHOD, ("environment", "room"): ROOM})
    task = bench.start()
    for _ in range(12):
        for _ in range(rng.randrange(1, 5)):
            bench.advance(0.2)
            values = [round(rng.uniform(0, 60), rng.choice((1, 4, 9))) for _ in range(rng.randrange(1, 4))]
            bench.weight(*values, stable=rng.randrange(2), flag=rng.choice((1, 1, 1, 3, 4)))
            bench.temperature(round(rng.uniform(20, 28), 1), status=rng.choice((0, 0, 0, 5)))
        bench.tick(0.1)
    bench.finish(task)
    return bench


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_rows_one_frame_at_a_time_are_remembered_alike(seed: int) -> None:
    bench = busy(random.Random(seed))
    one_by_one = Elements(bench.settings)
    for record in bench.records:
        one_by_one.consume(record)
        one_by_one._fold._catch_up(record)
    assert one_by_one.snapshot() == bench.elements.snapshot()


def test_very_many_rows_without_a_tick_do_not_pile_up() -> None:
    bench = opened()
    bench.start()
    for _ in range(3):
        bench.weight(*[50.0] * (ROWS_MAX // 2), step_s=0.0001)
        bench.advance(1)
    waiting = bench.elements._fold._waiting
    assert sum(len(one.frame.block) for one in waiting["bal-1"]) < ROWS_MAX
