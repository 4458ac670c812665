"""What leads to a look-back: a literal table from the kind of a record to what it may show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.elements.batches.state import history_key
from pipeline.elements.registry_shapes import Equipment, Material

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipeline.elements.batches.state import Judged
    from pipeline.elements.lookback.shapes import Cause
    from pipeline.elements.parts import View
    from pipeline.elements.registry import Version
    from pipeline.elements.state import CheckOutcome
    from pipeline.elements.vocabulary import Element
    from pipeline.records.envelope import Record

LOOKED_BACK = frozenset({"qc-sample", "blind-sample", "blank", "instrument-comparison", "proficiency"})
"""Kinds of control that vouch for the work before them too; the others speak of their own batch or pair."""


class Trigger(NamedTuple):
    """Something that vouched for results does so no more."""

    key: str
    """Names what failed: it leads to one look-back."""
    cause: Cause
    element: Element
    subject: str
    role: Literal["instrument", "reference", "reagent"]
    method: str | None
    from_run_ns: int | None
    from_utc_ns: int | None
    to_run_ns: int
    to_utc_ns: int
    last_good: str
    last_good_seq: int | None
    failed: str


def _failed_check(record: Record, view: View) -> Iterator[Trigger]:
    """A check of an instrument that ended in a hold of its measurement."""
    body = record.body
    if body.get("element") != "measurement" or body.get("status") != "hold":
        return
    task = view.state.tasks.get(body["task"])
    if task is None or not task.measured:
        return
    for name in task.start.instruments:
        known = view.state.instruments.get(name)
        checks = [] if known is None else known.checks
        if not any(check.task == task.id for check in checks):
            continue  # the task is no check of the instrument
        end_ns = task.end_run_ns or 0
        good = _last_good_check(checks, end_ns)
        yield Trigger(
            key=f"check|{task.id}|{name}", cause="check-failed", element="measurement", subject=name,
            role="instrument", method=None, from_run_ns=None if good is None else good.end_run_ns,
            from_utc_ns=None if good is None else task.utc_at(good.end_run_ns), to_run_ns=end_ns,
            to_utc_ns=task.end_utc_ns or record.t_utc_ns, last_good="" if good is None else good.task,
            last_good_seq=None if good is None else good.seq, failed=task.id,
        )  # fmt: skip


def _last_good_check(checks: list[CheckOutcome], before_run_ns: int) -> CheckOutcome | None:
    good = [check for check in checks if check.status in {"ok", "flag"} and check.end_run_ns < before_run_ns]
    return max(good, key=lambda check: (check.end_run_ns, check.seq), default=None)


def _failed_control(record: Record, view: View) -> Iterator[Trigger]:
    """A quality control that failed and vouches for the work before it."""
    body = record.body
    if body.get("action") != "judge" or body["status"] != "fail" or body["kind"] not in LOOKED_BACK:
        return
    for name in body["instruments"]:
        history = view.state.batches.history.get(history_key(body["method"], name, body["kind"]), [])
        good = _last_good_control(history, body)
        yield Trigger(
            key=f"control|{body['task']}|{body['quantity']}|{name}", cause="control-failed",
            element="measurement", subject=name, role="instrument", method=body["method"],
            from_run_ns=None if good is None else good.outcome.at_run_ns,
            from_utc_ns=None if good is None else good.outcome.at_utc_ns, to_run_ns=body["at_run_ns"],
            to_utc_ns=body["at_utc_ns"], last_good="" if good is None else good.outcome.task,
            last_good_seq=None if good is None else good.seq, failed=body["task"],
        )  # fmt: skip


def _last_good_control(history: list[Judged], failed: dict[str, object]) -> Judged | None:
    """The last control of the same quantity and material that held, before the failed one."""
    good = [
        one
        for one in history
        if one.outcome.status in {"pass", "warn"}
        and (one.outcome.quantity, one.outcome.material) == (failed["quantity"], failed["material"])
        and one.outcome.at_run_ns < int(str(failed["at_run_ns"]))
    ]
    return max(good, key=lambda one: one.outcome.at_run_ns, default=None)


def _withdrawn(record: Record, view: View) -> Iterator[Trigger]:
    """A certificate that the registry now calls withdrawn."""
    body = record.body
    if body.get("type") not in {"equipment", "material"}:
        return
    history = view.registry.history(body["type"], body["id"])
    version = next((one for one in reversed(history) if one.seq == record.seq), None)
    certificate = None if version is None else _certificate(version)
    if version is None or certificate is None or not _is_withdrawn(version):
        return
    first_utc_ns = version.record.valid_from_ns  # whoever withdraws it may say from when it did not hold
    if first_utc_ns >= version.record.recorded_at_ns:
        first_utc_ns = min(one.record.valid_from_ns for one in history if _certificate(one) == certificate)
    first_seq = min(one.seq for one in history if _certificate(one) == certificate)
    data = version.data
    roles: tuple[Literal["instrument", "reference", "reagent"], ...] = ("reference", "reagent")
    subject = version.record.id
    if isinstance(data, Equipment):
        roles, subject = ("instrument",), data.instrument
    from_run_ns = record.t_run_ns - (record.t_utc_ns - first_utc_ns)
    for role in roles:
        yield Trigger(
            key=f"withdrawn|{body['id']}|{certificate}|{role}", cause="certificate-withdrawn",
            element="equipment" if role == "instrument" else "material", subject=subject, role=role,
            method=None, from_run_ns=from_run_ns, from_utc_ns=first_utc_ns, to_run_ns=record.t_run_ns + 1,
            to_utc_ns=record.t_utc_ns, last_good="", last_good_seq=first_seq, failed=certificate,
        )  # fmt: skip


def _certificate(version: Version) -> str | None:
    data = version.data
    if isinstance(data, Equipment):
        return None if data.metrology is None else data.metrology.certificate
    return data.certificate if isinstance(data, Material) else None


def _is_withdrawn(version: Version) -> bool:
    data = version.data
    if isinstance(data, Equipment):
        return data.metrology is not None and data.metrology.withdrawn
    return isinstance(data, Material) and data.withdrawn


TRIGGERS: dict[str, Callable[[Record, View], Iterator[Trigger]]] = {
    "verdict": _failed_check,
    "control": _failed_control,
    "registry": _withdrawn,
}
"""The literal table of what leads to a look-back."""
