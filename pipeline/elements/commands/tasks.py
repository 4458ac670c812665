"""Commands about tasks: start, hand over, bind, stop, abort, link."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast, get_args

from pipeline.elements.air import outside_now
from pipeline.elements.apply import attempt_key
from pipeline.elements.batches.commands import control_of, place_in
from pipeline.elements.codec import to_body
from pipeline.elements.commands.claims import claimed_run_ns
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Environment, Equipment, Material, Method
from pipeline.elements.shapes import (
    Binding,
    Draft,
    TaskAbort,
    TaskAction,
    TaskBind,
    TaskHandover,
    TaskLink,
    TaskStart,
    TaskStop,
)  # fmt: skip
from pipeline.elements.vocabulary import Purpose, Role

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request

_START_ARGS = (
    "sample", "item", "clause", "method", "instrument", "instruments", "operator", "badge", "purpose",
    "batch", "place", "control", "of", "added", "environments", "reference", "reagents", "measurands",
)  # fmt: skip
_OF_SAMPLES = frozenset({"test", "proficiency"})


def _planned(action: TaskAction, **result: str | int) -> Planned:
    return Planned((Draft("task", to_body(action)),), {"task": action.task, **result})


def start(request: Request) -> Planned:
    """Start a task; bindings that are not given follow from the registry."""
    request.only(*_START_ARGS)
    purpose = cast("Purpose", request.choice("purpose", get_args(Purpose), "test"))
    operator = request.operator()
    sample = _sample(request, purpose)
    instruments = _instruments(request)
    method_id, method = _method(request)
    item = request.optional_text("item") or ""
    state = request.state
    bindings = _bindings(request, operator, sample, instruments, method)
    _see_air(request, method, [one.target for one in bindings if one.role == "environment"])
    batch, place = place_in(request, method_id)
    control = control_of(request, purpose)
    attempt = state.attempts.get(attempt_key(sample, item, method_id, control), 0) + 1
    task = f"{state.journal[:8]}-{state.tasks_started + 1:05d}"
    action = TaskStart(
        task=task, purpose=purpose, method=method_id, edition=method.edition, instruments=tuple(instruments),
        bindings=bindings, actor=request.actor,
        sample=sample,
        item=item, clause=request.optional_text("clause") or "", batch=batch,
        attempt=attempt, at_run_ns=request.t_run_ns, at_utc_ns=request.t_utc_ns, place=place, control=control,
    )  # fmt: skip
    return _planned(action, attempt=attempt)


def _see_air(request: Request, method: Method, environments: list[str]) -> None:
    """Refuse a start in an environment outside its limits, where the method says so."""
    if method.start_outside != "refuse":
        return
    now = request.t_utc_ns, request.t_run_ns
    reading = outside_now(request.state.air, request.registry, method, environments, now)
    if reading is not None:
        raise Refused("environment-outside", channel=reading.target, value=str(reading.value))


def _sample(request: Request, purpose: str) -> str | None:
    sample = request.text("sample") if purpose in _OF_SAMPLES else request.optional_text("sample")
    if not sample:
        return None
    found = request.registry.at(Material, sample, request.t_utc_ns)
    if found is None or found[0].kind != "sample":
        raise Refused("unknown-sample", sample=sample)
    return sample


def _instruments(request: Request) -> dict[str, Equipment]:
    names = request.texts("instruments")
    if not names:
        names = (request.text("instrument"),)
    instruments = {}
    for name in names:
        found = request.registry.equipment_of(name, request.t_utc_ns)
        if found is None:
            raise Refused("unknown-instrument", instrument=name)
        instruments[name] = found[1]
        for other in request.state.tasks.values():
            if found[1].exclusive and other.phase == "running" and name in other.start.instruments:
                raise Refused("instrument-busy", instrument=name, task=other.id)
    return instruments


def _method(request: Request) -> tuple[str, Method]:
    """Find the method; where no edition is in force, the last one known is bound and the verdict says so."""
    method_id = request.text("method")
    found = request.registry.at(Method, method_id, request.t_utc_ns)
    if found is not None:
        return method_id, found[0]
    history = request.registry.history("method", method_id)
    if not history or not isinstance(history[-1].data, Method):
        raise Refused("unknown-method", method=method_id)
    return method_id, history[-1].data


def _bindings(
    request: Request, operator: str, sample: str | None, instruments: dict[str, Equipment], method: Method
) -> tuple[Binding, ...]:
    targets: list[tuple[Role, str]] = [("operator", operator)]
    targets += [("measurand", target) for target in _measurands(request, instruments, method)]
    rooms = request.texts("environments") or tuple(
        equipment.room for equipment in instruments.values() if equipment.room is not None
    )
    for room in rooms:
        if not request.registry.knows("environment", room):
            raise Refused("unknown-environment", environment=room)
    targets += [("environment", room) for room in rooms]
    found = None if sample is None else request.registry.at(Material, sample, request.t_utc_ns)
    if found is not None and found[0].storage is not None:
        targets.append(("storage", found[0].storage))
    reference = request.optional_text("reference")
    materials: list[tuple[Role, str]] = [("reference", reference)] if reference else []
    materials += [("reagent", reagent) for reagent in request.texts("reagents")]
    for _role, material in materials:
        if not request.registry.knows("material", material):
            raise Refused("unknown-material", material=material)
    return tuple(
        Binding(role, target, request.t_run_ns) for role, target in dict.fromkeys(targets + materials)
    )


def _measurands(request: Request, instruments: dict[str, Equipment], method: Method) -> tuple[str, ...]:
    given = request.texts("measurands")
    for target in given:
        if target.partition(".")[0] not in instruments or not target.partition(".")[2]:
            problem = f"{target} is no channel of the task's instruments"
            raise Refused("wrong-argument", argument="measurands", problem=problem)
    return given or tuple(
        f"{name}.{channel}"
        for name, equipment in instruments.items()
        for channel in equipment.channels
        if not method.measurands or channel in method.measurands
    )


def handover(request: Request) -> Planned:
    """Hand a running task over to another operator."""
    request.only("task", "operator", "badge")
    task = request.running_task()
    operator = request.operator()
    if any(known.target == operator and known.to_run_ns is None for known in task.bound("operator")):
        raise Refused("same-operator", person=operator, task=task.id)
    return _planned(TaskHandover(task.id, operator, request.t_run_ns, request.actor), operator=operator)


def bind(request: Request) -> Planned:
    """Add a binding; one that begins before now, or comes after the end, is marked late."""
    request.only("task", "role", "target", "from_utc_ns", "to_utc_ns", "from_utc", "to_utc", "occurrence")
    task = request.task()
    if task.phase == "aborted":
        raise Refused("task-aborted", task=task.id)
    role = cast("Role", request.choice("role", get_args(Role)))
    target = request.text("target")
    _see_target(request, role, target)
    from_run_ns = claimed_run_ns(request, task, "from")
    to_run_ns = claimed_run_ns(request, task, "to")
    if from_run_ns is not None and to_run_ns is not None and to_run_ns <= from_run_ns:
        raise Refused("wrong-argument", argument="to_utc_ns", problem="it is not after from_utc_ns")
    late = from_run_ns is not None or task.phase == "stopped"
    if from_run_ns is None:
        from_run_ns = task.start.at_run_ns if task.phase == "stopped" else request.t_run_ns
    return _planned(TaskBind(task.id, Binding(role, target, from_run_ns, to_run_ns, late), request.actor))


def _see_target(request: Request, role: Role, target: str) -> None:
    registry = request.registry
    if role == "operator" and not registry.knows("person", target):
        raise Refused("unknown-person", person=target)
    if role in {"reference", "reagent"} and registry.at(Material, target, request.t_utc_ns) is None:
        raise Refused("unknown-material", material=target)
    if role in {"environment", "storage"} and registry.at(Environment, target, request.t_utc_ns) is None:
        raise Refused("unknown-environment", environment=target)
    if role == "measurand":
        instrument, _, channel = target.partition(".")
        if not channel or registry.equipment_of(instrument, request.t_utc_ns) is None:
            raise Refused("unknown-instrument", instrument=target)


def stop(request: Request) -> Planned:
    """End a task: its results and final verdicts follow when its rows are decided."""
    request.only("task")
    task = request.running_task()
    return _planned(TaskStop(task.id, request.t_run_ns, request.t_utc_ns, request.actor))


def abort(request: Request) -> Planned:
    """Give an attempt up, with the reason."""
    request.only("task", "reason")
    reason = request.text("reason")
    task = request.running_task()
    return _planned(TaskAbort(task.id, request.t_run_ns, request.t_utc_ns, reason, request.actor))


def link(request: Request) -> Planned:
    """Note the id that another system gives the task."""
    request.only("task", "system", "external_id")
    task = request.task()
    return _planned(TaskLink(task.id, request.text("system"), request.text("external_id"), request.actor))
