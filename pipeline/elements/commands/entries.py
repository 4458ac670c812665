"""Small changes of the registry that happen at the bench or by letter: no file is imported for them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Custody, Equipment, Material, Person, RegistryRecord
from pipeline.elements.shapes import Draft

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request
    from pipeline.elements.registry import Version
    from pipeline.elements.registry_shapes import Data

_PRESENT = frozenset({"password", "pin", "badge", "demo"})
"""Who hands over or opens something is there; a mere assertion is not enough for a chain of custody."""
_AUTHENTICATED = frozenset({"password", "pin", "demo"})


def _person_present(request: Request) -> None:
    if request.actor.how not in _PRESENT:
        raise Refused("not-present", how=request.actor.how)


def _changed(request: Request, version: Version, data: Data, from_utc_ns: int) -> Planned:
    """Draft the next version of an entry: as it was, with one thing changed, from an instant on."""
    record = RegistryRecord(
        type=version.record.type, id=version.record.id, valid_from_ns=from_utc_ns,
        valid_to_ns=version.record.valid_to_ns, recorded_at_ns=request.t_utc_ns, data=to_body(data),
        actor=to_body(request.actor),
    )  # fmt: skip
    return Planned((Draft("registry", to_body(record)),), {"id": record.id})


def _material(request: Request) -> tuple[Material, Version]:
    name = request.text("material")
    found = request.registry.at(Material, name, request.t_utc_ns)
    if found is None:
        raise Refused("unknown-material", material=name)
    return found


def hand_over(request: Request) -> Planned:
    """Hand a material over to somebody, at a place: the next link of its chain of custody."""
    request.only("material", "to", "badge", "place")
    _person_present(request)
    material, version = _material(request)
    badge = request.optional_text("badge")
    person = request.registry.person_of_badge(badge, request.t_utc_ns) if badge else request.text("to")
    if person is None:
        raise Refused("unknown-badge", badge=badge or "")
    if request.registry.at(Person, person, request.t_utc_ns) is None:
        raise Refused("unknown-person", person=person)
    link = Custody(request.t_utc_ns, person, request.text("place"))
    if material.custody and material.custody[-1].at_ns > link.at_ns:
        raise Refused("custody-order", material=version.record.id)
    return _changed(request, version, replace(material, custody=(*material.custody, link)), request.t_utc_ns)


def open_material(request: Request) -> Planned:
    """Note that a reagent or a reference material was opened: from now on its shorter life counts."""
    request.only("material")
    _person_present(request)
    material, version = _material(request)
    if material.kind == "sample":
        problem = f"{version.record.id} is a sample, not a reagent or reference material"
        raise Refused("wrong-argument", argument="material", problem=problem)
    if material.opened_at_ns is not None:
        raise Refused("opened-already", material=version.record.id)
    return _changed(request, version, replace(material, opened_at_ns=request.t_utc_ns), request.t_utc_ns)


def withdraw_certificate(request: Request) -> Planned:
    """Note that a certificate was withdrawn, from when it never held: what rests on it is looked back at."""
    request.only("equipment", "material", "from_utc", "reason")
    if request.actor.how not in _AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    reason = request.text("reason")
    equipment = request.optional_text("equipment")
    request = replace(request, actor=replace(request.actor, reason=reason))
    if equipment:
        return _withdraw_of_equipment(request, equipment)
    material, version = _material(request)
    if material.certificate is None:
        raise Refused("no-certificate", subject=version.record.id)
    if material.withdrawn:
        raise Refused("withdrawn-already", subject=version.record.id)
    since_ns = _since(request, version)
    return _changed(request, version, replace(material, withdrawn=True), since_ns)


def _withdraw_of_equipment(request: Request, name: str) -> Planned:
    found = request.registry.at(Equipment, name, request.t_utc_ns)
    if found is None:
        by_instrument = request.registry.equipment_of(name, request.t_utc_ns)
        if by_instrument is None:
            raise Refused("unknown-equipment", equipment=name)
        found = by_instrument[1], by_instrument[2]
    data, version = found
    if data.metrology is None or data.metrology.certificate is None:
        raise Refused("no-certificate", subject=version.record.id)
    if data.metrology.withdrawn:
        raise Refused("withdrawn-already", subject=version.record.id)
    without = replace(data, metrology=replace(data.metrology, withdrawn=True))
    return _changed(request, version, without, _since(request, version))


def _since(request: Request, version: Version) -> int:
    """From when a certificate does not hold: as said, else ever since it was valid here."""
    given_ns = request.instant("from_utc")
    begin_ns = version.record.valid_from_ns
    if given_ns is None:
        return begin_ns
    if not begin_ns <= given_ns <= request.t_utc_ns:
        problem = "it is before the certificate was valid here, or in the future"
        raise Refused("wrong-argument", argument="from_utc", problem=problem)
    return given_ns
