"""Serve Modbus requests of one wire, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace

from simulators.exchange import AnswerBook, Exchange
from simulators.link import Link
from simulators.modbus.framing import FrameError, Framing, Request
from simulators.modbus.station import Station

WAITING_MAX = 4096


class ModbusSession:
    """Answers the requests of one TCP connection or one serial line.

    Concurrency: called from the event loop only; owns timers, no task. Requests are answered in their
    order; while an answer is late those behind it wait. Buffer: `WAITING_MAX` bytes and one read of the
    wire; when it is full the wire is paused.
    """

    def __init__(
        self,
        link: Link,
        framing: Framing,
        stations: Mapping[int, Station],
        book: AnswerBook,
        now_ns: Callable[[], int],
        turnaround_s: float = 0.0,
    ) -> None:
        self._link = link
        self._framing = framing
        self._stations = stations
        self._book = book
        self._now_ns = now_ns
        self._turnaround_s = turnaround_s
        self._buffer = bytearray()
        self._late: tuple[Exchange, asyncio.TimerHandle] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self._is_paused = False

    def receive(self, data: bytes) -> None:
        """Take bytes and answer every request that they complete."""
        self._buffer += data
        self._answer_all()
        if self._late is not None and len(self._buffer) > WAITING_MAX and not self._is_paused:
            self._is_paused = True
            self._link.pause()

    def close(self) -> None:
        """Cancel the timers; an answer that was still to come is noted as not given."""
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._late is not None:
            exchange, timer = self._late
            timer.cancel()
            self._late = None
            self._book.record(replace(exchange, answer=None, values=dict.fromkeys(exchange.values)))

    def _answer_all(self) -> None:
        while self._late is None:
            try:
                request = self._framing.take(self._buffer)
            except FrameError:
                self._buffer.clear()
                self._link.close()
                return
            if request is None:
                break
            self._serve(request)
        self._watch_silence()

    def _watch_silence(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if self._buffer and self._late is None and self._framing.silence_s is not None:
            loop = asyncio.get_running_loop()
            self._silence = loop.call_later(self._framing.silence_s, self._on_silence)

    def _on_silence(self) -> None:
        self._silence = None
        request = self._framing.flush(self._buffer)
        if request is not None:
            self._serve(request)

    def _serve(self, request: Request) -> None:
        t_ns = self._now_ns()
        if request.unit == self._framing.broadcast_unit:
            for station in self._stations.values():
                self._book.record(station.broadcast(request, t_ns))
            return
        station_or_none = self._stations.get(request.unit)
        if station_or_none is None:
            return  # a foreign unit: never answer for somebody else
        exchange = station_or_none.exchange(request, self._framing, t_ns)
        delay_s = exchange.delay_s + self._turnaround_s
        if delay_s > 0 and exchange.answer is not None:
            timer = asyncio.get_running_loop().call_later(delay_s, self._send_late)
            self._late = (exchange, timer)
        else:
            self._send(exchange)

    def _send_late(self) -> None:
        if self._late is None:
            return
        exchange, _ = self._late
        self._late = None
        self._send(exchange)
        self._answer_all()
        if self._is_paused and self._late is None:
            self._is_paused = False
            self._link.resume()

    def _send(self, exchange: Exchange) -> None:
        self._book.record(exchange)
        if exchange.answer is not None:
            self._link.write(exchange.answer)
