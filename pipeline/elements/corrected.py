"""Which corrections are in force, which the readings of a task carried, and the values that count.

A correction is in force for a channel while the asset behind the instrument names it, it is registered for
that asset, channel and certificate, and the certificate is not withdrawn. A certificate past its due date
goes on being applied: it is the best that is known, and the equipment element holds the result in any case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.corrections import ChannelPlan, Correction, Plan, applied_id, entry_of, seq_of
from pipeline.elements.formulas.progress import AppliedCorrection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pipeline.corrections import Uncorrected
    from pipeline.elements.formulas.progress import SeriesProgress
    from pipeline.elements.registry import Registry
    from pipeline.elements.registry_shapes import ChannelQualification, Metrology
    from pipeline.elements.rows import Batch
    from pipeline.elements.state import ChannelFacts
    from pipeline.records.frame import Frame

SPANS_MAX = 64
"""Changes of the correction kept for one channel of one task; of more, the last one says "several"."""
SEVERAL = "several"


@dataclass(slots=True)
class CorrectionSpan:
    """Readings one after the other that carried the same correction, or none for the same reason."""

    applied: str
    """`corrections.applied_id`; "": none."""
    why: str
    """Why a registered correction was not applied."""
    from_utc_ns: int
    """First row of the first of their frames; a correction is chosen for a whole frame."""
    to_utc_ns: int
    """First row of the last of their frames."""
    seq_first: int
    seq_last: int
    outside: int = 0
    """Readings with a value and no corrected one: outside the range of the correction."""
    outside_seq: int = -1


def note_correction(
    facts: ChannelFacts, batch: Batch, cut: slice | NDArray[np.int64], good: NDArray[np.bool_]
) -> None:  # fmt: skip
    """Note what the readings of a window carried; at least one.

    Args:
        facts: of the channel.
        batch: the rows.
        cut: those of the window.
        good: bool[n]: which of those have a value.
    """
    found = batch.frame.corrected.get(facts.channel)
    applied = "" if found is None else found[0]
    why = batch.frame.uncorrected.get(facts.channel, "")
    spans, seqs, utc_ns = facts.corrections, batch.seq[cut], batch.frame_utc_ns[cut]
    last = int(seqs[-1])
    if not spans or (spans[-1].applied, spans[-1].why) != (applied, why):
        first, start_ns = int(seqs[0]), int(utc_ns[0])
        if len(spans) < SPANS_MAX:
            spans.append(CorrectionSpan(applied, why, start_ns, start_ns, first, last))
        else:
            spans[-1].applied = SEVERAL
    span = spans[-1]
    span.to_utc_ns, span.seq_last = int(utc_ns[-1]), last
    if found is not None:
        outside = good & ~np.isfinite(found[1][cut])
        if outside.any():
            span.outside += int(outside.sum())
            span.outside_seq = int(seqs[outside][0]) if span.outside_seq < 0 else span.outside_seq


def counting_values(batch: Batch, position: int, channel: str) -> NDArray[np.float64]:
    """float64[n]: corrected values where the channel has a correction, else the readings as shown."""
    found = batch.frame.corrected.get(channel)
    return batch.values[position] if found is None else found[1]


def note_applied(series: SeriesProgress, frame: Frame, shown: NDArray[np.float64]) -> bool:
    """Note what the readings that a calculation takes carried; tell whether it was a correction.

    Args:
        series: of the calculation.
        frame: which they are of.
        shown: float64[n] as the instrument showed them; at least one.
    """
    found = frame.corrected.get(series.channel)
    applied, why = "" if found is None else found[0], frame.uncorrected.get(series.channel, "")
    add_applied(series, applied, why, float(shown.min()), float(shown.max()))
    return found is not None


def add_applied(series: SeriesProgress, applied: str, why: str, low: float, high: float) -> None:
    """Note a correction that readings of a calculation carried, and the span of what was shown."""
    for known in series.corrections:
        if (known.applied, known.why) == (applied, why):
            known.low, known.high = min(known.low, low), max(known.high, high)
            return
    if len(series.corrections) < SPANS_MAX:
        series.corrections.append(AppliedCorrection(applied, why, low, high))


def channel_plan(
    registry: Registry, instrument: str, channel: str, t_utc_ns: int
) -> ChannelPlan | None:  # fmt: skip
    """Give what is in force for a channel at an instant, as known now; None: no correction is registered."""
    found = registry.equipment_of(instrument, t_utc_ns)
    metrology = None if found is None else found[1].metrology
    for one in () if metrology is None else metrology.channels:
        if found is not None and metrology is not None and one.channel == channel and one.correction:
            return _resolve(registry, found[0], metrology, one, t_utc_ns)
    return None


def _resolve(
    registry: Registry, entry_id: str, metrology: Metrology, one: ChannelQualification, t_utc_ns: int
) -> ChannelPlan:
    name = one.correction or ""
    found = registry.at(Correction, name, t_utc_ns)
    why: Uncorrected | None = None
    if found is None:
        return ChannelPlan(one.channel, name, why="unknown")
    correction, version = found
    own = correction.equipment, correction.channel, correction.certificate
    if own != (entry_id, one.channel, metrology.certificate):
        why = "other"
    elif metrology.withdrawn:
        why = "withdrawn"
    applied = applied_id(name, version.seq)
    return ChannelPlan(one.channel, applied, correction if why is None else None, why)


def correction_applied(registry: Registry, applied: str) -> Correction | None:
    """Give the correction that a frame's id names; None where it is not in the registry."""
    seq = seq_of(applied)
    for version in registry.history("correction", entry_of(applied)):
        if version.seq == seq and isinstance(version.data, Correction):
            return version.data
    return None


