"""InfluxDB servers made from the published API: one that answers as the test says, and one of generation 3.

The second has the limits of InfluxDB 3 Core and refuses what that refuses; behind it a real InfluxDB 1.6.7
keeps the points and answers the InfluxQL that is common to both.
"""

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.support.services import InfluxDatabase
from tests.support.stored import parse_line


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    query: dict[str, list[str]]
    headers: Message
    body: bytes


@dataclass
class ScriptedServer:
    """Answers writes with the statuses of its script, then 204; keeps the lines that it took."""

    url: str = ""
    script: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    bad: str = "\0"
    gzip_refusal: int = 0
    seen: list[Seen] = field(default_factory=list)
    lines: set[str] = field(default_factory=set)

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(seen)
        if seen.path == "/query":
            return 200, {}, b'{"results":[{"statement_id":0}]}\n'
        if self.gzip_refusal and seen.headers.get("Content-Encoding") == "gzip":
            return self.gzip_refusal, {}, b"unexpected byte 0x1f"
        if self.script:
            status, headers = self.script.pop(0)
            return status, headers, b'{"code":"x","message":"scripted"}'
        lines = seen.body.decode().split("\n")
        if any(self.bad in line for line in lines):
            return 422, {}, b'{"code":"unprocessable entity","message":"field type conflict"}'
        self.lines |= set(lines)
        return 204, {}, b""


COLUMNS_MAX = 500
"""Of a table, time among them; as the documentation of InfluxDB 3 Core says under *Manage databases*."""
TABLES_MAX = 2000
_STRINGS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=[\s,])/(?:[^/\\]|\\.)*/""")


_Script = TypeVar("_Script", bound=ScriptedServer)


@dataclass
class Influx3Server(ScriptedServer):
    """InfluxDB 3 in front of a database of 1.6.7.

    Statuses and messages are those of its source (`influxdb3_server/src/http.rs`, `influxdb3_catalog`). A
    request of which one line would make too many columns stores nothing. Its InfluxQL takes one statement a
    request, and SHOW TAG VALUES looks back one day unless a time is named (`iox_query_influxql`).
    """

    behind: InfluxDatabase = field(default_factory=lambda: InfluxDatabase("", ""))
    tables: dict[str, set[str]] = field(default_factory=dict)
    """Columns of each."""
    statements: list[str] = field(default_factory=list)

    def answer(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(seen)
        if seen.path == "/query":
            return self._query(seen)
        if seen.path != "/api/v2/write" or seen.query.get("bucket") != [self.behind.database]:
            return 404, {}, b'{"error":"not found"}'
        tables = {name: set(columns) for name, columns in self.tables.items()}
        lines = seen.body.decode()
        # A text may have line breaks too.
        if self.bad in lines:
            return _refusal(422, "scripted")
        for line in re.split(r"\n(?=[a-z0-9_]+,[a-z]+=)", lines):
            name, tags, fields, _ = parse_line(line if line.rpartition(" ")[2].isdigit() else f"{line} 0")
            tables.setdefault(name, {"time"}).update(tags, fields)
            if set(tags) & set(fields):
                return _refusal(400, f"{name}: a tag and a field have the same name")
        if any(len(columns) > COLUMNS_MAX for columns in tables.values()):
            limit = f"number of columns per table limit of {COLUMNS_MAX} columns"
            return _refusal(422, f"Update to schema would exceed {limit}")
        if len(tables) > TABLES_MAX:
            return _refusal(
                422, f"Update to schema would exceed number of tables limit of {TABLES_MAX} tables"
            )
        self.tables = tables
        return self._pass_on("/write", {"db": self.behind.database, "precision": "ns"}, lines)

    def _query(self, seen: Seen) -> tuple[int, dict[str, str], bytes]:
        (statement,) = parse_qs(seen.body.decode())["q"]
        self.statements.append(statement)
        bare = _STRINGS.sub("''", statement)
        if not self.tables:  # the first line makes the database
            return _refusal(404, f"query error: database not found: {self.behind.database}")
        if ";" in bare:
            return _refusal(400, "must provide only one InfluxQl statement per query")
        known = r"SELECT |SHOW (TAG VALUES|FIELD KEYS|TAG KEYS|MEASUREMENTS|DATABASES|RETENTION POLICIES)\b"
        if not re.match(known, bare) or re.search(r"\bS(LIMIT|OFFSET)\b|\bINTO\b", bare):
            return _refusal(400, f"error in InfluxQL statement: {statement}")
        if bare.startswith("SHOW TAG VALUES") and not re.search(r"\btime\b", bare):
            statement += f" {'AND' if ' WHERE ' in bare else 'WHERE'} time >= now() - 1d"
        return self._pass_on(
            "/query",
            {name: value for name, (value,) in seen.query.items()} | {"db": self.behind.database},
            urlencode({"q": statement}),
        )

    def _pass_on(self, path: str, query: dict[str, str], body: str) -> tuple[int, dict[str, str], bytes]:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        link = HTTPConnection(urlsplit(self.behind.url).netloc)
        with closing(link):
            link.request("POST", f"{path}?{urlencode(query)}", body.encode(), form)
            answer = link.getresponse()
            return answer.status, {}, answer.read()


def _refusal(status: int, message: str) -> tuple[int, dict[str, str], bytes]:
    return status, {}, json.dumps({"error": message, "data": None}).encode()


@contextmanager
def influx_3(behind: InfluxDatabase) -> Iterator[Influx3Server]:
    """Serve InfluxDB 3 on a loopback port."""
    with _serve(Influx3Server(behind=behind)) as server:
        yield server


@contextmanager
def scripted_influx() -> Iterator[ScriptedServer]:
    """Serve a script on a loopback port."""
    with _serve(ScriptedServer()) as script:
        yield script


@contextmanager
def _serve(script: _Script) -> Iterator[_Script]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer /ping, which nobody scripts."""
            self.send_response(200)
            self.send_header("X-Influxdb-Version", "3.0.1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            parts = urlsplit(self.path)
            status, headers, answer = script.answer(
                Seen(parts.path, parse_qs(parts.query), self.headers, body)
            )
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield script
        server.shutdown()
        thread.join()
