"""Settings of Modbus instruments by the kind of line that they hang on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from config.model import FilePath, Port
from config.tls import TlsSettings
from drivers.modbus.cost import NETWORK_COST, ascii_cost, rtu_cost, silence_s
from drivers.modbus.settings import ModbusSettings
from drivers.transport import SerialParameters

if TYPE_CHECKING:
    from drivers.modbus.cost import LineCost
    from drivers.settings import InstrumentSettings


class NetworkSettings(ModbusSettings):
    """A device on the network."""

    host: Annotated[str, Field(min_length=1, max_length=253)]
    """Name or address."""

    port: Port = 502
    """Port."""

    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """Unit number; devices that are no gateway often want 1 or 255."""

    def conflict(self, other: InstrumentSettings) -> str | None:
        """Say why the two cannot share a connection."""
        return self._unit_conflict(other)

    def cost(self, answer_s: float | None = None) -> LineCost:  # noqa: ARG002 - a round trip more or less
        """Return what requests cost on a network."""
        return NETWORK_COST


class StreamSettings(NetworkSettings):
    """A device that is connected to."""

    connect_timeout_s: Annotated[float, Field(ge=0.05, le=60)] = 3.0
    """Longest wait for a connection."""

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"tcp:{self.host.lower()}:{self.port}"


class ModbusTcpSettings(StreamSettings):
    """A Modbus TCP device, or one unit behind a gateway: units of one host and port share a connection."""

    driver: Literal["modbus-tcp"] = "modbus-tcp"

    tls: TlsSettings | None = None
    """Modbus Security (usually port 802): the device's certificate is checked, ours is shown."""

    connections: Annotated[int, Field(ge=1, le=16)] = 1
    """Connections to this host and port at once; its units are dealt over them. Few devices allow several."""

    def conflict(self, other: InstrumentSettings) -> str | None:
        """Say why the two cannot share a connection."""
        if isinstance(other, ModbusTcpSettings) and (self.tls, self.connections) != (
            other.tls, other.connections,
        ):  # fmt: skip
            return f"'{other.id}' uses {self.endpoint} with other settings of tls or connections"
        return super().conflict(other)


class ModbusUdpSettings(NetworkSettings):
    """A device that takes Modbus TCP frames as UDP datagrams."""

    driver: Literal["modbus-udp"] = "modbus-udp"

    @property
    def endpoint(self) -> str:
        """Host and port."""
        return f"udp:{self.host.lower()}:{self.port}"


class ModbusRtuTcpSettings(StreamSettings):
    """One unit of an RTU line behind a serial device server: RTU frames, checksum and all, through TCP."""

    driver: Literal["modbus-rtu-tcp"] = "modbus-rtu-tcp"

    port: Port
    """Port of the device server; there is no usual one."""

    unit: Annotated[int, Field(ge=1, le=247)] = 1
    """Unit number; 0 is the broadcast and never answers."""

    baudrate: Annotated[int, Field(ge=300, le=4_000_000)] = 9600
    """Bits per second of the line behind the server, for the plan of the requests."""

    @property
    def timed_line(self) -> bool:
        """Whether the line's speed is known: it is, by the baud rate."""
        return True

    def cost(self, answer_s: float | None = None) -> LineCost:
        """Return what requests cost on the line behind the server, at 11 bits a character."""
        character_s = 11 / self.baudrate
        return rtu_cost(character_s, silence_s(self.baudrate, character_s), answer_s)


class SerialSettings(ModbusSettings):
    """One unit of a serial line. All units of a port have the same line settings."""

    port: FilePath
    """Serial port; prefer the stable names in /dev/serial/by-id."""

    unit: Annotated[int, Field(ge=1, le=247)] = 1
    """Unit number; 0 is the broadcast and never answers."""

    baudrate: Annotated[int, Field(ge=300, le=4_000_000)] = 9600
    """Bits per second."""

    bytesize: Literal[7, 8] = 8
    """Data bits of a character."""

    parity: Literal["N", "E", "O"] = "N"
    """None, even or odd."""

    stopbits: Literal[1, 2] = 1
    """Stop bits."""

    turnaround_s: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Extra quiet time before each request, for slow devices; 3.5 characters are always kept."""

    @property
    def endpoint(self) -> str:
        """The port behind all symbolic links."""
        return f"serial:{os.path.realpath(self.port)}"

    @property
    def timed_line(self) -> bool:
        """Whether the line's speed is known: it is, by the baud rate."""
        return True

    @property
    def quiet_s(self) -> float:
        """Quiet time before each request, in s."""
        return silence_s(self.baudrate, self.serial().character_s) + self.turnaround_s

    def serial(self) -> SerialParameters:
        """Return how the port is to be set."""
        return SerialParameters(
            port=self.port, baudrate=self.baudrate, bytesize=self.bytesize, parity=self.parity,
            stopbits=self.stopbits,
        )  # fmt: skip

    def conflict(self, other: InstrumentSettings) -> str | None:
        """Say why the two cannot share a port."""
        if isinstance(other, SerialSettings) and (self.serial(), self.turnaround_s) != (
            other.serial(), other.turnaround_s,
        ):  # fmt: skip
            return f"'{other.id}' uses {self.port} with other line settings"
        return self._unit_conflict(other)


class ModbusRtuSettings(SerialSettings):
    """One unit of a Modbus RTU line."""

    driver: Literal["modbus-rtu"] = "modbus-rtu"

    bytesize: Literal[8] = 8
    """Data bits of a character: RTU needs all eight."""

    def cost(self, answer_s: float | None = None) -> LineCost:
        """Return what requests cost on this line."""
        return rtu_cost(self.serial().character_s, self.quiet_s, answer_s)


class ModbusAsciiSettings(SerialSettings):
    """One unit of a Modbus ASCII line."""

    driver: Literal["modbus-ascii"] = "modbus-ascii"

    bytesize: Literal[7, 8] = 7
    """Data bits of a character; the standard says 7."""

    def cost(self, answer_s: float | None = None) -> LineCost:
        """Return what requests cost on this line."""
        return ascii_cost(self.serial().character_s, self.quiet_s, answer_s)
