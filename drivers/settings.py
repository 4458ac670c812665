"""Settings that all instruments share. Each driver adds its own beside its code."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, EntryId, Identifier, Seconds, Settings


class ChannelSettings(Settings):
    """One quantity of an instrument."""

    name: ChannelName
    """Name in records, stores and pages."""

    unit: Annotated[str, Field(max_length=32)] = ""
    """Unit of the value, after scaling."""

    decimals: Annotated[int, Field(ge=0, le=15)] | None = None
    """Digits after the point that the instrument resolves; display only, values are never rounded."""

    low: float | None = None
    """Lower end of the measuring range, in `unit`."""

    high: float | None = None
    """Upper end of the measuring range, in `unit`."""

    qc: dict[str, Any] = Field(default_factory=dict)
    """Quality-control rules of this channel. Drivers do not look at it: the site model checks it."""

    @model_validator(mode="after")
    def _range_is_possible(self) -> Self:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise SettingError("E023", f"low = {self.low:g} is not below high = {self.high:g}", key="low")
        return self


class InstrumentSettings(Settings):
    """One instrument; `driver` chooses the subclass."""

    elsewhere: ClassVar[dict[str, str]] = {
        "profile": "a profile is copied into the site file, not named in it; see: yaosu profile use --help"
    }

    id: Identifier
    """Id of the instrument, unique in the gateway."""

    driver: str
    """Name of the driver, a key of `drivers.registry.DRIVERS`."""

    source: Literal["live", "simulated", "replayed"] = "live"
    """What stands behind the endpoint."""

    asset: EntryId | None = None
    """Id of the registered equipment that this is."""

    serial_number: Annotated[str, Field(min_length=1, max_length=128)] | None = None
    """Serial number that the device is expected to report."""

    channels: tuple[ChannelSettings, ...]
    """The quantities that it measures, in order."""

    @property
    @abstractmethod
    def endpoint(self) -> str:
        """The line that it hangs on; instruments of one line have equal endpoints."""

    @abstractmethod
    def conflict(self, other: InstrumentSettings) -> str | None:
        """Say why this instrument cannot share its endpoint with `other`; None when it can."""

    @model_validator(mode="after")
    def _channel_names_are_unique(self) -> Self:
        seen: set[str] = set()
        for channel in self.channels:
            if channel.name in seen:
                raise SettingError(
                    "E021",
                    f"channel '{channel.name}' is defined twice",
                    hint="rename one of them",
                    key="channels",
                )
            seen.add(channel.name)
        return self


class PlannedRequest(NamedTuple):
    """One request of an instrument's plan."""

    text: str
    """What it asks for, in short."""
    line_s: float
    """Time that it takes the line."""
    every: int = 1
    """It is part of every poll, or of each `every`-th."""


class PolledSettings(InstrumentSettings):
    """An instrument that is asked at a fixed interval."""

    poll_interval_s: Seconds = 1.0
    """Time between two polls."""

    timeout_s: Annotated[float, Field(ge=0.01, le=60)] = 1.0
    """Longest wait for one whole answer, beyond the time that the bytes take on the line."""

    read_identity: bool = True
    """Ask the device who it is after each connect."""

    @property
    def timed_line(self) -> bool:
        """Whether the line's speed is known, so that requests can be too many for it."""
        return False

    @property
    def rarer_s(self) -> dict[str, float]:
        """The channels that are asked for more rarely than the instrument is polled, and how often, in s."""
        return {}

    @property
    def busiest_s(self) -> float:
        """Time on the line of the poll with the most to ask for, in s."""
        return sum(request.line_s for request in self.requests())

    def requests(self) -> list[PlannedRequest]:
        """List the requests of the polls; none where they are not known."""
        return []
