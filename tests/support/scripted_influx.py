"""An InfluxDB that answers as the test says, from the published API: statuses, headers, refusals."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


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


@contextmanager
def scripted_influx() -> Iterator[ScriptedServer]:
    """Serve a script on a loopback port."""
    script = ScriptedServer()

    class Handler(BaseHTTPRequestHandler):
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
