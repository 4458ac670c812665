"""The one HTTP adapter to InfluxDB: writes of generation 1, InfluxQL reads of all. Blocking, thread-safe."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
from urllib3.exceptions import HTTPError

from pipeline.store.door import StoreMisconfigured, StoreUnavailable
from pipeline.store.influx.wires import Wires

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.store.influx.settings import InfluxStoreSettings

GZIP_LEVEL = 1
CHUNK_ROWS = 10_000
"""Rows a server sends at a time, so that a long answer is never one JSON text."""

PIECE_BYTES = 65536
CONNECTIONS_KEPT = 4
"""For what is written, and for queries beside each other; a further one is closed after its request."""

RETRY_AFTER_MAX_S = 300.0
MISCONFIGURED_RETRY_S = 30.0
_NO_HEADERS: Mapping[str, str] = {}
_MINUS_ZERO = re.compile(rb"[\[,]-0[,\]]")


class Rejected(Exception):  # noqa: N818 - what happened
    """The server did not take this body; some of its lines may be stored all the same."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Table(NamedTuple):
    """A piece of an answer: the rows of one series, or some of them."""

    statement: int
    name: str
    """Of the measurement, or table."""
    tags: Mapping[str, str]
    columns: list[str]
    values: list[list[Any]]


def gzip_compress(body: bytes | memoryview) -> bytes:
    """Compress in gzip format (RFC 1952) at the fastest level."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return packer.compress(body) + packer.flush()


def retry_after_s(header: str | None, default_s: float) -> float:
    """Read a Retry-After header, seconds or a date (RFC 9110, section 10.2.3)."""
    if header is None:
        return default_s
    try:
        wait_s = float(header)
    except ValueError:
        try:
            at = parsedate_to_datetime(header)
        except ValueError:
            return default_s
        wait_s = (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)


def judge(status: int, text: str, retry_after: str | None, default_s: float) -> None:
    """Return when an answer to a write says "stored"; else raise what the writer has to do next.

    Raises:
        Rejected: 400, 413, 415, 422 and 5xx: unknown what was stored; halve the batch.
        StoreUnavailable: 408, 429, 503.
        StoreMisconfigured: anything else, 401, 403 and 404 among it.
    """
    if 200 <= status < 300:
        return
    if status in {408, 429, 503}:
        raise StoreUnavailable(
            f"InfluxDB is overloaded ({status})", retry_after_s=retry_after_s(retry_after, default_s)
        )
    if status in {400, 413, 415, 422} or status >= 500:
        raise Rejected(status, text.strip()[:1000])
    raise StoreMisconfigured(
        f"InfluxDB refuses us: {status} {text.strip()[:300]}",
        retry_after_s=MISCONFIGURED_RETRY_S,
        hint="check generation, url, database, organisation and the credential of the store",
    )


def _exact_int(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)


def parse_json(data: bytes) -> Any:
    """Parse an answer without losing a bit: servers print the float -0.0 as -0."""
    if _MINUS_ZERO.search(data):
        return json.loads(data, parse_int=_exact_int)
    return orjson.loads(data)


class InfluxHttp:
    """Connections to one server, kept open: what is written goes out as it lies in memory."""

    def __init__(self, settings: InfluxStoreSettings, credentials: Path | None) -> None:
        self._settings = settings
        headers = {"User-Agent": "yaosu"}
        if settings.token is not None:
            headers["Authorization"] = f"Token {settings.token.resolve_text(credentials)}"
        if settings.username is not None and settings.password is not None:
            user = f"{settings.username}:{settings.password.resolve_text(credentials)}"
            headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        self._headers = headers
        parts = urlsplit(settings.url)
        self._path = parts.path.rstrip("/")
        self.wires = Wires()
        """Of all that is sent to this server."""
        self._pool = self.wires.pools[parts.scheme](
            str(parts.hostname), parts.port, maxsize=CONNECTIONS_KEPT,
            timeout=urllib3.Timeout(settings.timeout_s), retries=False,
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def away(self, error: Exception) -> StoreUnavailable:
        """Make the error that says that no answer came."""
        return StoreUnavailable(
            f"InfluxDB at {self._settings.url} does not answer: {error!r}",
            retry_after_s=self._settings.retry_after_s,
            hint="check that the server runs and that the address is right",
        )

    def post(self, body: bytes | memoryview) -> None:
        """Write lines through the 1.x API, making the database when it is missing.

        Raises: as `judge`, and StoreUnavailable when no answer comes.
        """
        status, text, retry_after = self._post(body)
        if status == 404 and "database not found" in text:
            self._create_database()
            status, text, retry_after = self._post(body)
        judge(status, text, retry_after, self._settings.retry_after_s)

    def _post(self, body: bytes | memoryview) -> tuple[int, str, str | None]:
        compresses = self._settings.compresses
        try:
            response = self._request(
                "POST", "/write", {"db": self._settings.database, "precision": "ns"},
                body=gzip_compress(body) if compresses else body,
                headers={"Content-Encoding": "gzip" if compresses else "identity"},
            )  # fmt: skip
        except HTTPError as error:
            raise self.away(error) from error
        return response.status, response.data.decode(errors="replace"), response.headers.get("Retry-After")

    def _request(
        self, method: str, path: str, parameters: Mapping[str, str], *,
        body: bytes | memoryview | None = None, headers: Mapping[str, str] = _NO_HEADERS,
        stream: bool = False,
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        return self._pool.urlopen(
            method,
            f"{self._path}{path}?{urlencode(parameters)}",
            cast("bytes | None", body),  # any buffer is sent as it is
            {**self._headers, **headers},
            redirect=False,
            preload_content=not stream,
        )

    def _create_database(self) -> None:
        for _ in self.query(f'CREATE DATABASE "{self._settings.database}"'):
            pass  # the statement answers nothing

    def query(self, statements: str) -> Iterator[Table]:
        """Run InfluxQL statements, separated by ';'; times come as ns. A missing database has no rows.

        Raises:
            StoreUnavailable: no answer, a broken one, or an overloaded server.
            StoreMisconfigured: the server refuses the query.
        """
        parameters = {
            "db": self._settings.database,
            "epoch": "ns",
            "chunked": "true",
            "chunk_size": str(CHUNK_ROWS),
        }
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            with self._request(
                "POST", "/query", parameters, body=urlencode({"q": statements}).encode(), headers=form,
                stream=True,
            ) as response:  # fmt: skip
                if response.status != 200:
                    text = response.data.decode(errors="replace")
                    if response.status == 404 and "database not found" in text:  # as generation 3 says it
                        return
                    self._refuse(response.status, text, response.headers)
                for document in _documents(response.stream(PIECE_BYTES)):
                    yield from self._tables(parse_json(document))
        except HTTPError as error:
            raise self.away(error) from error
        except ValueError as error:
            raise self.away(error) from error

    def _refuse(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        try:
            judge(status, text, headers.get("Retry-After"), self._settings.retry_after_s)
        except Rejected as error:
            raise StoreUnavailable(
                f"InfluxDB cannot answer a query: {error}", retry_after_s=self._settings.retry_after_s
            ) from error

    def _tables(self, answer: dict[str, Any]) -> Iterator[Table]:
        for result in [answer, *answer.get("results", ())]:
            error = str(result.get("error", ""))
            if error.startswith("database not found"):
                return
            if error:
                raise StoreUnavailable(
                    f"InfluxDB cannot answer a query: {error}", retry_after_s=self._settings.retry_after_s
                )
            for series in result.get("series", ()):
                yield Table(
                    result.get("statement_id", 0),
                    series.get("name", ""),
                    series.get("tags", {}),
                    series["columns"],
                    series.get("values", []),
                )

    def ping(self) -> str:
        """Return the server's version. Raises StoreUnavailable."""
        try:
            response = self._request("GET", "/ping", {})
        except HTTPError as error:
            raise self.away(error) from error
        if response.status >= 400:
            self._refuse(response.status, response.data.decode(errors="replace"), response.headers)
        version: str = response.headers.get("X-Influxdb-Version", "unknown")
        return version


def _documents(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a chunked answer into its JSON texts, one a line."""
    rest: list[bytes] = []
    for piece in pieces:
        first, *lines = piece.split(b"\n")
        rest.append(first)
        for line in lines:
            yield from filter(None, [b"".join(rest)])
            rest = [line]
    yield from filter(None, [b"".join(rest).strip()])
