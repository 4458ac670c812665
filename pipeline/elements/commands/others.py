"""Commands about instruments and the registry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.formulas.declared import check_formula
from pipeline.elements.formulas.language import FormulaError, parse
from pipeline.elements.formulas.named import formula_of
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_changes import Change, change_of
from pipeline.elements.registry_shapes import SHAPES, Correction, Data, Method, RegistryRecord
from pipeline.elements.shapes import Draft
from pipeline.elements.vocabulary import ServiceState
from pipeline.records.events import event_body
from pipeline.records.units import UnitError

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request

RECORDS_MAX = 20_000
_MAY_IMPORT = frozenset({"password", "pin", "demo"})
_ENTRY_KEYS = frozenset({"type", "id", "valid_from_ns", "valid_to_ns", "data", "received_on_import"})


def set_state(request: Request) -> Planned:
    """Set the service state of an instrument."""
    request.only("instrument", "state", "reason")
    name = request.text("instrument")
    if request.registry.equipment_of(name, request.t_utc_ns) is None:
        raise Refused("unknown-instrument", instrument=name)
    state = request.choice("state", get_args(ServiceState))
    reason = request.optional_text("reason") or request.actor.reason
    body = event_body("service-state", instrument=name, state=state, reason=reason)
    body["actor"] = to_body(request.actor)
    return Planned((Draft("event", body),), {"instrument": name, "state": state})


def import_registry(request: Request) -> Planned:
    """Take registry records in, all of them or none; what is known already is not recorded again."""
    request.only("records", "reason")
    if request.actor.how not in _MAY_IMPORT:
        raise Refused("not-authenticated", how=request.actor.how)
    reason = request.optional_text("reason")
    if reason:
        request = replace(request, actor=replace(request.actor, reason=reason))
    changes = _changes(request)
    drafts = tuple(Draft("registry", to_body(one.record)) for one in changes if one.kind != "same")
    return Planned(drafts, {"imported": len(drafts)})


def preview_registry(request: Request) -> Planned:
    """Tell what an import of these records would change; nothing is recorded."""
    request.only("records")
    changes = _changes(request)
    shown = [
        {"type": one.record.type, "id": one.record.id, "change": one.kind, "keys": list(one.keys)}
        for one in changes
        if one.kind != "same"
    ]
    return Planned((), {**_counts(changes), "entries": shown})


def _counts(changes: list[Change]) -> dict[str, int]:
    return {kind: sum(one.kind == kind for one in changes) for kind in ("new", "changed", "same")}


def _changes(request: Request) -> list[Change]:
    entries = request.args.get("records")
    if not isinstance(entries, list) or not 0 < len(entries) <= RECORDS_MAX:
        raise Refused("wrong-argument", argument="records", problem=f"a list of 1 to {RECORDS_MAX} records")
    changes, problems = list[Change](), list[str]()
    for position, entry in enumerate(entries):
        try:
            record = _registry_record(request, entry)
            dated = isinstance(entry, dict) and entry.get("valid_from_ns") is not None
            changes.append(change_of(request.registry, record, dated=dated))
        except MalformedBody as error:
            name = entry.get("id", "?") if isinstance(entry, dict) else "?"
            problems.append(f"record {position + 1} ({name}): {error}")
    if problems:
        raise Refused("registry-invalid", problems="; ".join(problems))
    return changes


def _registry_record(request: Request, entry: object) -> RegistryRecord:
    if not isinstance(entry, dict):
        raise MalformedBody("record should be a map")
    if unknown := sorted(set(entry) - _ENTRY_KEYS):
        raise MalformedBody(f"unknown key {unknown[0]}")
    shape = SHAPES.get(entry.get("type", ""))
    if shape is None:
        raise MalformedBody(f"type is {entry.get('type')!r}; allowed: {', '.join(SHAPES)}")
    data = _plain(shape, entry.get("data"))
    _check_formulas(shape, data)
    if entry.get("received_on_import") and not request.registry.knows("material", str(entry.get("id"))):
        data["received_at_ns"] = request.t_utc_ns
    valid_from_ns = entry.get("valid_from_ns")
    record = from_body(
        RegistryRecord,
        {
            "type": entry["type"], "id": entry.get("id"), "valid_to_ns": entry.get("valid_to_ns"),
            "valid_from_ns": request.t_utc_ns if valid_from_ns is None else valid_from_ns,
            "recorded_at_ns": request.t_utc_ns, "data": data, "actor": to_body(request.actor),
        },
    )  # fmt: skip
    if record.valid_to_ns is not None and record.valid_to_ns <= record.valid_from_ns:
        raise MalformedBody("valid_to_ns is not after valid_from_ns")
    return record


def _check_formulas(shape: type[Data], data: dict[str, Any]) -> None:
    """See that formulas and corrections can be computed: a file says so already, another program may not."""
    method = from_body(shape, data)
    problem = method.problem() if isinstance(method, Correction) else None
    if problem is not None:
        raise MalformedBody(f"data: {problem}")
    for spec in method.results if isinstance(method, Method) else ():
        formula = formula_of(spec)
        if formula is None:
            raise MalformedBody(f"data.results: there is no algorithm '{spec.algorithm}'")
        try:
            if spec.formula:
                check_formula(formula.text, formula.inputs, formula.constants, spec.unit)
            else:
                parse(formula.text)
        except (FormulaError, UnitError) as error:
            raise MalformedBody(f"data.results, formula of '{spec.quantity}': {error}") from error


def _plain(shape: type[Data], data: object) -> dict[str, Any]:
    """Bring data to its shape; a key that the shape has not (a name, say) is refused, not dropped."""
    if not isinstance(data, dict):
        raise MalformedBody("data should be a map")
    plain: dict[str, Any] = to_body(from_body(shape, data))
    _refuse_unknown(data, plain, "data")
    return plain


def _refuse_unknown(given: object, plain: object, where: str) -> None:
    if isinstance(given, dict) and isinstance(plain, dict):
        for key, value in given.items():
            if key not in plain:
                raise MalformedBody(f"unknown key {where}.{key}")
            _refuse_unknown(value, plain[key], f"{where}.{key}")
    elif isinstance(given, list | tuple) and isinstance(plain, list):
        for position, (one, other) in enumerate(zip(given, plain, strict=True)):
            _refuse_unknown(one, other, f"{where}[{position}]")
