"""A serial port as a wire: pyserial sets the port up, the event loop reads and writes its descriptor.

pyserial's own reads would need a thread; the descriptor is non-blocking, so `add_reader` serves under
asyncio's loop and under uvloop alike.
"""

from __future__ import annotations

import asyncio
import os
import termios
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import serial

from drivers.errors import LinkDown
from drivers.transport.tcp import describe
from drivers.transport.wire import Inbox

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Clock

_READ_BYTES = 4096
_UNSENT_BYTES_MAX = 4096
_PTY_MAJORS = frozenset({3, *range(136, 144)})


@dataclass(frozen=True, slots=True)
class SerialParameters:
    """How a port is set; equal for all instruments of one line."""

    port: Path
    baudrate: int = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    xonxoff: bool = False

    @property
    def character_s(self) -> float:
        """Time of one character on the line, in s: start bit, data, parity, stop bits."""
        return (1 + self.bytesize + (self.parity != "N") + self.stopbits) / self.baudrate


def is_pseudo_terminal(descriptor: int) -> bool:
    """Tell whether an open device is the slave of a pseudo-terminal: at its other end is a program.

    Majors of Linux (Documentation/admin-guide/devices.txt): 136 to 143 Unix98 slaves, 3 those of BSD.
    """
    return os.major(os.fstat(descriptor).st_rdev) in _PTY_MAJORS


class SerialWire:
    """One open port; made by `open_serial`."""

    def __init__(self, port: serial.Serial, clock: Clock, endpoint: str) -> None:
        self.inbox = Inbox(clock)
        self._port = port
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = port.fileno()
        self.inbox.pseudo_terminal = is_pseudo_terminal(self._descriptor)
        self._unsent = bytearray()
        self._loop.add_reader(self._descriptor, self._read)

    def write(self, data: bytes) -> None:
        """Send bytes without waiting. Raises LinkDown when the port is gone or takes no more bytes."""
        if self.inbox.lost is not None or self._descriptor is None:
            raise self.inbox.lost or LinkDown("the port is closed", endpoint=self._endpoint)
        if len(self._unsent) + len(data) > _UNSENT_BYTES_MAX:
            raise LinkDown(
                "the port takes no more bytes", endpoint=self._endpoint, hint="check flow control (XOFF)"
            )
        idle = not self._unsent
        self._unsent += data
        self._write()
        if idle and self._unsent and self._descriptor is not None:
            self._loop.add_writer(self._descriptor, self._write)
        if self.inbox.lost is not None:
            raise self.inbox.lost

    def close(self) -> None:
        """Close the port; closing twice is harmless."""
        self._end(LinkDown("the port is closed", endpoint=self._endpoint))

    def _read(self) -> None:
        if self._descriptor is None:
            return
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._unplugged(error)
            return
        if data:
            self.inbox.feed(data)
        else:
            self._unplugged(None)

    def _write(self) -> None:
        if self._descriptor is None:
            return
        try:
            del self._unsent[: os.write(self._descriptor, self._unsent)]
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._unplugged(error)
            return
        if not self._unsent:
            self._loop.remove_writer(self._descriptor)

    def _unplugged(self, error: OSError | None) -> None:
        reason = "the port hung up" if error is None else f"the port failed: {describe(error)}"
        self._end(LinkDown(reason, endpoint=self._endpoint, hint="check the plug and the USB adapter"))

    def _end(self, reason: LinkDown) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
            try:
                self._port.close()
            except (OSError, termios.error, serial.SerialException):
                # A port that was pulled out may refuse even to be closed; its descriptor is released all the
                # same.
                self._port.fd = None
        self.inbox.fail(reason)


def open_serial(parameters: SerialParameters, *, clock: Clock) -> SerialWire:
    """Open a port for this process alone. Raises LinkDown.

    Does not block: pyserial opens with O_NONBLOCK.
    """
    endpoint = str(parameters.port)
    try:
        port = serial.Serial(
            endpoint,
            baudrate=parameters.baudrate,
            bytesize=parameters.bytesize,
            parity=parameters.parity,
            stopbits=parameters.stopbits,
            xonxoff=parameters.xonxoff,
            timeout=0,
            write_timeout=0,
            exclusive=True,
        )
    # A pty with parity raises termios.error, an impossible baud rate ValueError.
    except (serial.SerialException, termios.error, OSError, ValueError) as error:
        raise LinkDown(
            f"cannot open the port: {_reason(error)}", endpoint=endpoint, hint=_hint(error)
        ) from error
    return SerialWire(port, clock, endpoint)


def _reason(error: Exception) -> str:
    if isinstance(error, termios.error):
        return str(error.args[-1])
    return os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)


def _hint(error: Exception) -> str:
    if isinstance(error, FileNotFoundError) or getattr(error, "errno", None) == 2:
        return "check that the adapter is plugged in: ls -l /dev/serial/by-id"
    if getattr(error, "errno", None) == 13:
        return "add the service's user to the group of the port: ls -l PORT"
    if isinstance(error, termios.error | ValueError):
        return "the port does not take these line settings"
    return "another program may hold the port: fuser -v PORT"
