"""Commands about charts: a version is proposed by one person and approved by another."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, cast, get_args

from pipeline.elements.batches.commands import AUTHENTICATED
from pipeline.elements.batches.shapes import ChartRecord
from pipeline.elements.batches.state import UNNAMED, ChartState, chart_key
from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Material
from pipeline.elements.shapes import Draft
from pipeline.qc.control import Chart, ChartError, ChartId, assign, propose
from pipeline.qc.control.charts import Certified
from pipeline.qc.control.estimate import EstimateRefused, EstimatorName

if TYPE_CHECKING:
    from pipeline.elements.commands.request import Request

_ESTIMATORS = get_args(EstimatorName)
_BASES = (*_ESTIMATORS, "certified", "assigned")


def propose_chart(request: Request) -> Planned:
    """Propose a version of a chart: from a training period, a certificate, or figures that a person gives."""
    request.only(
        "method", "instrument", "quantity", "material", "level", "lot", "unit", "basis", "from_utc_ns",
        "to_utc_ns", "centre", "sd", "reason",
    )  # fmt: skip
    known = _known(request)
    basis = request.choice("basis", _BASES)
    try:
        chart = _estimated(request, known, cast("EstimatorName", basis)) if basis in _ESTIMATORS else (
            _assigned(request, known, basis)
        )  # fmt: skip
    except (ChartError, EstimateRefused, ValueError) as error:
        raise Refused("chart-refused", problem=str(error)) from None
    return _planned(
        known, ChartRecord(
        "propose", known.method, known.instrument, known.quantity, chart, request.actor
    ))  # fmt: skip


def _planned(known: ChartState, told: ChartRecord) -> Planned:
    key = chart_key(known.method, known.instrument, known.quantity, known.material, known.level)
    return Planned(
        (Draft("chart", to_body(told)),),
        {"chart": key, "version": told.chart.version, "to_sign": chart_hash(told.chart)},
    )


def _known(request: Request) -> ChartState:
    """Find the chart, or begin one for a QC sample of the registry."""
    method, instrument, quantity = (request.text(name) for name in ("method", "instrument", "quantity"))
    material, level = request.text("material"), request.optional_text("level")
    found = request.registry.at(Material, material, request.t_utc_ns)
    level = level or (found[0].level if found and found[0].level else UNNAMED)
    known = request.state.batches.charts.get(chart_key(method, instrument, quantity, material, level))
    if known is not None:
        return known
    if found is None:
        raise Refused(
            "no-such-chart", quantity=quantity, material=material, level=level, instrument=instrument
        )
    if not request.registry.knows("method", method):
        raise Refused("unknown-method", method=method)
    return ChartState(method, instrument, quantity, material, level)


def _about(known: ChartState) -> ChartId:
    quantity = f"{known.quantity} by {known.method} on {known.instrument}"
    return ChartId(quantity, known.material, known.level)


def _lot(request: Request, known: ChartState) -> str:
    found = request.registry.at(Material, known.material, request.t_utc_ns)
    return request.optional_text("lot") or (found[0].lot if found and found[0].lot else UNNAMED)


def _previous(known: ChartState) -> Chart | None:
    return known.versions[-1] if known.versions else None


def _certified(request: Request, known: ChartState) -> Certified | None:
    found = request.registry.at(Material, known.material, request.t_utc_ns)
    values = () if found is None else found[0].certified
    for value in values:
        if value.quantity == known.quantity and value.uncertainty is not None and value.k:
            return Certified(value.value, value.uncertainty, value.k, found[0].expiry_ns if found else None)
    return None


def _estimated(request: Request, known: ChartState, estimator: EstimatorName) -> Chart:
    lot = _lot(request, known)
    from_ns, to_ns = request.integer("from_utc_ns") or 0, request.integer("to_utc_ns") or request.t_utc_ns
    points = [point for point in known.points if point.lot == lot and from_ns <= point.t_utc_ns <= to_ns]
    units = {point.unit for point in points if point.value is not None}
    if len(units) > 1:
        raise ChartError(f"the period has values in {', '.join(sorted(units))}: choose one with one unit")
    values = [float("nan") if point.value is None else point.value for point in points]
    period = (points[0].t_utc_ns, points[-1].t_utc_ns) if points else (from_ns, to_ns)
    return propose(
        _about(known), lot, next(iter(units), ""), values, estimator, period_utc_ns=period,
        proposed_by=request.actor.person, reason=request.text("reason"), previous=_previous(known),
        certified=_certified(request, known),
    )  # fmt: skip


def _assigned(request: Request, known: ChartState, basis: str) -> Chart:
    certified = _certified(request, known)
    centre, sd = request.number("centre"), request.number("sd")
    if basis == "certified":
        if certified is None:
            raise ChartError(f"the registry has no certified {known.quantity} of {known.material} with U, k")
        centre = certified.value
    if centre is None or sd is None:
        raise Refused("missing-argument", argument="centre" if centre is None else "sd")
    unit = request.optional_text("unit") or next((point.unit for point in known.points if point.unit), "")
    return assign(
        _about(known), _lot(request, known), unit, centre, sd, proposed_by=request.actor.person,
        reason=request.text("reason"), previous=_previous(known), certified=certified,
    )  # fmt: skip


def approve_chart(request: Request) -> Planned:
    """Put a proposed version into force: a named, authenticated person's act, never its proposer's."""
    request.only("chart", "version", "reason", "signed_hash")
    if request.actor.how not in AUTHENTICATED:
        raise Refused("not-authenticated", how=request.actor.how)
    key, version = request.text("chart"), request.integer("version")
    known = request.state.batches.charts.get(key)
    waiting = [] if known is None else [
        chart for chart in known.versions if chart.approval is None and chart.version == version
    ]  # fmt: skip
    if known is None or not waiting:
        raise Refused("no-such-version", version=str(version))
    chart, person = waiting[0], request.actor.person
    if chart.proposed_by == person:
        raise Refused("own-proposal", person=person)
    signed = request.text("signed_hash")
    if signed != chart_hash(chart):
        raise Refused("signed-something-else", task=key)
    approved = chart.approve(person, request.t_utc_ns, request.text("reason"))
    return _planned(
        known, ChartRecord(
        "approve", known.method, known.instrument, known.quantity, approved, request.actor, signed
    ))  # fmt: skip


def chart_hash(chart: Chart) -> str:
    """SHA-256, in hexadecimal, of a version without its approval: what the approver signs."""
    body = {name: value for name, value in to_body(chart).items() if name != "approval"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
