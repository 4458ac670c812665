"""Weights and thresholds of the operational risk index."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from config.model import Settings

_Weight = Annotated[float, Field(ge=0.0, le=1000.0)]


class RiskSettings(Settings):
    """What counts how much, how fast it fades, and from where on a subject wants attention."""

    half_life_days: Annotated[float, Field(gt=0, le=3660)] = 30.0
    """An event counts half as much after this time; so does work done."""

    minimum_tasks: Annotated[float, Field(ge=1, le=100_000)] = 10.0
    """Tasks that a rate is taken over at least: one event in one task is no rate of 100 %."""

    weights: dict[str, _Weight] = Field(default_factory=dict)
    """Weight by code of event or reason, in place of the one that the program brings."""

    hold_weight: _Weight = 3.0
    """Weight of a reason that holds and has no weight of its own."""

    not_evaluated_weight: _Weight = 3.0
    """Weight of a missing fact: as much as a breach, since nobody can tell it from one."""

    flag_weight: _Weight = 0.5
    """Weight of a reason that only marks."""

    gap_hour_weight: _Weight = 1.0
    """Weight of one hour without polls of an instrument; a gap that lasts counts as long as it does."""

    attention_from: Annotated[float, Field(gt=0)] = 50.0
    """Index, weighted events in 100 tasks, from which on a subject wants attention."""

    action_from: Annotated[float, Field(gt=0)] = 150.0
    """Index from which on it wants action."""

    leave_share: Annotated[float, Field(gt=0, le=1)] = 0.7
    """A level is left below this share of the threshold at which it is entered."""

    @model_validator(mode="after")
    def _in_order(self) -> RiskSettings:
        if self.action_from <= self.attention_from:
            raise ValueError(
                f"action_from ({self.action_from:g}) is not above attention_from ({self.attention_from:g})"
            )
        return self
