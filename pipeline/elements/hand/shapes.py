"""Body of `entry` records. Its words are part of the record format: append only."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.elements.shapes import Actor


@dataclass(frozen=True, slots=True)
class Entry:
    """One reading as a person took it from an instrument's display, or what replaces an earlier one."""

    task: str
    instrument: str
    channel: str
    text: str
    """The figures exactly as they were typed: `12.50` keeps its resolution."""
    value: float
    """The double nearest to `text`."""
    unit: str
    decimals: int
    """Digits after the point of `text`."""
    at_run_ns: int
    """When it was read, gateway time."""
    at_utc_ns: int
    foreseen: bool
    """The method lets this channel be entered by hand: otherwise it is kept and counts for nothing."""
    late: bool
    """Entered under an earlier time than its own, or after the work."""
    reason: str
    """Why by hand; of a correction, why it is corrected."""
    actor: Actor
    serial: str | None = None
    """Serial number on the plate of the instrument, where the person read it."""
    photo_sha256: str | None = None
    """SHA-256 of a photograph of the display, kept by the laboratory."""
    corrects: int | None = None
    """Seq of the entry that this one replaces; that one stays readable."""
    was: str = ""
    """What is corrected, figures and unit, as they stood."""
    correction: str = ""
    """The certificate's correction that was applied, as frames name it; "": none."""
    corrected: float | None = None
    """What it makes of the value; None: there is none, or the value is outside of its range."""
    uncorrected: str = ""
    """Why a registered correction was not applied."""

    @property
    def counting(self) -> float | None:
        """The value that counts: corrected where there is a correction, as for readings by the gateway."""
        return self.corrected if self.correction else self.value

    @property
    def target(self) -> str:
        """Name as in bindings: `instrument.channel`."""
        return f"{self.instrument}.{self.channel}"
