"""The day as a table: what happens in the two benches, in order, each step with its name.

Its steps and how they are played: see `simulators.days`.
"""

from __future__ import annotations

from typing import Any

from simulators.days import Above, Act, Load, OneOf, Seen, Step, Trouble, Weight

BALANCE = "bal-1"
EXCURSION = ("storage-excursion", "storage-excursion-unsure")
"""Codes of an excursion of the storage: of readings that pass QC, and of those that fail it too."""


def _start(name: str, person: str, keep: str, **args: Any) -> Act:
    return Act(name, person, "task.start", args, {keep: "task"})


def _stop(name: str, person: str, task: str) -> Act:
    return Act(name, person, "task.stop", {"task": f"${task}"})


def _final(name: str, task: str, overall: str) -> Seen:
    return Seen(name, f"tasks/${task}", {"final": True, "overall": overall})


def _reason(name: str, task: str, element: str, *codes: str) -> Seen:
    reasons = {"code": OneOf(codes)}
    return Seen(name, f"tasks/${task}", {"verdicts": {"element": element, "reasons": reasons}})


def _qc_sample(number: int, load_g: float) -> tuple[Step, ...]:
    """A QC sample outside of a batch, within its limits: a point for the chart."""
    task = f"qc-{number}"
    return (
        Load(f"QC sample {number}: its residue goes on the pan", load_g),
        _start(f"QC sample {number} begins", "su", task, purpose="qc", reference="QC-DR-40",
               item="dry residue", method="dry-residue", instruments=[BALANCE]),
        Weight(f"QC sample {number} is weighed"),
        _stop(f"QC sample {number} ends: a point on its chart", "su", task),
    )  # fmt: skip


_RIG = {
    "sample": "V-0001",
    "item": "pressure hold",
    "method": "pressure-hold",
    "instruments": ["p-1", "p-2", "em-1"],
}
_CHECK = {
    "reference": "CW-100G",
    "item": "daily check",
    "method": "check-weight",
    "instruments": [BALANCE],
    "purpose": "qc",
}
_WEIGHING = {"item": "sample mass", "method": "weighing", "instruments": [BALANCE]}
_CHART = {
    "method": "dry-residue",
    "instrument": BALANCE,
    "quantity": "dry_residue",
    "material": "QC-DR-40",
    "unit": "%",
    "basis": "certified",
    "sd": 0.05,
    "reason": "centre of the certificate, SD of the method's validation",
}

RIG_BEGINS: tuple[Step, ...] = (
    _start("the vessel's test begins, first attempt", "su", "attempt-1", **_RIG),
    Act("it is given up: the fitting leaks", "su", "task.abort",
        {"task": "$attempt-1", "reason": "the fitting leaks"}),
    _start("second attempt, with a gauge whose calibration is overdue", "su", "hold-test", **_RIG),
    Act("step: fill", "su", "task.step", {"task": "$hold-test", "step": "fill"}),
    Act("step: hold", "su", "task.step", {"task": "$hold-test", "step": "hold"}),
)  # fmt: skip

MORNING: tuple[Step, ...] = (
    Load("the check weight goes on the pan", 100.00005),
    _start("the daily check of the balance begins", "lin", "check", **_CHECK),
    Weight("the check weight is weighed"),
    _stop("the check ends", "lin", "check"),
    Load("sample S-2026-0001 goes on the pan", 5.03217),
    _start("its weighing begins", "lin", "weighing", sample="S-2026-0001", **_WEIGHING),
    Trouble("the door of the sample refrigerator stands open", "th-fridge", "excursion", 6.0,
            {"channel": "temperature", "peak": 7.0}),
    _reason("the storage of the sample has left its limits", "weighing", "environment",
            *EXCURSION),
    Act("shift hand-over in mid-task, from p-0001 to p-0002", "lin", "task.handover",
        {"task": "$weighing", "operator": "p-0002"}),
    Weight("S-2026-0001 is weighed"),
    _stop("its weighing ends", "su", "weighing"),
    Load("sample S-2026-0002 goes on the pan", 4.98766),
    _start("its weighing begins", "su", "sound", sample="S-2026-0002", **_WEIGHING),
    Weight("S-2026-0002 is weighed"),
    _stop("its weighing ends", "su", "sound"),
    Load("sample S-2026-0003, past its hold time, goes on the pan", 5.00442),
    _start("its weighing begins all the same", "su", "late", sample="S-2026-0003", **_WEIGHING),
    Weight("S-2026-0003 is weighed"),
    _stop("its weighing ends", "su", "late"),
)  # fmt: skip

