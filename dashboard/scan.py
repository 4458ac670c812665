"""The scan page's logic: what was scanned so far, what to scan next, what to do about a wrong code.

The browser sends every code scanned since the beginning, so that nothing is kept on the server and a reader
that is faster than the network loses nothing. Order: badge, then sample, then one or more instruments, then a
choice of method; or badge, then a running task: its own operator stops it, another person takes it over, and
either may enter a reading by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from dashboard.verdicts import correctable, entry_channels
from pipeline.elements.registry_shapes import Equipment, Material, Method, Person

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dashboard.language import Messages
    from dashboard.tasks import TaskView
    from pipeline.elements.registry import Registry

CODES_MAX = 16
Kind = Literal["badge", "sample", "instrument", "task", "unknown"]
Step = Literal["badge", "sample-or-task", "instrument", "method", "task-action"]
Json = dict[str, Any]


@dataclass(slots=True)
class Scan:
    """Where a sequence of codes has led."""

    step: Step = "badge"
    accepted: list[tuple[Kind, str, str]] = field(default_factory=list)
    """(kind, code, id) of the codes that were taken."""
    badge: str = ""
    person: str = ""
    sample: str = ""
    instruments: list[str] = field(default_factory=list)
    task: str = ""
    problem: str = ""
    """Key of the message about the last code; empty when it was taken."""
    problem_code: str = ""


def classify(
    code: str, registry: Registry, tasks: Mapping[str, TaskView], instruments: Sequence[str], now_utc_ns: int
) -> tuple[Kind, str]:
    """Tell what a code is, and the id behind it."""
    person = registry.person_of_badge(code, now_utc_ns)
    if person is not None:
        return "badge", person
    if code in tasks:
        return "task", code
    if registry.at(Material, code, now_utc_ns) is not None:
        return "sample", code
    equipment = registry.at(Equipment, code, now_utc_ns)
    if equipment is not None:
        return "instrument", equipment[0].instrument
    return ("instrument", code) if code in instruments else ("unknown", "")


def follow(
    codes: Sequence[str], registry: Registry, tasks: Mapping[str, TaskView], instruments: Sequence[str],
    now_utc_ns: int,
) -> Scan:  # fmt: skip
    """Follow the codes from the beginning; a code that does not fit is left out and named."""
    scan = Scan()
    for code in codes[:CODES_MAX]:
        scan.problem = scan.problem_code = ""  # only the last code's problem is shown
        kind, found = classify(code, registry, tasks, instruments, now_utc_ns)
        problem = _take(scan, kind, code, found, tasks)
        if problem:
            scan.problem, scan.problem_code = problem, code
        else:
            scan.accepted.append((kind, code, found))
    return scan


def _take(scan: Scan, kind: Kind, code: str, found: str, tasks: Mapping[str, TaskView]) -> str:
    """Take one code in, or return the key of the message that says why not."""
    if kind == "unknown":
        return "scan.unknown_code"
    if kind != "badge" and not scan.badge:
        return "scan.badge_first"
    if scan.task and kind != "badge":
        return "scan.task_already"
    match kind:
        case "badge":
            return _take_badge(scan, code, found)
        case "task":
            return _take_task(scan, tasks[found])
        case "sample":
            return _take_sample(scan, found)
        case "instrument":
            return _take_instrument(scan, found)


def _take_badge(scan: Scan, code: str, person: str) -> str:
    if scan.sample or scan.task:
        return "scan.badge_already"
    scan.badge, scan.person, scan.step = code, person, "sample-or-task"
    return ""


def _take_task(scan: Scan, task: TaskView) -> str:
    if scan.sample:
        return "scan.sample_already"
    if task.phase != "running":
        return "scan.task_not_running"
    scan.task, scan.step = task.id, "task-action"
    return ""


def _take_sample(scan: Scan, sample: str) -> str:
    if scan.instruments:
        return "scan.sample_already"
    scan.sample, scan.step = sample, "instrument"
    return ""


def _take_instrument(scan: Scan, instrument: str) -> str:
    if not scan.sample:
        return "scan.sample_first"
    if instrument in scan.instruments:
        return "scan.instrument_already"
    scan.instruments.append(instrument)
    scan.step = "method"
    return ""


def fitting_methods(scan: Scan, registry: Registry, now_utc_ns: int) -> list[Json]:
    """List the methods that fit: the person may use them on all scanned instruments, and they measure there.

    A method for which the person has no authorisation is listed last and marked: the start is still possible,
    the verdict of the element people will say what it is worth.
    """
    person = registry.at(Person, scan.person, now_utc_ns)
    material = registry.at(Material, scan.sample, now_utc_ns)
    is_sample = material is None or material[0].kind == "sample"
    fitting = []
    for method_id in registry.ids("method"):
        found = registry.at(Method, method_id, now_utc_ns)
        if found is None or not all(
            _measures(found[0], name, registry, now_utc_ns) for name in scan.instruments
        ):
            continue
        purposes = {purpose for result in found[0].results for purpose in result.purposes} or {"test"}
        wanted = "test" if is_sample else "qc"
        if purposes.isdisjoint({wanted}):
            continue
        authorised = person is not None and all(
            _authorised(person[0], method_id, name, now_utc_ns) for name in scan.instruments
        )
        fitting.append({
            "method": method_id, "code": found[0].code, "edition": found[0].edition, "purpose": wanted,
            "items": [result.quantity for result in found[0].results if wanted in result.purposes] or [""],
            "authorised": authorised,
        })  # fmt: skip
    return sorted(fitting, key=lambda entry: (not entry["authorised"], entry["code"]))


def _measures(method: Method, instrument: str, registry: Registry, now_utc_ns: int) -> bool:
    equipment = registry.equipment_of(instrument, now_utc_ns)
    if equipment is None or not method.measurands:
        return True
    return not equipment[1].channels or bool(set(method.measurands) & set(equipment[1].channels))


def _authorised(person: Person, method: str, instrument: str, now_utc_ns: int) -> bool:
    return any(
        {method, "*"} & set(leave.methods)
        and {instrument, "*"} & set(leave.instruments)
        and leave.valid_from_ns <= now_utc_ns
        and (leave.valid_to_ns is None or now_utc_ns < leave.valid_to_ns)
        for leave in person.authorisations
    )


def scan_state(
    scan: Scan, registry: Registry, tasks: Mapping[str, TaskView], names: Mapping[str, str], text: Messages,
    now_utc_ns: int,
) -> Json:  # fmt: skip
    """Say on the screen where a scan stands."""
    chosen = tasks.get(scan.task)
    return {
        "step": scan.step,
        "prompt": text(f"scan.step_{scan.step.replace('-', '_')}"),
        "accepted": [
            {
                "kind": kind,
                "title": text.word("scan_kind", kind),
                "code": code,
                "label": names.get(found, found),
            }
            for kind, code, found in scan.accepted
        ],
        "codes": [code for _, code, _ in scan.accepted],
        "problem": text(scan.problem) if scan.problem else "",
        "problem_code": scan.problem_code,
        "methods": fitting_methods(scan, registry, now_utc_ns) if scan.step == "method" else [],
        "actions": _actions(scan, chosen) if chosen else [],
        "entry": _entry(scan, chosen, names) if chosen else None,
        "running": [_running(task, names) for task in tasks.values() if task.phase == "running"],
    }


def _running(task: TaskView, names: Mapping[str, str]) -> Json:
    return {
        "task": task.id,
        "sample": task.start.sample or "",
        "instruments": list(task.start.instruments),
        "operators": [names.get(person, person) for person in task.operators_now()],
    }


def _actions(scan: Scan, task: TaskView) -> list[str]:
    own = scan.person in task.operators_now()
    return [*([] if own else ["handover"]), "stop", *(["enter"] if entry_channels(task) else [])]


def _entry(scan: Scan, task: TaskView, names: Mapping[str, str]) -> Json:
    """Say what may be entered by hand, and who signs it: the person of the badge."""
    return {
        "person": names.get(scan.person, scan.person),
        "channels": entry_channels(task),
        "correctable": [
            {"seq": one["seq"], "label": f"{one['seq']}: {one['channel']} {one['text']}"}
            for one in correctable(task, "lab")
        ],
    }
