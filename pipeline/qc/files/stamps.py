"""Time stamps as files write them, ISO 8601 or a number since 1970: exact to the nanosecond.

ISO 8601-1:2019, extended format: a date, or date and time parted by `T` or a blank, with minutes, seconds and
up to nine decimals, then `Z` or an offset from UTC, or neither. Beside it what spreadsheets write where the
year comes first: `2026/3/1 8:00:00`. A date that begins with a day or a month is ambiguous and refused.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TimeFormat: TypeAlias = Literal["iso", "s", "ms", "us", "ns"]
TIME_FORMATS: tuple[TimeFormat, ...] = get_args(TimeFormat)
PER_UNIT: dict[TimeFormat, int] = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
"""Nanoseconds in one unit of a number."""

_NS_MAX = 2**63 - 1
_CELL_CHARS_MAX = 40
"""Longer than any time stamp; a longer cell is cut to it and refused."""
_OFFSET = re.compile(r"(?:Z|UTC)|([+-])(\d{2}):?(\d{2})", re.IGNORECASE)
_SLASHED = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})(?:[T ]+(\d{1,2})(:.*))?")
_DATE, _MINUTE, _SECOND = 10, 16, 19
"""Characters of a date, of a time to the minute, and to the second."""

Parsed: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.bool_]]"
"""Times in ns, and which of them were understood."""


class TimeForm(NamedTuple):
    """How the time stamps of a file are to be read."""

    format: TimeFormat
    offset_s: int = 0
    """Offset from UTC of stamps that state none, seconds."""


def parse_offset(text: str) -> int:
    """Read an offset from UTC such as `+08:00`, in seconds. Raises ValueError."""
    match = _OFFSET.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is no offset from UTC; write it as +08:00")
    sign, hours, minutes = match.groups()
    seconds = 0 if sign is None else int(hours) * 3600 + int(minutes) * 60
    return -seconds if sign == "-" else seconds


def detect_format(cells: Sequence[str]) -> TimeFormat | None:
    """Tell ISO 8601 from numbers, and a number's unit by its size; None when the stamps are neither.

    Present-day times have 10 digits in seconds, 13 in ms, 16 in us and 19 in ns.
    """
    filled = [cell.strip() for cell in cells if cell.strip()]
    numbers = sorted(abs(number) for number in map(_decimal, filled) if number is not None)
    if 2 * len(numbers) <= len(filled):
        return "iso" if filled and bool(parse_times(filled, TimeForm("iso"))[1].any()) else None
    middle = numbers[len(numbers) // 2]
    if middle < 10**11:
        return "s"
    return "ms" if middle < 10**14 else "us" if middle < 10**17 else "ns"


def parse_times(cells: Sequence[str], form: TimeForm) -> Parsed:
    """Read time stamps.

    Args:
        cells: n texts.
        form: how they are to be read.

    Returns:
        int64[n] UTC in ns (0 where not understood), bool[n] which were understood.
    """
    return _iso(cells, form.offset_s) if form.format == "iso" else _numbers(cells, PER_UNIT[form.format])


def _decimal(cell: str) -> Decimal | None:
    """Read a number exactly; None for anything else, or one so large that it is no time."""
    try:
        number = Decimal(cell) if "_" not in cell else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() and number.adjusted() <= 20 else None


def _numbers(cells: Sequence[str], per_unit: int) -> Parsed:
    try:
        whole = [int(cell) * per_unit for cell in cells]
        if "_" not in "".join(cells):
            return np.array(whole, dtype=np.int64), np.ones(len(cells), dtype=np.bool_)
    except (ValueError, OverflowError):
        pass
    exact = [_decimal(cell.strip()) for cell in cells]
    ns = [None if number is None else int(number * per_unit) for number in exact]
    kept = [number if number is not None and abs(number) <= _NS_MAX else None for number in ns]
    good = np.array([number is not None for number in kept], dtype=np.bool_)
    return np.array([number or 0 for number in kept], dtype=np.int64), good


def _iso(cells: Sequence[str], offset_s: int) -> Parsed:
    """Read all stamps of one length and one kind of offset at once."""
    times, good = np.zeros(len(cells), dtype=np.int64), np.zeros(len(cells), dtype=np.bool_)
    cut = [_dashed(cell.strip()[:_CELL_CHARS_MAX]).encode("ascii", "replace") for cell in cells]
    letters = np.array(cut, dtype=f"S{_CELL_CHARS_MAX}").view(np.uint8).reshape(len(cells), _CELL_CHARS_MAX)
    lengths = (letters != 0).sum(axis=1)
    for length in np.unique(lengths):
        if length < _DATE:
            continue
        rows = np.flatnonzero(lengths == length)
        suffixes = _suffix_lengths(letters[rows, :length])
        for suffix in np.unique(suffixes):
            mine = rows[suffixes == suffix]
            times[mine], good[mine] = _alike(letters[mine, :length], int(suffix), offset_s)
    return np.where(good, times, 0), good


def _dashed(stamp: str) -> str:
    """Write a stamp with slashes as ISO 8601 does; any other stays as it is."""
    slashed = _SLASHED.fullmatch(stamp) if "/" in stamp else None
    if slashed is None:
        return stamp
    year, month, day, hour, rest = slashed.groups()
    time = "" if hour is None else f"T{hour:0>2}{rest}"
    return f"{year}-{month:0>2}-{day:0>2}{time}"[:_CELL_CHARS_MAX]


def _suffix_lengths(letters: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return how many characters at the end of each stamp state its offset: Z, +08, +0800 or +08:00."""
    suffixes = np.isin(letters[:, -1], (ord("Z"), ord("z"))).astype(np.int64)
    for count in (3, 5, 6):
        if letters.shape[1] >= _MINUTE + count:
            suffixes[np.isin(letters[:, -count], (ord("+"), ord("-")))] = count
    return suffixes


