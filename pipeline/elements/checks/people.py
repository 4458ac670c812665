"""People: operators authorised and trained while operating, and at one place at a time.

Two places are near when they are one, or when one names the other as `near` in the registry; a person who is
operator of two running tasks at places that are not near cannot be at both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import DAY_NS, Finding
from pipeline.elements.registry_shapes import ANY, Environment, Person

if TYPE_CHECKING:
    from pipeline.elements.checks.finding import Case
    from pipeline.elements.registry_shapes import Authorisation


def check_people(case: Case) -> Finding:
    """Judge each operator over the span of that operator's binding, hand-overs included."""
    bindings = case.task.bound("operator")
    finding = Finding({**case.window(), "operators": [binding.target for binding in bindings]})
    if not bindings:
        finding.add("not_evaluated", "operator-missing", case.task.id, case.task.start_seq)
    for binding in bindings:
        to_run_ns = case.end_run_ns if binding.to_run_ns is None else binding.to_run_ns
        span = case.task.utc_at(binding.from_run_ns), case.task.utc_at(to_run_ns)
        _judge_operator(case, finding, binding.target, span)
        _judge_training(case, finding, binding.target, span)
    _judge_places(case, finding)
    return finding


def _judge_operator(case: Case, finding: Finding, person_id: str, span_utc_ns: tuple[int, int]) -> None:
    if not case.registry.knows("person", person_id):
        finding.add("not_evaluated", "operator-unknown", person_id)
        return
    for at_utc_ns in case.registry.instants("person", person_id, *span_utc_ns):
        found = case.registry.at(Person, person_id, at_utc_ns)
        seq = -1 if found is None else found[1].seq
        authorisations = () if found is None else found[0].authorisations
        for instrument in case.task.start.instruments:
            covering = _covering(authorisations, case.task.start.method, instrument)
            about = {"person": person_id, "method": case.task.start.method, "instrument": instrument}
            _judge_span(case, finding, about, (covering, span_utc_ns), seq)


def _covering(
    authorisations: tuple[Authorisation, ...], method: str, instrument: str
) -> list[tuple[int, int | None]]:
    """Spans in which the person may use the instrument by the method."""
    return [
        (leave.valid_from_ns, leave.valid_to_ns)
        for leave in authorisations
        if {method, ANY} & set(leave.methods) and {instrument, ANY} & set(leave.instruments)
    ]


def _judge_span(
    case: Case, finding: Finding, about: dict[str, str],
    spans: tuple[list[tuple[int, int | None]], tuple[int, int]], seq: int,
) -> None:  # fmt: skip
    """Judge (spans of leave, span of work): the work lies within one span of leave, or it was not allowed."""
    covering, (from_utc_ns, to_utc_ns) = spans
    ends = [end for start, end in covering if start <= from_utc_ns and (end is None or end > to_utc_ns)]
    if not ends:
        finding.add("hold", "operator-not-authorised", about["person"], seq, case.task.start_seq, **about)
        return
    if None in ends:
        return
    last_ns = max(end for end in ends if end is not None)
    if last_ns - to_utc_ns <= case.settings.expiring_days * DAY_NS:
        finding.add("flag", "authorisation-expiring", about["person"], seq, **about, until_utc_ns=last_ns)


def _judge_training(case: Case, finding: Finding, person_id: str, span_utc_ns: tuple[int, int]) -> None:
    """Judge the trainings that the method asks for, each over the whole span of the operator."""
    found = case.registry.at(Person, person_id, span_utc_ns[0])
    if case.method is None or found is None:
        return
    from_utc_ns, to_utc_ns = span_utc_ns
    for code in case.method.training:
        spans = [(one.valid_from_ns, one.valid_to_ns) for one in found[0].training if one.code == code]
        ends = [end for start, end in spans if start <= from_utc_ns and (end is None or end > to_utc_ns)]
        about = {"person": person_id, "training": code}
        if not ends:
            seqs = found[1].seq, case.task.start_seq
            finding.add("hold", "training-not-valid", f"{person_id} {code}", *seqs, **about)
            continue
        last_ns = None if None in ends else max(end for end in ends if end is not None)
        if last_ns is not None and last_ns - to_utc_ns <= case.settings.expiring_days * DAY_NS:
            seq, until = found[1].seq, {"until_utc_ns": last_ns}
            finding.add("flag", "training-expiring", f"{person_id} {code}", seq, **about, **until)


def _judge_places(case: Case, finding: Finding) -> None:
    """Judge that nobody operated at two distant places at once."""
    here = _places(case, case.task.start.instruments)
    for overlap in case.task.overlaps:
        other = case.state.tasks.get(overlap.task)
        if overlap.kind != "person" or other is None:
            continue
        there = _places(case, other.start.instruments)
        about = {"person": overlap.subject, "task": overlap.task}
        seqs = case.task.start_seq, overlap.seq
        if None in here or None in there:
            finding.add("not_evaluated", "operator-place-unknown", overlap.subject, *seqs, **about)
        elif not any(_near(case, one, another) for one in here for another in there):
            finding.add("hold", "operator-elsewhere", overlap.subject, *seqs, **about)


def _places(case: Case, instruments: tuple[str, ...]) -> list[str | None]:
    """Rooms of some instruments; None for one that the registry places nowhere."""
    found = [case.registry.equipment_of(name, case.from_utc_ns) for name in instruments]
    return [None if one is None else one[1].room for one in found]


def _near(case: Case, one: str | None, another: str | None) -> bool:
    if one == another:
        return True
    rooms = [case.registry.at(Environment, place or "", case.from_utc_ns) for place in (one, another)]
    return any(
        found is not None and other in found[0].near
        for found, other in zip(rooms, (another, one), strict=True)
    )
