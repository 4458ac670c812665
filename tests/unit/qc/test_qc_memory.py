"""What the rules of a channel keep: at most 1 kB, parameters included, where no window is long."""

from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import pytest

from pipeline.qc import ChannelQc
from pipeline.qc.plan import Plan
from pipeline.qc.settings_patterns import ScheduleQc
from pipeline.qc.table import RULES, window_bytes
from tests.unit.qc.blocks import SECOND, block_of, engine_of, layout_of

STATE_BYTES_MAX = 1024
INTERVAL_S = 1.0
WITHOUT_WINDOWS: dict[str, dict[str, Any]] = {
    "range": {"fail_high": 40.0},
    "rate": {"suspect": 1.0},
    "spike": {"suspect": 1.0},
    "gap": {"interval_s": 2.0},
    "repeated": {"suspect_n": 10},
    "ewma": {"centre": 20.0, "sigma": 0.5, "suspect_k": 3.0},
    "cusum": {"target": 20.0, "sigma": 0.5, "suspect_h": 5.0},
    "page_hinkley": {"delta": 0.1, "suspect": 5.0},
    "late": {"suspect_s": 1.0},
    "unit_change": {},
    "schedule": {
        "start": datetime(2026, 1, 1, tzinfo=UTC),
        "points": [[0.0, 4.0], [9.0, 6.0]],
        "suspect": 1.0,
    },
    "redundancy": {"partner": "c1", "suspect": 1.0},
}
"""Every table whose rules keep no window, with settings that switch all of them on."""
WINDOWS = {
    "flat_line", "noise", "rate_dev", "stability", "completeness", "identical", "hampel", "level_shift",
}  # fmt: skip


def kept_bytes(tables: tuple[str, ...]) -> int:
    """Bytes of each further channel with these rules, parameters of its own included."""

    def total(channels: int) -> int:
        rules = {
            f"c{k}": ChannelQc.model_validate({name: WITHOUT_WINDOWS[name] for name in tables})
            for k in range(channels)
        }
        for k, qc in enumerate(rules.values()):
            if qc.range is not None:  # limits of its own, so that parameters are not shared
                rules[f"c{k}"] = qc.model_copy(
                    update={"range": qc.range.model_copy(update={"fail_high": 40.0 + k})}
                )
        return Plan(layout_of(channels), rules, INTERVAL_S).memory.nbytes

    return (total(102) - total(2)) // 100


def test_every_table_is_here_or_keeps_a_window() -> None:
    tables = {rule.table for rule in RULES if rule.table}
    assert tables == {*WITHOUT_WINDOWS, *WINDOWS}
    assert all(window_bytes(ChannelQc.model_validate({name: table}), INTERVAL_S) == 0
               for name, table in WITHOUT_WINDOWS.items())  # fmt: skip


@pytest.mark.parametrize("tables", [(name,) for name in WITHOUT_WINDOWS], ids="-".join)
def test_a_rule_by_itself_keeps_little(tables: tuple[str, ...]) -> None:
    assert 0 < kept_bytes(("range", *tables)) <= STATE_BYTES_MAX


def test_no_set_of_rules_without_windows_keeps_more_than_a_kilobyte() -> None:
    names = tuple(WITHOUT_WINDOWS)
    alone = {name: kept_bytes(("range", name)) - kept_bytes(("range",)) for name in names}
    alone["range"] = kept_bytes(("range",))
    for pair in combinations(names[1:], 2):  # a set keeps what its rules keep, and nothing for being a set
        assert kept_bytes(("range", *pair)) == alone["range"] + sum(alone[name] for name in pair)
    assert kept_bytes(names) == sum(alone.values()) <= STATE_BYTES_MAX


def test_a_full_table_of_set_points_takes_sixteen_bytes_a_corner_more() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    points = [(60.0 * k, float(k)) for k in range(16)]
    short, full = (
        Plan(
            layout_of(1),
            {"c0": ChannelQc(schedule=ScheduleQc(start=start, points=tuple(some), suspect=1.0))},
            1.0,
        )
        for some in (points[:1], points)
    )
    assert full.memory.nbytes - short.memory.nbytes == 16 * 30


def test_channels_with_tables_of_different_length_are_judged_by_their_own() -> None:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    rules = {
        f"c{k}": ChannelQc(schedule=ScheduleQc(
            start=start, points=tuple((float(j), float(10 * k)) for j in range(count)), fail=0.5,
        ))
        for k, count in enumerate((3, 1, 5, 5))
    }  # fmt: skip
    block = block_of([[10.0 * k, 10.0 * k + 1.0] for k in range(4)], [10 * SECOND, 11 * SECOND])
    assert engine_of(rules).process(block, 0).flag.tolist() == [[1, 4]] * 4
