"""Tables of corrections in a registry file, as a calibration certificate lists them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import ChannelName, EntryId, Settings
from pipeline.corrections import Correction, CorrectionPoint
from pipeline.elements.registry_base import EntrySettings, NotNegative, Positive, ShortText
from pipeline.qc.control.decimals import exact, nearest

ONE_A_ROW = "one_a_row"
"""Mark of a list of tables that a CSV file spreads over rows of one entry, a row for each."""


class CorrectionPointSettings(Settings):
    """A calibration point: a reading with what the certificate states of it."""

    reading: float
    """What the instrument showed."""
    reference: float | None = None
    """Value of the standard, where the certificate gives that."""
    correction: float | None = None
    """Reference minus reading (修正值), where the certificate gives that."""
    error: float | None = None
    """Reading minus reference (示值误差), where the certificate gives that."""
    uncertainty: NotNegative | None = None
    """Expanded uncertainty U at this point."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(value is not None for value in (self.reference, self.correction, self.error)) != 1:
            told = "a point has one of reference, correction and error"
            raise SettingError("E020", told, key="reading", hint="give the one that the certificate states")
        return self

    def shape(self) -> CorrectionPoint:
        """Give the record's data; differences are taken of the decimals as they are written."""
        if self.reference is not None:
            found = exact(self.reference) - exact(self.reading)
        else:
            found = exact(self.correction) if self.correction is not None else -exact(self.error or 0.0)
        return CorrectionPoint(self.reading, nearest(found), self.uncertainty)


class CorrectionSettings(EntrySettings):
    """A correction of one channel, from a certificate."""

    equipment: EntryId
    """Asset whose readings it corrects; its channel names this id as its correction."""
    channel: ChannelName
    """Channel of its instrument."""
    certificate: ShortText
    """Number of the certificate that states it."""
    kind: Literal["offset", "linear", "polynomial", "table"]
    """How corrected values come from readings x: x + offset, gain x + offset, a0 + a1 x + ..., points."""
    unit: str = ""
    """Unit of all figures: as the channel states its own."""
    low: float | None = None
    """Lower end of the range of readings; of a table its first point."""
    high: float | None = None
    """Upper end of the range of readings; of a table its last point."""
    offset: float = 0.0
    """What is added."""
    gain: float = 1.0
    """What readings are multiplied with."""
    coefficients: tuple[float, ...] = ()
    """Of a polynomial: a0, a1, a2, ..."""
    points: Annotated[tuple[CorrectionPointSettings, ...], Field(json_schema_extra={ONE_A_ROW: True})] = ()
    """Of a table, in rising order of the reading."""
    uncertainty: NotNegative | None = None
    """Expanded uncertainty U over the range, where points state none of their own."""
    k: Positive = 2.0
    """Coverage factor of U."""
    degrees_of_freedom: Positive | None = None
    """Effective degrees of freedom of U, where the certificate states them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.kind != "table" and (self.low is None or self.high is None):
            told = "low and high are missing: a certificate speaks of the range that was calibrated"
            raise SettingError("E020", told, key="kind", hint="give both, in the unit of the readings")
        if self.kind == "table" and not self.points:
            hint = "list them: points = [{ reading = 0, correction = 0.0001 }, ...]; in CSV a row for each"
            raise SettingError("E020", "a table has points", key="kind", hint=hint)
        problem = self.shape().problem()
        if problem is not None:
            key = "points" if self.points else "kind"
            raise SettingError("E020", problem, key=key, hint="compare it with the certificate")
        return self

    def shape(self) -> Correction:
        """Give the record's data."""
        points = tuple(point.shape() for point in self.points)
        first = points[0].reading if points else 0.0
        last = points[-1].reading if points else 0.0
        return Correction(
            equipment=self.equipment, channel=self.channel, certificate=self.certificate, kind=self.kind,
            low=first if self.low is None else self.low, high=last if self.high is None else self.high,
            unit=self.unit, offset=self.offset, gain=self.gain, coefficients=self.coefficients, points=points,
            uncertainty=self.uncertainty, k=self.k, degrees_of_freedom=self.degrees_of_freedom,
        )  # fmt: skip
