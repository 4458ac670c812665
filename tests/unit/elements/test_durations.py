"""Times in texts for people: in days, hours and minutes, with every digit that decides."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements.texts import duration_text, render_reason

if TYPE_CHECKING:
    from pipeline.records.events import Language


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (9000.0, "2 h 30 min", "2 小时 30 分"),
        (9000.000000001, "2 h 30 min 0.000000001 s", "2 小时 30 分 0.000000001 秒"),
        (7200, "2 h", "2 小时"),
        (0.0, "0 s", "0 秒"),
        (59.5, "59.5 s", "59.5 秒"),
        (90_061.25, "1 d 1 h 1 min 1.25 s", "1 天 1 小时 1 分 1.25 秒"),
        (-60.0, "-1 min", "-1 分"),
        (1e-9, "0.000000001 s", "0.000000001 秒"),
        (float("inf"), "inf", "inf"),
    ],
)
def test_a_time_reads_as_people_say_it(seconds: float, en: str, zh: str) -> None:
    assert duration_text(seconds, "en") == en
    assert duration_text(seconds, "zh") == zh


_SIZES = {"d": 86_400, "h": 3600, "min": 60, "s": 1}


@given(st.floats(min_value=0, max_value=1e9, allow_nan=False))
def test_nothing_is_rounded_away(seconds: float) -> None:
    words = duration_text(seconds, "en").split()
    total = sum(Fraction(count) * _SIZES[unit] for count, unit in zip(words[::2], words[1::2], strict=True))
    assert float(total) == seconds


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "S-1 was 3 h old at the start, allowed are 2 h 30 min"),
        ("zh", "检测开始时 S-1 已保存 3 小时，时限为 2 小时 30 分"),
    ],
)
def test_a_hold_time_reads_so(language: Language, text: str) -> None:
    args = {"sample": "S-1", "age_s": 10_800.0, "limit_s": 9000.0}
    assert render_reason("hold-time-exceeded", "S-1", args, language) == text
