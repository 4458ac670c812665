"""The file format of a device profile, and the profiles that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, StringConstraints

from config.errors import ConfigInvalid, Finding
from config.loader import Loaded, load_toml
from config.model import ChannelName, Identifier, Settings
from config.validation import did_you_mean
from drivers.modbus.channel import ModbusChannel

FOLDER = Path(__file__).parent
"""Where the profiles lie that come along."""
Driver = Literal["modbus-tcp", "modbus-udp", "modbus-rtu", "modbus-rtu-tcp", "modbus-ascii"]
Sentence = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class ProfileHead(Settings):
    """What the profile is of, and where its numbers come from."""

    name: Identifier
    """Name of the profile; the file is called after it."""

    vendor: Annotated[str, Field(max_length=120)] = ""
    """Who makes the device."""

    model: Annotated[str, Field(max_length=120)] = ""
    """Type or series."""

    source: Annotated[str, Field(max_length=2000)] = ""
    """Document with its edition and page, or repository and path, that the registers were taken from."""

    notes: tuple[Sentence, ...] = ()
    """What whoever connects the device should know."""


class ProfileLine(Settings):
    """How the device is set when it leaves the factory; the driver's own settings check the values."""

    driver: Driver
    """Kind of line."""

    unit: int | None = None
    """Unit number."""

    port: int | None = None
    """TCP or UDP port, for devices on a network."""

    baudrate: int | None = None
    """Bits per second."""

    bytesize: int | None = None
    """Data bits of a character."""

    parity: str | None = None
    """"N", "E" or "O"."""

    stopbits: int | None = None
    """Stop bits."""

    turnaround_s: float | None = None
    """Extra quiet time before each request."""

    timeout_s: float | None = None
    """Longest wait for one whole answer."""

    poll_interval_s: float | None = None
    """Time between two polls."""

    block_registers_max: int | None = None
    """Registers that the device gives in one answer."""

    gap_registers_max: int | None = None
    """Unused registers that may be read along."""

    holes: tuple[tuple[int, int], ...] | None = None
    """First and last address of ranges that the device forbids to read."""

    read_identity: bool | None = None
    """Whether the device answers function 43/14."""

    serial_object: int | None = None
    """Object of the device identification that holds the serial number."""

    def given(self) -> dict[str, Any]:
        """Return the keys that the file gives."""
        return self.model_dump(exclude_none=True)


class Example(Settings):
    """One exchange, and what it has to say: the test of the profile."""

    source: Sentence
    """Where the bytes come from: a page of the document, a recording of the device, or a calculation."""

    framing: Literal["rtu", "tcp", "pdu"] = "rtu"
    """Whole RTU frames with their checksums, whole Modbus TCP frames, or function and data alone."""

    request: Sentence
    """Bytes that are sent, in hexadecimal."""

    answer: Sentence
    """Bytes that the device answers, in hexadecimal."""

    values: dict[ChannelName, float | int | str] = Field(default_factory=dict)
    """What the channels have to read."""

    status: dict[ChannelName, Literal["unavailable", "wrong_answer"]] = Field(default_factory=dict)
    """The channels for which the device says that there is no value."""


class Profile(Settings):
    """A whole profile file."""

    profile: ProfileHead
    line: ProfileLine
    channels: Annotated[tuple[ModbusChannel, ...], Field(max_length=4096)]
    """The register map, as in a site file."""
    examples: Annotated[tuple[Example, ...], Field(max_length=256)] = ()
    """Exchanges that prove it."""


LoadedProfile: TypeAlias = Loaded[Profile]


def list_profiles(folder: Path = FOLDER) -> list[Path]:
    """Return the files of the profiles that come along, by name."""
    return sorted(folder.glob("*.toml"))


def load_profile(name: str) -> LoadedProfile:
    """Load a profile that comes along by its name, or any other one by its path.

    Raises ConfigInvalid with all findings, or because there is no such profile.
    """
    path = Path(name)
    if path.suffix != ".toml":
        known = [each.stem for each in list_profiles()]
        if name not in known:
            advice = did_you_mean(name, known) or "see them all: yaosu profile list"
            raise ConfigInvalid(
                [Finding("E001", "error", name, None, None, "there is no profile of this name", advice)]
            )
        path = FOLDER / f"{name}.toml"
    return load_toml(path, Profile)
