"""Frames survive any company of bytes, and no byte can change without being seen."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from pipeline.journal.framing import (
    FILE_HEADER_BYTES,
    file_header,
    frame,
    parse,
    payload,
    read_file_header,
    scan,
    seal,
    unseal,
)

payloads = st.lists(st.binary(max_size=200), min_size=1, max_size=12)
HEADER = file_header(bytes(16), 0)


def layout(parts: list[bytes]) -> bytes:
    return HEADER + b"".join(frame(seq, seq - 1, data) for seq, data in enumerate(parts))


@given(payloads)
def test_what_was_framed_is_found(parts: list[bytes]) -> None:
    data = layout(parts)
    entries, damages = scan(data, 0)
    assert [payload(data, entry) for entry in entries] == parts
    assert [entry.seq for entry in entries] == list(range(len(parts)))
    assert damages == []


@given(payloads, st.integers(0, 10**6), st.integers(0, 7))
def test_a_flipped_bit_costs_exactly_the_frame_that_it_is_in(parts: list[bytes], at: int, bit: int) -> None:
    whole = layout(parts)
    at = FILE_HEADER_BYTES + at % (len(whole) - FILE_HEADER_BYTES)
    hit = next(entry.seq for entry in scan(whole, 0)[0] if entry.offset <= at < entry.end)
    data = bytearray(whole)
    data[at] ^= 1 << bit
    entries, damages = scan(bytes(data), 0)
    assert [entry.seq for entry in entries] == [seq for seq in range(len(parts)) if seq != hit]
    assert [damage.seq for damage in damages] == [hit]


@given(payloads, st.integers(0, 10**6), st.integers(0, 600))
def test_a_cut_or_zero_filled_tail_loses_only_what_it_touches(
    parts: list[bytes], at: int, zeros: int
) -> None:
    whole = layout(parts)
    at = FILE_HEADER_BYTES + at % (len(whole) - FILE_HEADER_BYTES)
    data = whole[:at] + bytes(zeros)
    entries, damages = scan(data, 0)
    kept = [entry for entry in scan(whole, 0)[0] if entry.end <= at]
    # Zeros after the cut may complete a payload that ended in zeros: then the frame is whole.
    assert entries[: len(kept)] == kept
    assert all(payload(data, entry) == parts[entry.seq] for entry in entries)
    assert (
        sum(damage.end - damage.offset for damage in damages)
        + sum(entry.end - entry.offset for entry in entries)
        == len(data) - FILE_HEADER_BYTES
    )


@given(st.integers(0, 2**32))
def test_noise_is_no_frame(seed: int) -> None:
    data = Random(seed).randbytes(300)
    assert parse(memoryview(data), 0) is None
    assert read_file_header(data) is None
    assert unseal(b"YAOSUXXX", data) is None


def test_zeros_are_never_valid() -> None:
    for count in range(200):
        data = bytes(count)
        assert parse(memoryview(data), 0) is None
        assert read_file_header(data) is None
        assert unseal(b"YAOSUXXX", data) is None
        assert unseal(b"YAOSUXXX", b"YAOSUXXX" + data) is None


def test_a_seq_that_does_not_rise_is_not_taken_from_stale_bytes() -> None:
    data = HEADER + frame(5, 4, b"new") + frame(3, 2, b"stale") + frame(6, 5, b"next")
    entries, damages = scan(data, 5)
    assert [entry.seq for entry in entries] == [5, 6]
    assert len(damages) == 1


@given(st.binary(max_size=300), st.integers(0, 10**6), st.integers(0, 7))
def test_a_state_file_with_a_changed_bit_is_no_state_file(content: bytes, at: int, bit: int) -> None:
    sealed = bytearray(seal(b"YAOSUXXX", content))
    assert unseal(b"YAOSUXXX", bytes(sealed)) == content
    sealed[at % len(sealed)] ^= 1 << bit
    assert unseal(b"YAOSUXXX", bytes(sealed)) is None


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1), st.integers(0, 37))
def test_a_file_header_reads_back_and_shows_a_change(journal: bytes, first_seq: int, at: int) -> None:
    header = file_header(journal, first_seq)
    assert read_file_header(header) == (journal, first_seq)
    changed = bytearray(header)
    changed[at] ^= 16
    assert read_file_header(bytes(changed)) is None
