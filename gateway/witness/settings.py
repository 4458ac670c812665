"""Settings of the witness."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from config.model import Seconds, Settings
from pipeline.evidence.policy import LOG, read_key
from pipeline.journal.note import checked_name

ORIGIN_PARTS = ("yaosu", "lab", "gateway")


def _log_key(text: str) -> str:
    parts = read_key(text, LOG).name.split("/")
    if len(parts) != len(ORIGIN_PARTS) or parts[0] != ORIGIN_PARTS[0]:
        raise ValueError("the key of a gateway's log is named yaosu/LAB/GATEWAY; see: yaosu keys show")
    return text


class WitnessedLog(Settings):
    """One gateway that is witnessed."""

    key: Annotated[str, AfterValidator(_log_key)]
    """Public key of the gateway's log, as `yaosu keys show` prints it there: name, hash and key."""


class WitnessSettings(Settings):
    """Who witnesses, and whom."""

    operator: Annotated[str, Field(min_length=1, max_length=120)]
    """The organisation that runs this witness and answers for it."""
    name: Annotated[str, Field(max_length=255), AfterValidator(checked_name)]
    """Name of the witness's key, such as `witness.metrology.example/w1`; for its successors, no other key."""
    period_s: Seconds = 60.0
    """Shortest time between two cosignatures of one log."""
    answer_s: Seconds = 15.0
    """A gateway that has not answered for so long is asked again at the next turn."""
    alarm_bytes_max: Annotated[int, Field(ge=65536)] = 16 * 1024 * 1024
    """Size of the file of alarms above which further ones are only logged."""
    log: Annotated[tuple[WitnessedLog, ...], Field(max_length=1000)] = ()
    """The gateways that are witnessed."""
