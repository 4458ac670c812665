"""A receiver of alarms: a real HTTP server that answers as told and keeps what it was sent."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Receiver:
    """Answers `answers` one after another, then 200; `posts` are (headers, body) in order."""

    def __init__(self) -> None:
        self.answers: list[int | tuple[int, dict[str, str]]] = []
        self.posts: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.url = ""

    @property
    def keys(self) -> list[str]:
        """Idempotency keys in the order of arrival."""
        return [headers["idempotency-key"] for headers, _ in self.posts]

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Keep a post and say how to answer it."""
        self.posts.append((headers, json.loads(body)))
        answer = self.answers.pop(0) if self.answers else 200
        return answer if isinstance(answer, tuple) else (answer, {})


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Serve on a free port of the loopback until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, more = receiver.take({name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(status)
            for name, value in {**more, "content-length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing on standard error."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/alarms"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
