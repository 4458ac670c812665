"""The corrections that apply to an instrument now, from the registry in the gateway's own journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.codec import MalformedBody
from pipeline.elements.corrected import CorrectionsInForce
from pipeline.elements.registry import Registry
from pipeline.journal.readonly import JournalReader

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Block


class CorrectionsOnRecord:
    """Corrects blocks as the daemon would, running or not; without a journal nothing is corrected.

    Args:
        journal: the journal's folder.
    """

    def __init__(self, journal: Path) -> None:
        self._registry, self._in_force = Registry(), CorrectionsInForce()
        try:
            for record in JournalReader(journal).after(-1, {"registry"}):
                try:
                    self._registry.add(record.seq, record.body)
                except MalformedBody:
                    continue  # the elements told of it when it came
        except OSError:
            return  # no journal yet, or one that this user may not read: then nothing is known of corrections

    def of(self, block: Block, channel: str) -> tuple[float | None, str]:
        """Give the corrected value of a block's last row and what it comes from, or why there is none."""
        plan = self._in_force.of(self._registry, block.instrument, int(block.t_utc_ns[0]))
        corrected, why = ({}, {}) if plan is None else plan.apply(block)
        if channel not in corrected:
            return None, why.get(channel, "")
        applied, values = corrected[channel]
        value = float(values[-1])
        return (None, applied) if value != value else (value, applied)  # noqa: PLR0124 - NaN: out of range
