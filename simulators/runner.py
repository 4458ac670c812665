"""Run a scenario: wire its instruments up, follow its schedule, take everything down again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.catalogue import AnyModbusEntry, BalanceEntry
from simulators.clock import NS_PER_S, ScenarioClock
from simulators.errors import FolderInUseError, ScenarioError
from simulators.exchange import AnswerBook
from simulators.fault_board import FaultBoard
from simulators.faults import PhysicsFault, WireFault, parse_fault
from simulators.instruments.balance import Balance
from simulators.instruments.vessel import Vessel
from simulators.link import Link, Session
from simulators.modbus.framing import RtuFraming, TcpFraming
from simulators.modbus.session import ModbusSession
from simulators.modbus.station import Station
from simulators.pty_line import PtyLine
from simulators.scenario import LineEntry, Scenario, load_scenario, with_ports
from simulators.sics.scale import Scale
from simulators.sics.session import SicsSession
from simulators.tcp_server import TcpServer

logger = logging.getLogger(__name__)

RETRY_S = 1.0
"""Pause before an instrument tries again to come back to a port that somebody has taken meanwhile."""
ENDPOINTS_FILE = "endpoints.json"
LOCK_FILE = ".run.lock"
TCP_UNITS_ANY = (0, 255)
"""Unit numbers that mean "whoever is at this address" on TCP (implementation guide, section 4.4.2)."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an instrument is reached: over TCP, over a serial line, or both."""

    instrument: str
    type: str
    serial: str
    host: str | None
    port: int | None
    path: str | None
    """Absolute path of the serial line's link."""
    baud: int | None
    unit: int | None
    """Modbus unit; None for instruments that have none."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run gave: exchanges by instrument."""

    scenario: str
    answered: Mapping[str, int]
    silent: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Wire:
    """A server and the instruments that it disconnects together."""

    server: TcpServer | PtyLine
    boards: tuple[FaultBoard, ...]

    def is_connected(self, t_ns: int) -> bool:
        return not all(board.is_disconnected(t_ns) for board in self.boards)