def _alike(letters: NDArray[np.uint8], suffix: int, offset_s: int) -> Parsed:
    """Read stamps uint8[m, length] that all have an offset of `suffix` characters."""
    length = letters.shape[1] - suffix
    good = np.full(len(letters), length in {_DATE, _MINUTE, _SECOND} or _SECOND + 2 <= length <= _SECOND + 10)
    if not good.all() or (length == _DATE and suffix):
        return np.zeros(len(letters), dtype=np.int64), np.zeros(len(letters), dtype=np.bool_)
    year, month, day = (_field(letters, at, count, good) for at, count in ((0, 4), (5, 2), (8, 2)))
    _expect(letters, {4: b"-", 7: b"-"}, good)
    good &= (year >= 1678) & (year <= 2261)  # what int64 nanoseconds reach
    days = _days(year, month, day, good)
    seconds, ns = np.zeros(len(letters), dtype=np.int64), np.zeros(len(letters), dtype=np.int64)
    if length >= _MINUTE:
        hour, minute = _field(letters, 11, 2, good), _field(letters, 14, 2, good)
        _expect(letters, {10: b"Tt ", 13: b":"}, good)
        good &= (hour <= 23) & (minute <= 59)
        seconds = hour * 3600 + minute * 60
    if length >= _SECOND:
        second = _field(letters, 17, 2, good)
        _expect(letters, {16: b":"}, good)
        good &= second <= 59
        seconds += second
    if length > _SECOND:
        digits = length - _SECOND - 1
        _expect(letters, {_SECOND: b".,"}, good)
        ns = _field(letters, _SECOND + 1, digits, good) * 10 ** (9 - digits)
    offsets = _offsets(letters, suffix, good) if suffix else offset_s
    return ((days * 86400 + seconds - offsets) * 10**9 + ns), good


def _field(letters: NDArray[np.uint8], at: int, count: int, good: NDArray[np.bool_]) -> NDArray[np.int64]:
    digits = letters[:, at : at + count].astype(np.int64) - ord("0")
    good &= ((digits >= 0) & (digits <= 9)).all(axis=1)
    number: NDArray[np.int64] = digits @ (10 ** np.arange(count - 1, -1, -1, dtype=np.int64))
    return number


def _expect(letters: NDArray[np.uint8], places: dict[int, bytes], good: NDArray[np.bool_]) -> None:
    for at, allowed in places.items():
        good &= np.isin(letters[:, at], list(allowed))


def _days(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64], good: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Days since 1970; a day that its month does not have is not good."""
    good &= (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(good, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + np.where(good, day - 1, 0)
    good &= days.astype("datetime64[M]") == months
    return days.astype(np.int64)


def _offsets(letters: NDArray[np.uint8], suffix: int, good: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Seconds east of UTC that each stamp states."""
    if suffix == 1:
        return np.zeros(len(letters), dtype=np.int64)
    at = letters.shape[1] - suffix
    hours = _field(letters, at + 1, 2, good)
    minutes = np.zeros(len(letters), dtype=np.int64)
    if suffix > 3:
        minutes = _field(letters, letters.shape[1] - 2, 2, good)
    if suffix == 6:
        _expect(letters, {at + 3: b":"}, good)
    good &= (hours <= 23) & (minutes <= 59)
    east = np.where(letters[:, at] == ord("-"), np.int64(-1), np.int64(1))
    offsets: NDArray[np.int64] = east * (hours * 3600 + minutes * 60)
    return offsets
