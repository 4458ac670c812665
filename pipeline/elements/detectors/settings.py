"""Thresholds of the detectors: the laboratory's, written down before the work and not after it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings

_Share = Annotated[float, Field(gt=0.0, le=1.0)]


class DetectorSettings(Settings):
    """When a pattern in the records is worth a person's look."""

    identical_length: Annotated[int, Field(ge=4, le=64)] = 16
    """Successive readings that must agree bit for bit before a piece of two windows counts as the same."""

    identical_distinct: Annotated[int, Field(ge=2, le=64)] = 8
    """Different values that such a piece must hold: a constant signal repeats itself without meaning."""

    identical_shared: Annotated[int, Field(ge=1, le=32)] = 4
    """Pieces in common from which on two windows are told of."""

    identical_ignore: tuple[str, ...] = ()
    """Channels, `instrument.channel`, that repeat themselves by design and are not compared."""

    manual_share: _Share = 0.2
    """Share of hand-entered readings of a task above which it is told of."""

    sample_mass: tuple[str, ...] = ("sample_mass",)
    """Results that are the mass of a whole sample: the fingerprint by which it is known again."""

    sample_mass_tolerance: _Share = 0.02
    """Relative difference of two such masses of one sample above which it is told of."""

    signing_tolerance_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0
    """A signature may carry a time this far from the time of its record."""