class ScenarioRunner:
    """A running scenario, as an async context manager.

    Concurrency: one task (the schedule of disconnections); everything else runs in callbacks of the
    loop. Memory is bounded by the limits of connections, buffers and injected faults.
    """

    def __init__(
        self,
        scenario: Scenario,
        run_dir: Path,
        answer_log: Path | None = None,
        host: str = "127.0.0.1",
        *,
        clock: ScenarioClock | None = None,
    ) -> None:
        self.scenario = scenario
        self.endpoints: dict[str, Endpoint] = {}
        self.clock = clock or ScenarioClock()
        self._run_dir = run_dir
        self._answer_log = answer_log
        self._host = host
        self._boards: dict[str, FaultBoard] = {}
        self._stations: dict[str, Station] = {}
        self._scales: dict[str, Scale] = {}
        self._dialogues: dict[str, set[SicsSession]] = {}
        self._wires: list[_Wire] = []
        self._book = AnswerBook(None)
        self._changed = asyncio.Event()
        self._supervisor: asyncio.Task[None] | None = None
        self._lock: int | None = None

    @property
    def answered(self) -> Mapping[str, int]:
        """Return the number of answers that left each instrument."""
        return self._book.answered

    @property
    def silent(self) -> Mapping[str, int]:
        """Return the number of requests that each instrument left without an answer on purpose."""
        return self._book.silent

    async def __aenter__(self) -> Self:
        """Start all instruments. Raises `ScenarioError`; then nothing is left running."""
        try:
            self._prepare_folder()
            self._build()
            self.clock.rewind()
            await self._wire_up()
        except BaseException:
            await self._take_down()
            raise
        self._write_endpoints()
        self._supervisor = asyncio.create_task(self._follow_schedule(), name="simulators: disconnections")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all instruments and remove the links of the lines."""
        await self._take_down()

    def inject(
        self,
        instrument: str,
        fault: str | WireFault | PhysicsFault,
        duration_s: float,
        **parameters: object,
    ) -> None:
        """Let a fault act from now on for `duration_s`, by its kind and parameters or as settings.

        Raises `ScenarioError` for an unknown instrument, kind or parameter.
        """
        board = self._boards.get(instrument)
        if board is None:
            raise ScenarioError(
                f"there is no instrument '{instrument}'", f"choose one of {', '.join(sorted(self._boards))}"
            )
        if isinstance(fault, str):
            fault = parse_fault(fault, instrument, {"to_s": duration_s, **parameters})
        if isinstance(fault, PhysicsFault) and fault.channel and fault.channel not in board.quantities:
            raise ScenarioError(
                f"there is no quantity '{fault.channel}' on '{instrument}'",
                f"choose one of {', '.join(board.quantities)}",
            )
        board.inject(fault, self.clock.now_ns(), duration_s)
        self._changed.set()

    def put_on(self, instrument: str, load_g: float) -> None:
        """Put a load on the pan of a balance, in place of what is there; its timeline ends with that."""
        self._scales[instrument].balance.put(self.clock.now_ns(), load_g)

    def is_at_rest(self, instrument: str) -> bool:
        """Say whether the pan of a balance has come to rest."""
        return self._scales[instrument].balance.is_at_rest(self.clock.now_ns())

    def press_print_key(self, instrument: str) -> None:
        """Press the print key of a balance: every open interface gets the weight when it is stable."""
        for session in tuple(self._dialogues[instrument]):
            session.press_print_key()

    def rewind(self) -> None:
        """Let the scenario's time begin now, so that its schedule runs from a moment that the caller chose.

        The simulated world starts again too: call it before the readings matter.
        """
        self.clock.rewind()
        for board in self._boards.values():
            board.rewind()
        for scale in self._scales.values():
            scale.balance.rewind()
        for sessions in self._dialogues.values():
            for session in tuple(sessions):
                session.rewind()
        self._changed.set()

    def _prepare_folder(self) -> None:
        """Make the run directory and take it: two runs in one would replace each other's lines."""
        try:
            self._run_dir.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._run_dir / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._book = AnswerBook(self._answer_log)
        except BlockingIOError as error:
            raise FolderInUseError(
                f"other simulators run in {self._run_dir}",
                "end them, or choose another run directory (--dir)",
            ) from error
        except OSError as error:
            raise ScenarioError(
                f"cannot write {error.filename}: {error.strerror}",
                "choose a run directory and an answer log that this user may write",
            ) from error

    def _build(self) -> None:
        seed = self.scenario.scenario.seed
        vessels = {settings.id: Vessel(settings) for settings in self.scenario.vessel}
        for entry in self.scenario.instrument:
            if isinstance(entry, BalanceEntry):
                balance = Balance(entry.settings, entry.serial, seed)
                board = self._board(entry.id, balance.quantities)
                self._scales[entry.id] = Scale(balance, board)
                self._dialogues[entry.id] = set()
            else:
                instrument = entry.build(vessels, seed)
                board = self._board(entry.id, instrument.quantities)
                self._stations[entry.id] = Station(entry.id, entry.unit, instrument, board)

    def _board(self, instrument_id: str, quantities: tuple[str, ...]) -> FaultBoard:
        board = FaultBoard(instrument_id, quantities, self.scenario.scenario.seed)
        board.schedule(self.scenario.fault)
        self._boards[instrument_id] = board
        return board

    async def _wire_up(self) -> None:
        for line in self.scenario.line:
            users = [entry for entry in self.scenario.instrument if entry.line == line.id]
            if users:
                pty = PtyLine(self._run_dir / line.path, line.baud, self._open_line(line, users))
                self._wires.append(_Wire(pty, tuple(self._boards[entry.id] for entry in users)))
        servers: dict[str, TcpServer] = {}
        for entry in self.scenario.instrument:
            if entry.tcp_port is not None:
                server = TcpServer(entry.id, self._host, entry.tcp_port, self._open_tcp(entry))
                server.bind()
                servers[entry.id] = server
                self._wires.append(_Wire(server, (self._boards[entry.id],)))
        await self._connect_wires()
        lines = {line.id: line for line in self.scenario.line}
        for entry in self.scenario.instrument:
            self.endpoints[entry.id] = self._endpoint(entry, servers.get(entry.id), lines)

    def _open_line(
        self, line: LineEntry, users: list[AnyModbusEntry | BalanceEntry]
    ) -> Callable[[Link], Session]:
        if isinstance(users[0], BalanceEntry):
            return self._open_dialogue(users[0].id)
        stations = {self._stations[e.id].unit: self._stations[e.id] for e in users}
        framing = RtuFraming(line.baud)
        return lambda link: ModbusSession(
            link, framing, stations, self._book, self.clock.now_ns, line.turnaround_s
        )

    def _open_tcp(self, entry: AnyModbusEntry | BalanceEntry) -> Callable[[Link], Session]:
        if isinstance(entry, BalanceEntry):
            return self._open_dialogue(entry.id)
        stations = dict.fromkeys((entry.unit, *TCP_UNITS_ANY), self._stations[entry.id])
        return lambda link: ModbusSession(link, TcpFraming(), stations, self._book, self.clock.now_ns)

    def _open_dialogue(self, instrument_id: str) -> Callable[[Link], Session]:
        sessions = self._dialogues[instrument_id]

        def open_session(link: Link) -> Session:
            session = SicsSession(
                instrument_id,
                link,
                self._scales[instrument_id],
                self._book,
                self.clock.now_ns,
                sessions.discard,
            )
            sessions.add(session)
            return session

        return open_session

    def _endpoint(
        self, entry: AnyModbusEntry | BalanceEntry, server: TcpServer | None, lines: Mapping[str, LineEntry]
    ) -> Endpoint:
        line = None if entry.line is None else lines[entry.line]
        return Endpoint(
            instrument=entry.id,
            type=entry.type,
            serial=entry.serial,
            host=None if server is None else self._host,
            port=None if server is None else server.port,
            path=None if line is None else str((self._run_dir / line.path).absolute()),
            baud=None if line is None else line.baud,
            unit=None if isinstance(entry, BalanceEntry) else entry.unit,
        )

    def _write_endpoints(self) -> None:
        """Write endpoints.json by a temporary name, so that a reader never sees half of it."""
        content = {
            "scenario": self.scenario.scenario.name,
            "started_t_utc_ns": time.time_ns(),
            "instruments": {name: asdict(endpoint) for name, endpoint in self.endpoints.items()},
        }
        fresh = self._run_dir / f".{ENDPOINTS_FILE}.new"
        fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        fresh.replace(self._run_dir / ENDPOINTS_FILE)

    async def _connect_wires(self) -> None:
        t_ns = self.clock.now_ns()
        for wire in self._wires:
            await wire.server.set_connected(connected=wire.is_connected(t_ns))

    async def _follow_schedule(self) -> None:
        """Connect and disconnect wires when their time has come."""
        while True:
            self._changed.clear()
            t_ns = self.clock.now_ns()
            changes = [board.next_disconnect_change_ns(t_ns) for board in self._boards.values()]
            next_ns = min((change for change in changes if change is not None), default=None)
            # A timer may fire a little early; one more millisecond saves a turn for nothing.
            timeout_s = None if next_ns is None else max(0.0, (next_ns - t_ns) / NS_PER_S) + 0.001
            try:
                await self._connect_wires()
            except ScenarioError as error:
                logger.warning("%s; trying again in %.0f s", error, RETRY_S)
                timeout_s = RETRY_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), timeout_s)

    async def _take_down(self) -> None:
        if self._supervisor is not None:
            self._supervisor.cancel()
            await asyncio.gather(self._supervisor, return_exceptions=True)
            self._supervisor = None
        for wire in self._wires:
            if isinstance(wire.server, TcpServer):
                await wire.server.close()
            else:
                wire.server.close()
        self._wires.clear()
        self._book.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


async def run_scenario(
    name_or_path: str | Path,
    run_dir: Path,
    answer_log: Path | None,
    duration_s: float | None,
    stop: asyncio.Event,
    on_ready: Callable[[Mapping[str, Endpoint]], None] | None = None,
    *,
    first_port: int = 0,
) -> RunSummary:
    """Run a scenario until `stop` is set or `duration_s` has passed, and say what it gave.

    `on_ready` is told the endpoints once all instruments answer. Instruments whose `tcp_port` is 0 take the
    ports from `first_port` on, or any free ones where that is 0 too. Raises `ScenarioError` and
    `config.errors.ConfigInvalid` before anything is started.
    """
    scenario = load_scenario(name_or_path)
    if first_port:
        scenario = with_ports(scenario, first_port)
    async with ScenarioRunner(scenario, run_dir, answer_log) as runner:
        if on_ready is not None:
            on_ready(runner.endpoints)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), duration_s)
        return RunSummary(scenario.scenario.name, dict(runner.answered), dict(runner.silent))
