"""When alarms call for more people, and whom they are told to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from config.model import CredentialRef, Seconds, Settings


class WebhookSettings(Settings):
    """An HTTP address that every change of an alarm is posted to."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@]+$", max_length=500)]
    """Address, without user name or password in it."""
    token: CredentialRef | None = None
    """Sent as `Authorization: Bearer`."""
    severity_min: Literal["warning", "alarm"] = "warning"
    """Alarms below this are not posted."""
    timeout: Seconds = 10.0
    """Seconds that an answer is waited for."""
    retry_first: Seconds = 2.0
    """Seconds until the second try; doubled each time."""
    retry_max: Seconds = 300.0
    """Longest time between two tries."""


class AlarmSettings(Settings):
    """How long an alarm may wait."""

    escalate_alarm: Seconds = 600.0
    """An alarm of severity `alarm` that nobody acknowledges goes one level up after so many seconds."""
    escalate_warning: Seconds = 3600.0
    """The same of severity `warning`."""
    levels: int = Field(default=3, ge=0, le=9)
    """Highest level."""
    close_within: Seconds = 86400.0
    """An alarm that is acknowledged and not closed goes one level up after so many seconds, once."""
    webhook: WebhookSettings | None = None
    """Where alarms are posted to."""