def instants(registry: Registry, instrument: str, from_utc_ns: int, to_utc_ns: int) -> list[int]:
    """List the instants of a window at which the correction of an instrument may change, and its ends."""
    borders = set(registry.equipment_instants(instrument, from_utc_ns, to_utc_ns))
    for entry_id in registry.corrections_of(instrument):
        borders.update(registry.instants("correction", entry_id, from_utc_ns, to_utc_ns))
    return sorted(borders)


class _Known(NamedTuple):
    """What was found for an instrument, and for which span of UTC it holds."""

    changes: int
    from_utc_ns: int
    to_utc_ns: int
    plan: Plan | None


_EVER_NS = 2**62


@dataclass(slots=True)
class CorrectionsInForce:
    """Answers for every block what is to be corrected: a look-up and two comparisons while nothing changes.

    Bounded by the instruments of the gateway. Thread-safe: no.
    """

    _registry: Registry | None = None
    _known: dict[str, _Known] = field(default_factory=dict)

    def of(self, registry: Registry, instrument: str, t_utc_ns: int) -> Plan | None:
        """Give the corrections in force for an instrument's readings of an instant; None: there are none.

        As long as they stay the same it is the same object.
        """
        if registry is not self._registry:  # a snapshot was taken up
            self._registry, self._known = registry, {}
        known = self._known.get(instrument)
        if (
            known is not None
            and known.changes == registry.changes
            and known.from_utc_ns <= t_utc_ns < known.to_utc_ns
        ):
            return known.plan
        channels = list(_channels(registry, instrument, t_utc_ns))
        plan = Plan(channels) if channels else None
        if known is not None and known.plan is not None and known.plan.channels == tuple(channels):
            plan = known.plan
        borders = instants(registry, instrument, -_EVER_NS, _EVER_NS)
        self._known[instrument] = _Known(
            registry.changes, max(border for border in borders if border <= t_utc_ns),
            min(border for border in borders if border > t_utc_ns), plan,
        )  # fmt: skip
        return plan


def _channels(registry: Registry, instrument: str, t_utc_ns: int) -> Iterator[ChannelPlan]:
    found = registry.equipment_of(instrument, t_utc_ns)
    if found is not None and found[1].metrology is not None:
        for one in found[1].metrology.channels:
            if one.correction:
                yield _resolve(registry, found[0], found[1].metrology, one, t_utc_ns)
