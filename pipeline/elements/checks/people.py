"""People: every operator was authorised for the method and the instruments while operating."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.finding import DAY_NS, Finding
from pipeline.elements.registry_shapes import ANY, Person

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