DISPOSITIONS: tuple[Step, ...] = (
    _final("S-2026-0001 is held", "weighing", "held"),
    Act("its operator tries to release it", "lin", "hold.release",
        {"task": "$weighing", "disposition": "release", "reason": "looks fine to me"}, refused="own-task"),
    Act("the authorised signatory releases it", "qin", "hold.release",
        {"task": "$weighing", "disposition": "release",
         "reason": "below 12 °C for seconds, the mass does not depend on it"}),
    _final("S-2026-0003 is held", "late", "held"),
    Act("a new sample is asked for in place of S-2026-0003", "qin", "hold.release",
        {"task": "$late", "disposition": "resample", "reason": "past its hold time"}),
    _final("S-2026-0002 is clear: nobody need act", "sound", "clear"),
)  # fmt: skip

CHART: tuple[Step, ...] = (
    Act("a chart for the QC sample is proposed", "su", "chart.propose", _CHART,
        {"chart": "chart", "version": "version", "to_sign": "to_sign"}),
    Act("somebody else approves it", "qin", "chart.approve",
        {"chart": "$chart", "version": "$version", "signed_hash": "$to_sign", "reason": "as validated"}),
    *_qc_sample(1, 2.0015),
    *_qc_sample(2, 1.9972),
    *_qc_sample(3, 2.0008),
)  # fmt: skip

BATCH: tuple[Step, ...] = (
    Act("a batch is opened", "su", "batch.open", {"batch": "DR-0412", "method": "dry-residue"}),
    Load("the residue of S-2026-0002 goes on the pan", 2.03155),
    _start("its dry residue begins", "su", "residue", sample="S-2026-0002", item="dry residue",
           method="dry-residue", instruments=[BALANCE], batch="DR-0412"),
    Weight("the residue is weighed"),
    _stop("its dry residue ends: a result with U", "su", "residue"),
    Load("the QC sample of the batch goes on the pan", 2.0107),
    _start("it begins", "su", "reject", purpose="qc", reference="QC-DR-40", item="dry residue",
           method="dry-residue", instruments=[BALANCE], batch="DR-0412"),
    Weight("it is weighed"),
    _stop("it ends, beyond three standard deviations", "su", "reject"),
)  # fmt: skip

EVENING: tuple[Step, ...] = (
    Load("the check weight goes on the pan again", 100.00215),
    _start("the check at the end of the shift begins", "su", "last-check", **_CHECK),
    Weight("the check weight is weighed: 2 mg too heavy"),
    _stop("the check ends", "su", "last-check"),
    _reason("the QC sample holds its whole batch", "residue", "measurement", "qc-failed"),
    Act("the batch is closed", "su", "batch.close", {"batch": "DR-0412"}),
    Seen("the failed check opens a look-back", "lookbacks",
         {"cause": "check-failed", "failed": "$last-check"}, {"lookback": "lookback"}),
    _reason("what was clear since the last good check is held", "sound", "measurement", "look-back"),
    Act("step: vent, and nobody has searched for leaks", "su", "task.step",
        {"task": "$hold-test", "step": "vent"}),
    _stop("the vessel's test ends", "su", "hold-test"),
    Seen("people are called", "alarms", {"code": "lookback-opened", "step": "raised"}, {"alarm": "alarm"}),
    Act("the alarm is acknowledged", "su", "alarm.acknowledge", {"alarm": "$alarm", "text": "seen"}),
    Act("its cause is found", "su", "alarm.cause",
        {"alarm": "$alarm", "text": "residue of a sample under the pan"}),
    Act("action is taken", "su", "alarm.action",
        {"alarm": "$alarm", "text": "pan cleaned, balance adjusted, retests planned"}),
    Act("the alarm is closed", "qin", "alarm.close", {"alarm": "$alarm", "text": "action confirmed"}),
    _final("the vessel's test is held", "hold-test", "held"),
    _final("the batch is held for good", "residue", "held"),
    Seen("the risk index of the balance is above zero", "risk",
         {"subjects": {"subject": f"instrument:{BALANCE}", "index": Above(0.0)}}),
    Load("the pan is empty", 0.0),
)  # fmt: skip

SCRIPT: tuple[Step, ...] = (*RIG_BEGINS, *MORNING, *CHART, *DISPOSITIONS, *BATCH, *EVENING)
"""The whole day."""
