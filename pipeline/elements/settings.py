"""Thresholds of the element checks that are the laboratory's and not a method's."""

from __future__ import annotations

from pydantic import Field

from config.model import Seconds, Settings
from pipeline.elements.alarms.settings import AlarmSettings
from pipeline.elements.detectors.settings import DetectorSettings
from pipeline.elements.risk.settings import RiskSettings
from pipeline.elements.triggers.settings import TriggerSettings


class ElementsSettings(Settings):
    """How tasks are judged and how long their end is waited for."""

    expiring_days: int = Field(default=30, ge=0, le=366)
    """A certificate or authorisation that ends within this many days after the work is marked."""

    settle: Seconds = 5.0
    """Seconds after the end of a task within which rows of its window can still arrive."""

    decide_limit: Seconds = 600.0
    """Seconds after the end of a task after which rows that no rule has decided count as not evaluated."""

    retained_tasks: int = Field(default=1000, ge=1, le=100_000)
    """Finished tasks kept in memory; older ones are in the store. Held ones are always kept."""

    recent_keys: int = Field(default=4096, ge=16, le=1_000_000)
    """Idempotency keys of commands that are kept in memory; the index over the ledger has all of them."""

    detectors: DetectorSettings = DetectorSettings()
    """Patterns in the records that are told of."""

    triggers: TriggerSettings = TriggerSettings()
    """What opens the raw window of a task to a regulator."""

    alarms: AlarmSettings = AlarmSettings()
    """How long an alarm may wait, and whom it is told to."""

    risk: RiskSettings = RiskSettings()
    """Weights and thresholds of the operational risk index."""
