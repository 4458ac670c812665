"""Table of a line of a method's QC plan in a registry file."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import Settings
from pipeline.elements.qc_shapes import QcItem
from pipeline.elements.registry_base import Positive, ShortText
from pipeline.elements.vocabulary import QcKind, Score
from pipeline.qc.control.settings import MultiruleQc


class QcItemSettings(Settings):
    """One line of the QC plan."""

    kind: QcKind
    """Which control."""
    quantity: ShortText | None = None
    """Result that it is about; without it every one."""
    per_batch: Annotated[int, Field(ge=1, le=100)] | None = None
    """At least so many in each batch."""
    every: Annotated[int, Field(ge=1, le=500)] | None = None
    """At most so many samples of a batch between two of them."""
    interval_h: Positive | None = None
    """At most so many hours between two of them on an instrument."""
    opening: bool = False
    """The first sample of a batch comes after one."""
    closing: bool = False
    """The last sample of a batch comes before one."""
    score: Score | None = None
    """What is judged; without it what is usual for the kind."""
    low: float | None = None
    """Lower limit of the figure."""
    high: float | None = None
    """Upper limit of the figure: of a blank in the unit of the result, of a difference or recovery in %."""
    sigma: Positive | None = None
    """Standard deviation for proficiency assessment, for z and z'."""
    warn: tuple[ShortText, ...] = ("1-2s",)
    """Control rules that mark a QC sample."""
    reject: tuple[ShortText, ...] = ("1-3s", "2-2s", "R-4s", "4-1s", "10x")
    """Control rules that reject it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        MultiruleQc(warn=self.warn, reject=self.reject)
        if not (self.per_batch or self.every or self.interval_h or self.opening or self.closing):
            raise SettingError(
                "E020", f"a {self.kind} is planned and never due", key="kind",
                hint="say when: per_batch, every, interval_h, opening or closing",
            )  # fmt: skip
        return self

    def shape(self) -> QcItem:
        """Give the record's data."""
        facts = dict(self)
        hours = facts.pop("interval_h")
        return QcItem(**facts, interval_s=None if hours is None else hours * 3600)
