"""The naive twin of the whole engine: all rules of a channel and how their verdicts combine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.qc.settings import ChannelQc
from tests.unit.qc import twin, twin_windows
from tests.unit.qc.twin import FAIL, MISSING, NOT_EVALUATED, PASS, STATE, SUSPECT, WORST_FIRST, Series

BITS = {
    "missing": 0, "range": 1, "rate": 2, "spike": 3, "flat_line": 4, "gap": 5, "order": 6, "duplicate": 7,
    "repeated": 8, "noise": 9, "rate_dev": 10, "ewma": 11, "cusum": 12, "hampel": 13, "level_shift": 14,
    "page_hinkley": 15, "stability": 16, "late": 17, "completeness": 18, "identical": 19, "unit_change": 20,
    "schedule": 21, "redundancy": 22,
}  # fmt: skip
FUTURE = ("spike", "level_shift")
TWINS: dict[str, Callable[[Series, Any], list[int]]] = {
    "range": twin.range_twin,
    "rate": twin.rate_twin,
    "flat_line": twin.flat_line_twin,
    "repeated": twin_windows.repeated_twin,
    "noise": twin_windows.noise_twin,
    "rate_dev": twin_windows.rate_dev_twin,
    "ewma": twin_windows.ewma_twin,
    "cusum": twin_windows.cusum_twin,
    "hampel": twin_windows.hampel_twin,
    "page_hinkley": twin_windows.page_hinkley_twin,
    "stability": twin_windows.stability_twin,
    "identical": twin_windows.identical_twin,
    "schedule": twin_windows.schedule_twin,
}


@dataclass
class Judged:
    """What all rules of a channel say."""

    flag: list[int]
    reason: list[int]
    unevaluated: list[int]
    later: dict[str, dict[int, int]]
    """Future rule to row to what it said later, passes left out."""
    pending: dict[str, set[int]]
    """Future rule to the rows that it has not decided at the end."""


def _verdicts(
    series: Series, qc: ChannelQc, others: Mapping[str, Series], interval_s: float
) -> dict[str, list[int]]:  # fmt: skip
    found = {
        name: judge(series, getattr(qc, name))
        for name, judge in TWINS.items()
        if getattr(qc, name) is not None
    }
    if qc.completeness is not None:
        found["completeness"] = twin_windows.completeness_twin(series, qc.completeness, interval_s)
    if qc.redundancy is not None:
        partner = others.get(qc.redundancy.partner)
        found["redundancy"] = twin_windows.redundancy_twin(series, qc.redundancy, partner)
    if qc.gap is not None:
        found.update(twin.stamp_twins(series, qc.gap))
    return found


def judge(
    series: Series, qc: ChannelQc | None, others: Mapping[str, Series] | None = None, interval_s: float = 0.1
) -> Judged:
    verdicts = {"missing": twin.missing_twin(series)}
    later: dict[str, dict[int, int]] = {}
    pending: dict[str, set[int]] = {}
    if qc is not None:
        verdicts |= _verdicts(series, qc, others or {}, interval_s)
        if qc.spike is not None:
            verdicts["spike"], later["spike"], pending["spike"] = twin.spike_twin(series, qc.spike)
        if qc.level_shift is not None:
            found = twin_windows.level_shift_twin(series, qc.level_shift)
            verdicts["level_shift"], later["level_shift"], pending["level_shift"] = found
    required = {"missing"}
    for name in verdicts:
        table = getattr(qc, "gap" if name in {"order", "duplicate"} else name, None)
        if table is not None and table.required:
            required.add(name)
    flags, reasons, unevaluated = [], [], []
    for k in range(len(series)):
        said = {name: verdict[k] for name, verdict in verdicts.items()}
        counted = [v for name, v in said.items() if v != NOT_EVALUATED or name in required]
        flags.append(min((v for v in counted if v != STATE), key=WORST_FIRST.index))
        reasons.append(
            sum(1 << BITS[name] for name, v in said.items() if v in {STATE, SUSPECT, FAIL, MISSING})
        )
        unevaluated.append(sum(1 << BITS[name] for name, v in said.items() if v == NOT_EVALUATED))
    said_later = {name: {k: v for k, v in rows.items() if v != PASS} for name, rows in later.items()}
    return Judged(flags, reasons, unevaluated, said_later, pending)
