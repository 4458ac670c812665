"""Decimation, parsing without loss, halving of batches: the pure parts."""

import math
import struct
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.store import StoreMisconfigured, StoreUnavailable
from pipeline.store.folding import decimate
from pipeline.store.influx.batches import BYTES_MAX, CANARY, LINES_MAX, BadLine, write_lines
from pipeline.store.influx.http import Rejected, judge, parse_json, retry_after_s
from pipeline.store.influx.text import Lines, join
from pipeline.store.schema import read_text


@given(st.data(), st.integers(1, 300), st.integers(1, 60))
def test_decimation_keeps_ends_extremes_and_all_that_did_not_pass(
    drawn: st.DataObject, rows: int, points_max: int
) -> None:
    gaps = drawn.draw(st.lists(st.integers(0, 10**12), min_size=rows, max_size=rows))
    value = np.array(drawn.draw(st.lists(st.floats(allow_infinity=False), min_size=rows, max_size=rows)))
    flag = np.array(
        drawn.draw(st.lists(st.sampled_from([1, 1, 1, 3, 4, 9]), min_size=rows, max_size=rows)),
        dtype=np.uint8,
    )
    t_ns = np.cumsum(np.array(gaps, dtype=np.int64))
    keep = decimate(t_ns, [value], flag, points_max)
    assert set(np.flatnonzero(flag != 1)) <= set(keep.tolist())
    assert {0, rows - 1} <= set(keep.tolist())
    assert len(keep) <= max(4, points_max) + int((flag != 1).sum())
    if not np.isnan(value).all():
        assert np.nanmin(value[keep]) == np.nanmin(value)
        assert np.nanmax(value[keep]) == np.nanmax(value)


def test_minus_zero_and_large_integers_survive_json() -> None:
    parsed = parse_json(b'{"v":[[1,-0,9007199254740993],[-0,0,"a,-0,b"]]}')
    assert [math.copysign(1, parsed["v"][0][1]), math.copysign(1, parsed["v"][1][0])] == [-1, -1]
    assert parsed["v"][0][2] == 2**53 + 1
    assert parsed["v"][1][1:] == [0, "a,-0,b"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive_gos_json(value: float) -> None:
    # Go prints the shortest digits, -0 for minus zero, and no fraction for whole numbers below 1e21.
    whole = value.is_integer() and abs(value) < 1e21
    printed = (
        "-0"
        if struct.pack("<d", value) == struct.pack("<d", -0.0)
        else str(int(value))
        if whole
        else repr(value)
    )
    (parsed,) = parse_json(f'{{"v":[{printed}]}}'.encode())["v"]
    assert struct.pack("<d", float(parsed)) == struct.pack("<d", value)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("9223372036854775808", 2**63),
        ("9223372036854775807", "9223372036854775807"),
        ("18446744073709551616", "18446744073709551616"),
        ("09223372036854775808", "09223372036854775808"),
        ("9223372036854775808\n", "9223372036854775808\n"),
        ("", ""),
    ],
)
def test_only_the_digits_of_a_uint64_beyond_int64_read_back_as_a_number(text: str, read: int | str) -> None:
    assert read_text(text) == read


def joined(lines: list[str]) -> Lines:
    return Lines(*join(lines), [])


class Server:
    """Refuses the lines it is told to; counts what it was sent."""

    def __init__(
        self, *, bad: set[str], status: int = 400, ill_after: int | None = None, hiccups: int = 0
    ) -> None:  # fmt: skip
        self.bad, self.status, self.ill_after, self.hiccups = bad, status, ill_after, hiccups
        self.sick_times: tuple[bytes, ...] = ()
        """Ends of lines whose shard takes nothing."""
        self.posts: list[list[str]] = []
        self.stored: set[str] = set()

    def post(self, body: bytes | memoryview) -> None:
        lines = bytes(body).decode().split("\n")
        self.posts.append(lines)
        if self.sick_times and any(line.encode().endswith(self.sick_times) for line in lines):
            raise Rejected(self.status, "no space left on device")
        if self.ill_after is not None and len(self.posts) > self.ill_after:
            raise Rejected(500, "engine is closed")
        if lines[0].startswith(CANARY.decode()):
            if self.bad == {CANARY.decode()}:
                raise Rejected(self.status, "whatever it is, no")
            return
        if self.hiccups:
            self.hiccups -= 1
            raise Rejected(self.status, "for a moment")
        if self.bad == {CANARY.decode()}:
            raise Rejected(self.status, "whatever it is, no")
        if self.bad & set(lines):
            raise Rejected(self.status, "no")
        self.stored |= set(lines)

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize("status", [400, 413, 422, 500, 507])
def test_exactly_the_bad_lines_are_found_and_all_others_stored(status: int) -> None:
    lines = [f"m f={index} {index}" for index in range(12_000)]
    bad = {lines[0], lines[4999], lines[5000], lines[11_999]}
    server = Server(bad=bad, status=status)
    found = write_lines(server, joined(lines))
    assert found == [BadLine(position, f"{status}: no") for position in (0, 4999, 5000, 11_999)]
    assert server.stored == set(lines) - bad
    assert len(server.posts) < 250


