"""The closed lists of words of the elements. Words are part of the record format: append, never rename."""

from __future__ import annotations

from typing import Literal

RegistryType = Literal["person", "equipment", "material", "method", "environment", "correction"]
Element = Literal["people", "equipment", "material", "method", "environment", "measurement"]
VerdictStatus = Literal["ok", "flag", "hold", "not_evaluated"]
Finality = Literal["provisional", "final"]
Purpose = Literal["test", "qc", "intermediate-check", "calibration", "maintenance", "training", "proficiency"]
Role = Literal["operator", "measurand", "environment", "reference", "reagent", "storage"]
TaskPhase = Literal["running", "stopped", "aborted"]
Disposition = Literal["release", "release-with-limitation", "retest", "resample", "void", "recall", "amend"]
Overall = Literal[
    "provisional", "clear", "held", "released", "released-with-limitation", "released-under-look-back",
    "retest", "resample", "void", "recalled", "amended", "aborted",
]  # fmt: skip
ServiceState = Literal[
    "in-use", "warm-up", "qc", "intermediate-check", "calibration", "maintenance", "fault", "out-of-service",
]  # fmt: skip
How = Literal["password", "pin", "badge", "asserted", "service", "demo"]
Excursion = Literal["flag", "hold"]
QcKind = Literal[
    "blank", "duplicate", "matrix-spike", "qc-sample", "blind-sample", "retained-sample", "person-comparison",
    "instrument-comparison", "proficiency",
]  # fmt: skip
ControlStatus = Literal["pass", "warn", "fail", "not-evaluated"]
Score = Literal["limit", "difference", "recovery", "chart", "e-n", "z", "z-prime"]
Rounding = Literal["half-even", "half-up"]

ELEMENTS: tuple[Element, ...] = ("people", "equipment", "material", "method", "environment", "measurement")
"""People, equipment, material, method, environment, measurement: 人机料法环测, in this order everywhere."""

STATUS_RANK: dict[VerdictStatus, int] = {"ok": 0, "flag": 1, "not_evaluated": 2, "hold": 3}
"""Worst-of order of verdict statuses. A missing fact is worse than a mark: it is never hidden by one."""

SIGNATORY = "authorised-signatory"
"""Role of the registry that may dispose of held results (授权签字人)."""

DISPOSED: dict[Disposition, Overall] = {
    "release": "released",
    "release-with-limitation": "released-with-limitation",
    "retest": "retest",
    "resample": "resample",
    "void": "void",
    "recall": "recalled",
    "amend": "amended",
}
"""What a task is after a disposition."""

RELEASING: frozenset[Disposition] = frozenset({"release", "release-with-limitation"})
"""Dispositions that let a held result out."""


RELEASED: frozenset[Overall | None] = frozenset({"released", "released-with-limitation", "amended"})
"""What a result is that a person has let out."""


def sum_up(phase: TaskPhase, disposition: Disposition | None, *, held: bool, final: bool) -> Overall:
    """Sum a task up in one word, from its phase, its latest disposition, its holds and its verdicts."""
    if phase == "aborted":
        return "aborted"
    disposed = None if disposition is None else DISPOSED[disposition]
    if held:
        return "released-under-look-back" if disposed in RELEASED else "held"
    if disposed is not None:
        return disposed
    return "clear" if final else "provisional"
