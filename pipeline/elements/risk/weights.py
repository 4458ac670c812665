"""How much each code counts where the laboratory's settings do not say otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.elements.risk.settings import RiskSettings
    from pipeline.elements.vocabulary import VerdictStatus

WEIGHTS: dict[str, float] = {
    # events
    "evidence-no-raw-data": 8.0,
    "evidence-throughput": 5.0,
    "evidence-identical-windows": 8.0,
    "evidence-manual-share": 2.0,
    "evidence-attempts": 3.0,
    "evidence-sample-mass": 5.0,
    "evidence-custody-order": 3.0,
    "evidence-element": 3.0,
    "evidence-clock-step": 5.0,
    "evidence-chain": 10.0,
    "evidence-signing": 5.0,
    "clock-step": 1.0,
    "unattributed-change": 5.0,
    "quarantine": 10.0,
    "storage-trouble": 3.0,
    "qc-rules-failed": 2.0,
    "flags-unplaced": 2.0,
    "record-not-understood": 1.0,
    "part-failed": 1.0,
    "trusted-keys-damaged": 5.0,
    "command-refused": 0.2,
    # reasons that weigh more than their status alone says
    "identity-mismatch": 8.0,
    "calibration-overdue": 5.0,
    "check-weight-failed": 5.0,
    # what tasks lead to
    "task-aborted": 0.5,
    "result-recalled": 8.0,
    "result-void": 2.0,
    "result-amended": 2.0,
}
"""An event that is not here does not count: what it leads to does."""

_COUNTED_AS = {"qc-failed": "qc-rules-failed"}
"""Event to the code under which it counts, where a reason bears the event's code and says something else."""


def counted_as(code: str) -> str:
    """Tell under which code an event counts."""
    return _COUNTED_AS.get(code, code)


def event_weight(code: str, settings: RiskSettings) -> float:
    """Weight of an event by the code under which it counts; 0 where it does not."""
    return settings.weights.get(code, WEIGHTS.get(code, 0.0))


def reason_weight(code: str, status: VerdictStatus, settings: RiskSettings) -> float:
    """Weight of a reason: its code's own, else by what it makes of the element."""
    own = settings.weights.get(code, WEIGHTS.get(code))
    if own is not None:
        return own
    by_status: dict[VerdictStatus, float] = {
        "ok": 0.0, "flag": settings.flag_weight, "hold": settings.hold_weight,
        "not_evaluated": settings.not_evaluated_weight,
    }  # fmt: skip
    return by_status[status]
