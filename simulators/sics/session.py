"""Serve MT-SICS on one wire: split lines, send answers in order, spoil them when a fault says so."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from simulators import faults
from simulators.exchange import AnswerBook, Exchange
from simulators.link import Link
from simulators.noise import noise_bytes
from simulators.sics.dialogue import Dialogue, Line
from simulators.sics.scale import Scale

LINE_MAX = 128
OUTBOX_MAX = 64
"""Limit of answers held behind a late one; the newest is dropped when it is reached, as by a full port."""
_FLOW_CONTROL = b"\x11\x13"


class SicsSession:
    """The dialogue of one interface. Called from the event loop only; owns timers, no task."""

    def __init__(
        self,
        instrument_id: str,
        link: Link,
        scale: Scale,
        book: AnswerBook,
        now_ns: Callable[[], int],
        on_close: Callable[[SicsSession], None],
    ) -> None:
        self._instrument_id = instrument_id
        self._link = link
        self._scale = scale
        self._book = book
        self._now_ns = now_ns
        self._on_close = on_close
        self._dialogue = Dialogue(scale, now_ns())
        self._buffer = bytearray()
        self._outbox: deque[Exchange] = deque()
        self._late: asyncio.TimerHandle | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._is_open = True
        self._watch_time()

    def receive(self, data: bytes) -> None:
        """Take bytes and answer every command line that they complete."""
        self._buffer += data.translate(None, _FLOW_CONTROL)
        while (end := self._buffer.find(b"\n")) >= 0:
            raw = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            if raw:
                self._serve(raw)
        if len(self._buffer) > LINE_MAX:
            self._buffer.clear()
            self._send(Line("ES", None), b"")
        self._watch_time()

    def press_print_key(self) -> None:
        """Let somebody press the print key of the balance."""
        for line in self._dialogue.press_print_key(self._now_ns()):
            self._send(line, None)
        self._watch_time()

    def rewind(self) -> None:
        """Follow the scenario's clock back to zero."""
        self._dialogue.rewind(self._now_ns())
        self._watch_time()

    def close(self) -> None:
        """Cancel the timers; answers that were still to come are noted as not given."""
        if not self._is_open:
            return
        self._is_open = False
        for timer in (self._late, self._wake):
            if timer is not None:
                timer.cancel()
        for exchange in self._outbox:
            self._book.record(_without_answer(exchange))
        self._outbox.clear()
        self._on_close(self)

    def _serve(self, raw: bytes) -> None:
        t_ns = self._now_ns()
        if self._scale.board.is_disconnected(t_ns):
            self._book.record(Exchange(self._instrument_id, None, raw, None, {}, "disconnect"))
            return
        command = raw.decode("ascii", errors="replace")
        for line in self._dialogue.receive(command, t_ns):
            self._send(line, raw)

    def _watch_time(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        next_ns = self._dialogue.next_ns
        if next_ns is not None and self._is_open:
            delay_s = max(0.0, (next_ns - self._now_ns()) / 1e9)
            self._wake = asyncio.get_running_loop().call_later(delay_s, self._on_time)

    def _on_time(self) -> None:
        self._wake = None
        t_ns = self._now_ns()
        lines = self._dialogue.advance(t_ns)
        if not self._scale.board.is_disconnected(t_ns):
            for line in lines:
                self._send(line, None if line.command is None else line.command.encode("ascii"))
        self._watch_time()

    def _send(self, line: Line, request: bytes | None) -> None:
        exchange = self._exchange(line, request)
        if len(self._outbox) >= OUTBOX_MAX:
            self._book.record(_without_answer(exchange))
            return
        self._outbox.append(exchange)
        if self._late is None:
            self._send_outbox()

    def _send_outbox(self) -> None:
        self._late = None
        while self._outbox:
            exchange = self._outbox[0]
            if exchange.delay_s > 0:
                # The delay is served once: the same answer comes back to the head without it.
                self._outbox[0] = replace(exchange, delay_s=0.0)
                self._late = asyncio.get_running_loop().call_later(exchange.delay_s, self._send_outbox)
                return
            self._outbox.popleft()
            self._book.record(exchange)
            if exchange.answer is not None:
                self._link.write(exchange.answer)

    def _exchange(self, line: Line, request: bytes | None) -> Exchange:
        good = f"{line.text}\r\n".encode("ascii")
        hit = self._scale.board.wire_fault(self._now_ns())
        if hit is None:
            return Exchange(self._instrument_id, None, request, good, line.values, line.fault)
        fault, armed = hit
        values = line.values if isinstance(fault, faults.LateAnswer) else dict.fromkeys(line.values)
        answer: bytes | None = good
        match fault:
            case faults.NoAnswer():
                answer = None
            case faults.ExceptionAnswer():
                answer = b"EL\r\n"
            case faults.BadCrc():
                answer = b"ET\r\n"
            case faults.TruncatedAnswer():
                answer = good[: len(good) // 2]
            case faults.GarbageAnswer():
                noise = noise_bytes(armed.key, armed.ordinal, len(good) - 2)
                # Bytes above 7Fh cannot be taken for a weight by accident.
                answer = bytes(byte | 0x80 for byte in noise) + b"\r\n"
        delay_s = fault.delay_s if isinstance(fault, faults.LateAnswer) else 0.0
        return Exchange(self._instrument_id, None, request, answer, values, fault.kind, delay_s)


def _without_answer(exchange: Exchange) -> Exchange:
    return replace(exchange, answer=None, values=dict.fromkeys(exchange.values))
