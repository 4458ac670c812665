"""Time stamps are read exactly, and what is none is told apart."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.qc.files.stamps import TimeForm, TimeFormat, detect_format, parse_offset, parse_times

ISO = TimeForm("iso")


def iso_ns(text: str) -> int:
    return int(np.datetime64(text, "ns").astype(np.int64))


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-03-01", "2026-03-01T00:00:00"),
        ("2026-03-01T08:15", "2026-03-01T08:15:00"),
        ("2026-03-01 08:15:30", "2026-03-01T08:15:30"),
        ("2026-03-01T08:15:30Z", "2026-03-01T08:15:30"),
        ("2026-03-01t08:15:30z", "2026-03-01T08:15:30"),
        (" 2026-03-01T08:15:30.5+08:00 ", "2026-03-01T00:15:30.5"),
        ("2026-03-01T08:15:30,123456789+0800", "2026-03-01T00:15:30.123456789"),
        ("2026-03-01T00:15:30-03", "2026-03-01T03:15:30"),
        ("2026-03-01T08:15-0330", "2026-03-01T11:45:00"),
        ("2026/03/01 08:15:30", "2026-03-01T08:15:30"),
        ("2026/3/1 8:15", "2026-03-01T08:15:00"),
        ("2026/3/1", "2026-03-01T00:00:00"),
        ("2026/3/1 8:15:30.5+08:00", "2026-03-01T00:15:30.5"),
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00"),
        ("1678-01-01T00:00:00Z", "1678-01-01T00:00:00"),
        ("2261-12-31T23:59:59.999999999Z", "2261-12-31T23:59:59.999999999"),
    ],
)
def test_iso_8601_is_read_to_the_nanosecond(text: str, utc: str) -> None:
    times, good = parse_times([text], ISO)
    assert good.tolist() == [True]
    assert times.tolist() == [iso_ns(utc)]


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "2026-03", "2026-02-29", "2026-13-01", "2026-00-10", "2026-03-00", "2026-03-01T24:00:00",
        "2026-03-01T08:60", "2026-03-01T08:15:61", "2026-03-01T08", "2026-03-01T08:15:30.",
        "26-03-01T08:15:30", "2026-03-01T08:15:30.1234567890", "01/03/2026 08:15:30", "26/3/1",
        "2026/3-1", "2026/2/30", "2026/3/1 8", "2026-03-01X08:15:30",
        "2026-03-01Z", "2026-03-01T08:15:30+8:00", "2026-03-01T08:15:30+08:75", "2026-03-01T08:15:3é",
        "1600-01-01T00:00:00Z", "2026-03-01T08:15:30 and a tale that goes on", "2300-01-01T00:00:00",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    times, good = parse_times([text, "2026-03-01T00:00:00Z"], ISO)
    assert good.tolist() == [False, True]
    assert times.tolist() == [0, iso_ns("2026-03-01")]


@given(
    st.lists(
        st.datetimes(min_value=datetime(1678, 1, 1), max_value=datetime(2261, 12, 31)),  # noqa: DTZ001 - naive
        min_size=1,
        max_size=30,
    )
)
def test_mixed_widths_in_one_column_agree_with_the_standard_library(instants: list[datetime]) -> None:
    times, good = parse_times([instant.isoformat() for instant in instants], ISO)
    assert good.all()
    since = [one.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC) for one in instants]
    assert times.tolist() == [one // timedelta(microseconds=1) * 1000 for one in since]


def test_an_offset_is_assumed_only_where_none_is_stated() -> None:
    cells = ["2026-03-01T08:00:00", "2026-03-01T08:00:00Z"]
    times, _ = parse_times(cells, TimeForm("iso", 8 * 3600))
    assert times.tolist() == [iso_ns("2026-03-01"), iso_ns("2026-03-01T08:00:00")]


def test_numbers_since_1970_are_exact() -> None:
    times, good = parse_times(["1772323200.123456789", "1772323200", "-1.5", "1.7e9"], TimeForm("s"))
    assert good.all()
    assert times.tolist() == [1772323200123456789, 1772323200 * 10**9, -1_500_000_000, 17 * 10**17]
    assert parse_times(["1772323200123"], TimeForm("ms"))[0].tolist() == [1772323200123 * 10**6]
    assert parse_times(["9223372036854775807"], TimeForm("ns"))[0].tolist() == [2**63 - 1]


def test_numbers_that_are_no_time_are_refused() -> None:
    cells = ["nan", "1_000", "1e30", "1e999999999", "99999999999", "", "x", "9" * 5000, "5"]
    times, good = parse_times(cells, TimeForm("s"))
    assert good.tolist() == [False] * 8 + [True]
    assert times.tolist() == [0] * 8 + [5 * 10**9]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["2026-03-01T08:00:00Z", "", "x"], "iso"),
        (["1772323200", "1772323201.5"], "s"),
        (["0.0", "0.1"], "s"),
        (["1772323200123"], "ms"),
        (["1772323200123456"], "us"),
        (["1772323200123456789"], "ns"),
        (["hello"], None),
        (["", ""], None),
        ([], None),
    ],
)
def test_the_form_is_found_by_looking(cells: list[str], expected: TimeFormat | None) -> None:
    assert detect_format(cells) == expected


def test_offsets_from_utc() -> None:
    assert [parse_offset(text) for text in ("Z", "+08:00", "-0330")] == [0, 28800, -12600]
    with pytest.raises(ValueError, match=r"\+08:00"):
        parse_offset("8")
