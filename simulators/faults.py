"""Faults as settings: what goes wrong with an instrument, when, and how often.

Wire faults spoil the exchange and leave the physics alone; physics faults spoil the value and
leave the exchange alone. Both share one schedule: a window of scenario time that may repeat, a
probability for each exchange in it, and a limit to the number of exchanges hit in one window.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from config.model import Settings
from simulators.errors import ScenarioError


class FaultWindow(Settings):
    """When a fault acts, in seconds of scenario time."""

    instrument: str
    """Id of the instrument that it befalls."""
    from_s: float = Field(default=0.0, ge=0)
    """Begin of the (first) window."""
    to_s: float | None = Field(default=None, gt=0)
    """End of the (first) window, not included; without it the fault lasts."""
    every_s: float | None = Field(default=None, gt=0)
    """The window comes again after this time."""
    probability: float = Field(default=1.0, gt=0, le=1)
    """Chance of each exchange in the window to be hit."""
    count: int | None = Field(default=None, ge=1)
    """At most so many exchanges are hit in one window."""

    @model_validator(mode="after")
    def _window_is_possible(self) -> Self:
        if self.to_s is not None and self.to_s <= self.from_s:
            msg = f"to_s = {self.to_s} is not after from_s = {self.from_s}"
            raise ValueError(msg)
        if self.every_s is not None and (self.to_s is None or self.to_s - self.from_s > self.every_s):
            msg = f"a fault that comes every {self.every_s} s needs a to_s within that time of from_s"
            raise ValueError(msg)
        return self


class NoAnswer(FaultWindow):
    """The request gets no answer."""

    kind: Literal["no_answer"] = "no_answer"


class LateAnswer(FaultWindow):
    """The answer is right and comes late; requests behind it wait."""

    kind: Literal["late"] = "late"
    delay_s: float = Field(default=2.0, gt=0, le=60)
    """How late it is."""


class ExceptionAnswer(FaultWindow):
    """The instrument refuses: a Modbus exception, `EL` on a balance."""

    kind: Literal["exception"] = "exception"
    code: int = Field(default=4, ge=1, le=11)
    """Modbus exception code: 4 is device failure, 6 busy."""


class BadCrc(FaultWindow):
    """The check fails: CRC on RTU, transaction id on TCP; a balance answers `ET`."""

    kind: Literal["bad_crc"] = "bad_crc"


class TruncatedAnswer(FaultWindow):
    """The answer breaks off in the middle."""

    kind: Literal["truncated"] = "truncated"


class GarbageAnswer(FaultWindow):
    """Line noise comes instead of the answer."""

    kind: Literal["garbage"] = "garbage"


class Disconnect(FaultWindow):
    """The instrument leaves the line: TCP connections are closed and new ones refused.

    On a serial line it falls silent; a line whose every instrument is gone hangs up.
    """

    kind: Literal["disconnect"] = "disconnect"


class PhysicsWindow(FaultWindow):
    """A fault of the measured value."""

    channel: str = ""
    """The quantity that is hit; empty: the instrument's first."""


class Spike(PhysicsWindow):
    """One wrong value; limited to one reading in a window unless `count` says otherwise."""

    kind: Literal["spike"] = "spike"
    magnitude: float
    """Added to the true value, in its unit."""
    count: int | None = Field(default=1, ge=1)
    """At most so many readings are hit in one window."""


class Drift(PhysicsWindow):
    """The value runs away linearly from the begin of the window."""

    kind: Literal["drift"] = "drift"
    rate_per_s: float


class Stuck(PhysicsWindow):
    """The value freezes at what it was at the begin of the window, raw code and noise included."""

    kind: Literal["stuck"] = "stuck"


class Repeat(PhysicsWindow):
    """What was measured some time ago is measured again, noise and all."""

    kind: Literal["repeat"] = "repeat"
    ago_s: float = Field(gt=0)
    """How long ago; a multiple of the converter's period gives the same readings to the bit."""


class ExtraNoise(PhysicsWindow):
    """Normal noise is added."""

    kind: Literal["noise"] = "noise"
    sigma: float = Field(gt=0)


class Dropout(PhysicsWindow):
    """The instrument answers that it has no value (sentinel, `S I`)."""

    kind: Literal["dropout"] = "dropout"


class Offset(PhysicsWindow):
    """The value steps by a constant."""

    kind: Literal["offset"] = "offset"
    step: float


class Excursion(PhysicsWindow):
    """The measured thing itself leaves its place and comes back: a raised cosine over the window."""

    kind: Literal["excursion"] = "excursion"
    peak: float
    """Height of the excursion in the middle of the window."""

    @model_validator(mode="after")
    def _has_an_end(self) -> Self:
        if self.to_s is None:
            msg = "an excursion needs a to_s"
            raise ValueError(msg)
        return self


WireFault = NoAnswer | LateAnswer | ExceptionAnswer | BadCrc | TruncatedAnswer | GarbageAnswer | Disconnect
PhysicsFault = Spike | Drift | Stuck | Repeat | ExtraNoise | Dropout | Offset | Excursion
Fault = Annotated[WireFault | PhysicsFault, Field(discriminator="kind")]

_ADAPTER: TypeAdapter[WireFault | PhysicsFault] = TypeAdapter(Fault)


def parse_fault(kind: str, instrument: str, parameters: dict[str, object]) -> WireFault | PhysicsFault:
    """Build a fault from its kind and parameters; raise `ScenarioError` when they do not fit."""
    try:
        return _ADAPTER.validate_python({"kind": kind, "instrument": instrument, **parameters})
    except ValidationError as error:
        raise ScenarioError(
            f"fault '{kind}' on '{instrument}' is not possible: {error.errors()[0]['msg']}",
            "see the kinds and their parameters in simulators/faults.py",
        ) from error
