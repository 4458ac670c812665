"""Batches, and halving them down to the one line that a server does not take. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipeline.store.door import StoreUnavailable
from pipeline.store.influx.http import Rejected

if TYPE_CHECKING:
    from pipeline.store.influx.text import Lines

LINES_MAX = 5000
BYTES_MAX = 2_000_000
"""Of one request's body before compression; servers take 25 MB and more."""

CANARY = b"yaosu_canary ok=1i"
"""A line that any healthy server takes, at the server's own time."""


class Poster(Protocol):
    """Sends one body of lines; raises as `http.judge`."""

    def post(self, body: bytes | memoryview) -> None:
        """Send one body."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class BadLine(NamedTuple):
    """A line that the server never takes."""

    position: int
    reason: str


def write_lines(poster: Poster, lines: Lines) -> list[BadLine]:
    """Write lines in batches and return those that the server refuses one by one, in order.

    Writing a line again changes nothing, so a refused batch, of which some lines may be stored, is halved and
    sent again. A 5xx may also mean that the server takes nothing at all: then a canary line fails too.

    Raises:
        StoreUnavailable: the server is away or ill; nothing is known to be stored.
    """
    bad: list[BadLine] = []
    start = 0
    while start < len(lines):
        stop = lines.reach(start, lines_max=LINES_MAX, bytes_max=BYTES_MAX)
        _write(poster, lines, start, stop, bad)
        start = stop
    return bad


def _write(poster: Poster, lines: Lines, start: int, stop: int, bad: list[BadLine]) -> None:
    try:
        poster.post(lines.body(start, stop))
    except Rejected as error:
        if error.status >= 500:
            _check_alive(poster, error)
        if stop - start == 1:
            bad.append(BadLine(start, str(error)))
            return
        middle = (start + stop) // 2
        _write(poster, lines, start, middle, bad)
        _write(poster, lines, middle, stop, bad)


def _check_alive(poster: Poster, cause: Rejected) -> None:
    try:
        poster.post(CANARY)
    except Rejected:
        raise StoreUnavailable(
            f"InfluxDB takes no line at all: {cause}", retry_after_s=5.0, hint="read the server's log"
        ) from cause