def test_a_server_that_takes_nothing_is_away_and_no_line_is_called_dead() -> None:
    lines = [f"m f={index} {index}" for index in range(5000)]
    server = Server(bad=set(lines), status=500, ill_after=0)
    with pytest.raises(StoreUnavailable, match="takes no line at all"):
        write_lines(server, joined(lines))
    assert len(server.posts) == 2


def test_a_server_that_falls_ill_while_a_batch_is_halved_is_away() -> None:
    lines = [f"m f={index} {index}" for index in range(1000)]
    with pytest.raises(StoreUnavailable):
        write_lines(Server(bad={lines[400]}, status=500, ill_after=7), joined(lines))


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_server_that_refuses_whatever_it_is_sent_makes_no_dead_letters_and_a_person_is_told(
    status: int,
) -> None:
    server = Server(bad={CANARY.decode()}, status=status)
    with pytest.raises(StoreMisconfigured, match=r"takes no line at all.*check generation"):
        write_lines(server, joined([f"m f={index} {index}" for index in range(5000)]))
    assert len(server.posts) == 2


@pytest.mark.parametrize("status", [500, 502, 504])
def test_one_line_alone_that_met_a_server_in_a_bad_moment_is_no_dead_letter(status: int) -> None:
    server = Server(bad=set(), status=status, hiccups=2)
    assert write_lines(server, joined(["m f=1 1"])) == []
    assert server.stored == {"m f=1 1"}


def test_lines_whose_shard_alone_is_ill_are_no_dead_letters() -> None:
    server = Server(bad=set(), status=500)
    server.sick_times = (b" 7",)
    with pytest.raises(StoreUnavailable, match="no space left on device"):
        write_lines(server, joined([f"m f={'1' * 60} {index}" for index in range(10)]))
    canary = server.posts[-1]
    assert canary == [f'{CANARY.decode()},pad="{"." * 39}" 7']
    assert len(canary[0]) == len(f"m f={'1' * 60} 7")


def test_batches_are_bounded_in_lines_and_bytes() -> None:
    server = Server(bad=set())
    lines = [f"{index} {'x' * 900_000}" for index in range(5)] + [
        str(index) for index in range(LINES_MAX + 10)
    ]
    assert write_lines(server, joined(lines)) == []
    assert [line for post in server.posts for line in post] == lines
    assert max(len(post) for post in server.posts) <= LINES_MAX
    assert max(sum(map(len, post)) for post in server.posts) <= BYTES_MAX
    assert write_lines(server, joined([])) == []


def test_retry_after_is_read_as_seconds_or_date_and_bounded() -> None:
    assert retry_after_s("7", 2.0) == 7.0
    assert retry_after_s(None, 2.0) == 2.0
    assert retry_after_s("soon", 2.0) == 2.0
    assert retry_after_s("100000", 2.0) == 300.0
    assert (
        20 < retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True), 2.0) <= 30
    )
    assert retry_after_s(format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True), 2.0) == 0.0


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, Rejected),
        (413, Rejected),
        (422, Rejected),
        (500, Rejected),
        (502, Rejected),
        (429, StoreUnavailable),
        (503, StoreUnavailable),
        (401, StoreMisconfigured),
        (403, StoreMisconfigured),
        (404, StoreMisconfigured),
        (302, StoreMisconfigured),
    ],
)
def test_an_answer_says_what_to_do_next(status: int, error: type[Exception]) -> None:
    judge(204, "", None, 2.0)
    with pytest.raises(error) as raised:
        judge(status, "text", "9", 2.0)
    if status in {429, 503}:
        assert isinstance(raised.value, StoreUnavailable)
        assert raised.value.retry_after_s == 9.0
