"""Stored times are remembered as long as a decision can still be about them, and no longer."""

import numpy as np

from pipeline.intake.frames import LateFlags
from pipeline.qc import Decision
from pipeline.records.frame import decode_frame
from tests.support.journal_fake import T0_NS, data_body

ROWS = 3


def decided(rule: str, through_n: int) -> Decision:
    none = np.empty(0, dtype=np.int64)
    return Decision("oven", rule, through_n, none, (), none.astype(np.uint8), none.astype(np.bool_))


def remember(late: LateFlags, number: int) -> None:
    late.remember(decode_frame(data_body("oven", number * ROWS, T0_NS + number, ROWS)))


def test_without_a_rule_that_needs_the_future_nothing_is_remembered() -> None:
    late = LateFlags("oven")
    for number in range(5):
        remember(late, number)
    assert late.save()[1] == []


def test_a_frame_goes_once_the_slowest_rule_has_decided_all_its_rows() -> None:
    late = LateFlags("oven")
    late.add(decided("spike", -1))
    late.add(decided("neighbour", -1))
    for number in range(4):
        remember(late, number)
    assert [first for first, _ in late.save()[1]] == [0, 3, 6, 9]
    late.add(decided("spike", 10))
    late.add(decided("neighbour", 5))
    remember(late, 4)
    assert [first for first, _ in late.save()[1]] == [6, 9, 12]
