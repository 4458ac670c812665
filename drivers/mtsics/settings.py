"""Settings of MT-SICS balances."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import FilePath, Port
from drivers.settings import ChannelSettings, PolledSettings
from drivers.transport import SerialParameters

if TYPE_CHECKING:
    from drivers.settings import InstrumentSettings

CHANNELS = ("weight", "stable")


class MtsicsSettings(PolledSettings):
    """A balance, at a serial port (`serial_port`) or at a TCP address (`host`)."""

    driver: Literal["mtsics"] = "mtsics"

    channels: Annotated[tuple[ChannelSettings, ...], Field(max_length=2)] = ()
    """`weight` and `stable`, each needed only for limits. The unit in force is what the balance says."""

    serial_port: FilePath | None = None
    """Serial port; prefer the stable names in /dev/serial/by-id."""

    baudrate: Annotated[int, Field(ge=300, le=115_200)] = 9600
    """Bits per second."""

    bytesize: Literal[7, 8] = 8
    """Data bits."""

    parity: Literal["N", "E", "O"] = "N"
    """None, even or odd."""

    stopbits: Literal[1, 2] = 1
    """Stop bits."""

    xonxoff: bool = True
    """Flow control by XON/XOFF, the factory setting of most balances."""

    host: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Name or address of a balance with a network interface."""

    port: Port = 8001
    """TCP port."""

    connect_timeout_s: Annotated[float, Field(ge=0.05, le=60)] = 3.0
    """Longest wait for a TCP connection."""

    command: Literal["SI", "S"] = "SI"
    """`SI`: the value now, stable or not. `S`: the next stable value; `timeout_s` must be long enough."""

    keep_raw: bool = True
    """Record the balance's own line beside the values."""

    @model_validator(mode="after")
    def _has_one_endpoint(self) -> Self:
        if (self.serial_port is None) == (self.host is None):
            raise SettingError(
                "E020", "a balance is at a serial port or at a host", hint="give either serial_port or host"
            )
        for channel in self.channels:
            if channel.name not in CHANNELS:
                raise SettingError(
                    "E025",
                    f"a balance has no channel '{channel.name}'",
                    hint="weight or stable",
                    key="channels",
                )
        return self

    @property
    def endpoint(self) -> str:
        """The port behind all symbolic links, or host and port."""
        if self.host is not None:
            return f"tcp:{self.host.lower()}:{self.port}"
        return f"serial:{os.path.realpath(self.serial_port or '')}"

    def channel(self, name: str) -> ChannelSettings:
        """Return the settings of one channel, empty ones when it is left out."""
        return next((one for one in self.channels if one.name == name), ChannelSettings(name=name))

    def serial(self) -> SerialParameters | None:
        """Return how the port is to be set; None over TCP."""
        if self.serial_port is None:
            return None
        return SerialParameters(
            self.serial_port, self.baudrate, self.bytesize, self.parity, self.stopbits, self.xonxoff
        )

    def conflict(self, other: InstrumentSettings) -> str | None:
        """Say why the two cannot share an endpoint: a balance shares with nobody."""
        return f"'{other.id}' uses {self.endpoint} too, and a balance needs its line alone"
