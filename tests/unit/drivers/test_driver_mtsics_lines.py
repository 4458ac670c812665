"""Lines of MT-SICS."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import BadFrame
from drivers.mtsics.lines import ErrorLine, Line, StatusLine, WeightLine, cut_line, parse_line
from drivers.mtsics.rows import status_of
from pipeline.records import Status


@pytest.mark.parametrize(
    ("line", "expected", "status"),
    [
        (b"S S     100.00 g", WeightLine("S", True, 100.0, 2, "g"), Status.GOOD),
        (b"S D      99.87 g", WeightLine("S", False, 99.87, 2, "g"), Status.GOOD),
        (b"S D     -99.87 g", WeightLine("S", False, -99.87, 2, "g"), Status.GOOD),
        (b"S S          0 kg", WeightLine("S", True, 0.0, 0, "kg"), Status.GOOD),
        (b"T S     100.00 g", WeightLine("T", True, 100.0, 2, "g"), Status.GOOD),
        (b"TA A     100.00 g", StatusLine("TA", "A", ("100.00", "g")), Status.DEVICE_ERROR),
        (b"S I", StatusLine("S", "I", ()), Status.UNSTABLE),
        (b"S +", StatusLine("S", "+", ()), Status.OVERRANGE),
        (b"S -", StatusLine("S", "-", ()), Status.UNDERRANGE),
        (b"S L", StatusLine("S", "L", ()), Status.DEVICE_ERROR),
        (b"ES", ErrorLine("ES", "syntax error"), Status.DEVICE_ERROR),
        (b"ET", ErrorLine("ET", "transmission error"), Status.DEVICE_ERROR),
        (b"EL", ErrorLine("EL", "logical error"), Status.DEVICE_ERROR),
        (b'I4 A "B123456789"', StatusLine("I4", "A", ("B123456789",)), Status.DEVICE_ERROR),
        (b'I2 A "XS 204" "a \\"b\\""', StatusLine("I2", "A", ("XS 204", 'a "b"')), Status.DEVICE_ERROR),
        (b"C3 B", StatusLine("C3", "B", ()), Status.DEVICE_ERROR),
        (b"TAC A", StatusLine("TAC", "A", ()), Status.DEVICE_ERROR),
    ],
)
def test_known_lines(line: bytes, expected: Line, status: Status) -> None:
    assert parse_line(line) == expected
    assert status_of(expected) == status


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"S",
        b"S S",
        b"S S 1.2.3 g",
        b"S S nan g",
        b"S S 1e3 g",
        b"\xff\xfe",
        b"S S     10",
        b"hello world",
        b"S X 1 g",
    ],
)
def test_what_is_no_line_is_bad_and_never_guessed(line: bytes) -> None:
    if line == b"S S     10":
        # A line cut in its number cannot be told from a whole one: its end, CR LF, must have come.
        assert cut_line(line) is None
        return
    with pytest.raises(BadFrame):
        parse_line(line)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_line_or_bad(data: bytes) -> None:
    with contextlib.suppress(BadFrame):
        assert isinstance(parse_line(data), Line)


@given(
    st.decimals(min_value="-99999", max_value="99999", places=4, allow_nan=False),
    st.booleans(),
    st.sampled_from(["g", "kg", "mg", "ct", "lb", ""]),
)
def test_weights_keep_their_value_decimals_and_unit(number: object, stable: bool, unit: str) -> None:
    line = f"S {'S' if stable else 'D'} {number!s:>10} {unit}".encode()
    assert parse_line(line) == WeightLine("S", stable, float(str(number)), 4, unit)


def test_lines_end_with_lf_with_or_without_cr() -> None:
    assert cut_line(b"S I\r\nS D") == (b"S I", 5)
    assert cut_line(b"S I\nS D") == (b"S I", 4)
    assert cut_line(b"S D") is None
    assert cut_line(b"x" * 300) == (b"x" * 300, 300)
