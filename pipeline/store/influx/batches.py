"""Batches, and halving them down to the one line that a server does not take. Blocking."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from pipeline.store.door import StoreMisconfigured, StoreUnavailable
from pipeline.store.influx.http import MISCONFIGURED_RETRY_S, Rejected

if TYPE_CHECKING:
    from pipeline.store.influx.text import Lines

LINES_MAX = 5000
BYTES_MAX = 2_000_000
"""Of one request's body before compression; servers take 25 MB and more."""

LINE_TRIES = 3
"""Times that one line alone is answered with a server's error before it is called bad."""
SERVER_ERROR = 500
"""The least status that speaks of the server and not of what it was sent (RFC 9110, section 15.6)."""

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
    sent again. But a server may also refuse whatever it is sent (it is ill, or is addressed in a way that it
    does not know): only while it takes a canary line is a refusal about the lines.

    Raises:
        StoreUnavailable: the server is away or ill; nothing is known to be stored.
        StoreMisconfigured: it takes no line at all as it is addressed.
    """
    halving = _Halving(poster, lines)
    start = 0
    while start < len(lines):
        stop = lines.reach(start, lines_max=LINES_MAX, bytes_max=BYTES_MAX)
        halving.write(start, stop)
        start = stop
    return halving.bad


class _Halving:
    """One call of `write_lines`."""

    def __init__(self, poster: Poster, lines: Lines) -> None:
        self.bad: list[BadLine] = []
        self._poster = poster
        self._lines = lines
        self._took_canary = False

    def write(self, start: int, stop: int) -> None:
        refusal = self._refusal(start, stop)
        if refusal is None:
            return
        if stop - start == 1:
            self.bad.append(BadLine(start, str(refusal)))
            return
        middle = (start + stop) // 2
        self.write(start, middle)
        self.write(middle, stop)

    def _refusal(self, start: int, stop: int) -> Rejected | None:
        """Send lines; return why a server that takes others refuses these.

        A 5xx may be over by the time the canary is sent: a line alone is sent again before it is called bad.
        """
        refusal = self._post(start, stop)
        for _ in range(LINE_TRIES - 1):
            if refusal is None or refusal.status < SERVER_ERROR or stop - start > 1:
                break
            refusal = self._post(start, stop)
        return refusal

    def _post(self, start: int, stop: int) -> Rejected | None:
        try:
            self._poster.post(self._lines.body(start, stop))
        except Rejected as error:
            if error.status >= SERVER_ERROR:
                _send_canary(self._poster, canary_beside(bytes(self._lines.body(start, start + 1))), error)
            elif not self._took_canary:
                _send_canary(self._poster, CANARY, error)
                self._took_canary = True
            return error
        return None


def canary_beside(line: bytes) -> bytes:
    """Make a canary of a line's length and time: a server may have room for little, or one sick shard."""
    _, _, t_store_ns = line.rpartition(b" ")
    head, tail = CANARY + b',pad="', b'" ' + t_store_ns
    return head + b"." * (len(line) - len(head) - len(tail)) + tail


def _send_canary(poster: Poster, canary: bytes, cause: Rejected) -> None:
    try:
        poster.post(canary)
    except Rejected as error:
        if error.status < SERVER_ERROR <= cause.status:
            return  # it is well enough to say what it does not like
        if error.status >= SERVER_ERROR:
            raise StoreUnavailable(
                f"InfluxDB takes no line at all: {cause}", retry_after_s=5.0, hint="read the server's log"
            ) from error
        raise StoreMisconfigured(
            f"InfluxDB takes no line at all: {cause}",
            retry_after_s=MISCONFIGURED_RETRY_S,
            hint="check generation, url and compression of the store, and the server's own limits",
        ) from error
