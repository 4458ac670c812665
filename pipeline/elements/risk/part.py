"""The part of the fold: which record counts for whom, and when a level changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.codec import from_body
from pipeline.elements.risk.index import LAB, add_event, add_work, explain, index_of, level_of
from pipeline.elements.risk.state import (
    CLASSES_MAX,
    SUBJECTS_MAX,
    ImportedClass,
    OpenGap,
    RiskEvent,
    RiskSubject,
    SpotCheckTable,
)  # fmt: skip
from pipeline.elements.risk.weights import counted_as, event_weight, reason_weight
from pipeline.elements.shapes import Draft
from pipeline.records.block import Gap
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.elements.parts import View
    from pipeline.elements.risk.settings import RiskSettings
    from pipeline.elements.risk.state import RiskState
    from pipeline.elements.shapes import Reason
    from pipeline.elements.state import TaskState
    from pipeline.elements.vocabulary import Disposition, Element
    from pipeline.records.envelope import Body, Record

_WORK = frozenset({"test", "qc", "intermediate-check", "proficiency"})
_OF_PERSONS: frozenset[Element] = frozenset({"people", "material", "method"})
_OF_INSTRUMENTS: frozenset[Element] = frozenset({"equipment", "measurement"})
_DISPOSED: dict[Disposition, str] = {
    "recall": "result-recalled", "void": "result-void", "amend": "result-amended",
}  # fmt: skip
_OF_OPERATORS = frozenset(
    {"evidence-attempts", "evidence-manual-share", "evidence-custody-order", "evidence-sample-mass"}
)
"""Events of a task that count for its operators too; the others are no doing of theirs."""
_EVALUATED_EVERY_NS = 60 * SECOND_NS
"""A level also changes by time alone; so often is that looked at."""
_SEQS_TOLD = 8


def assess(record: Record, view: View) -> list[Draft]:
    """Count a record, and at ticks tell which levels have changed."""
    state, settings = view.state.risk, view.settings.risk
    if record.by is None:
        # A derived record may have had to wait for room; its own time says nothing.
        state.caused_run_ns = max(state.caused_run_ns, record.t_run_ns)
    if record.kind == "tick":
        pass_time(state, record.t_run_ns, record.t_utc_ns)
        return _levels(state, settings)
    take(record, view)
    return []


def pass_time(state: RiskState, run_ns: int, utc_ns: int) -> None:
    """Let everything grow as old as it is at an instant, given in gateway time and in UTC."""
    if run_ns >= state.now_run_ns:
        state.now_run_ns, state.now_utc_ns = run_ns, utc_ns


def take(record: Record, view: View) -> None:
    """Count a record, as of `caused_run_ns`."""
    if record.kind == "verdict":
        _after_verdict(record, view)
    elif record.kind == "event":
        _event(record, view)
    elif record.kind == "gap":
        _gap(record, view)
    elif record.kind == "review":
        _review(record, view)


def _count(view: View, names: Iterable[str], event: RiskEvent) -> None:
    if event.weight > 0:
        for name in names:
            add_event(_subject(view.state.risk, name), event, view.settings.risk)


def _subject(state: RiskState, name: str) -> RiskSubject:
    subject = state.subjects.pop(name, None) or RiskSubject()
    state.subjects[name] = subject  # the one heard of last comes last
    if len(state.subjects) > SUBJECTS_MAX:
        del state.subjects[next(iter(state.subjects))]
    if name not in state.changed:
        state.changed.append(name)
    return subject


def _after_verdict(record: Record, view: View) -> None:
    task = view.state.tasks.get(str(record.body.get("task")))
    if task is None or not task.final or any(posted.seq is None for posted in task.verdicts.values()):
        return
    if task.start.purpose not in _WORK:
        return
    counted = view.state.risk.counted
    known = counted.setdefault(task.id, [])
    if not known:
        _count_task(task, record, view)
        known.append("task")
    if task.phase == "aborted":
        return  # nothing comes of it, so nothing was wrong with it but that
    for posted in task.verdicts.values():
        for reason in posted.verdict.reasons:
            key = f"{posted.verdict.element}|{reason.code}|{reason.subject}"
            if key not in known and posted.seq is not None:
                known.append(key)
                _count_reason(task, posted.verdict.element, reason, posted.seq, view)
    while len(counted) > 2 * view.settings.retained_tasks + len(view.state.tasks):
        del counted[next(iter(counted))]


def _count_task(task: TaskState, record: Record, view: View) -> None:
    """Count work done, where it was judged: what was not evaluated makes no rate smaller."""
    names = _names(task)
    if task.phase == "aborted":
        weight = event_weight("task-aborted", view.settings.risk)
        event = RiskEvent(
            "task-aborted", task.end_seq or record.seq, view.state.risk.caused_run_ns, weight, task.id
        )
        _count(view, names, event)
        return
    statuses = {posted.verdict.element: posted.verdict.status for posted in task.verdicts.values()}
    done = [f"element:{element}" for element, status in statuses.items() if status != "not_evaluated"]
    if "not_evaluated" not in statuses.values():
        done += names
    for name in done:
        add_work(_subject(view.state.risk, name), view.state.risk.caused_run_ns, view.settings.risk)


def _names(task: TaskState) -> list[str]:
    return [
        LAB,
        f"method:{task.start.method}",
        *(f"instrument:{name}" for name in task.start.instruments),
        *(f"person:{name}" for name in sorted(task.operators())),
    ]


def _count_reason(task: TaskState, element: Element, reason: Reason, seq: int, view: View) -> None:
    """Count a reason of the verdict with this seq."""
    names = [LAB, f"element:{element}", f"method:{task.start.method}"]
    if element in _OF_PERSONS:
        names += [f"person:{name}" for name in sorted(task.operators())]
    told = reason.subject.partition(".")[0]
    if element in _OF_INSTRUMENTS:
        own = [told] if told in task.start.instruments else list(task.start.instruments)
        names += [f"instrument:{name}" for name in own]
    elif element == "environment" and reason.status == "not_evaluated" and "." in reason.subject:
        names.append(f"instrument:{told}")  # its sensor did not tell; an excursion is not the sensor's doing
    weight = reason_weight(reason.code, reason.status, view.settings.risk)
    _count(view, names, RiskEvent(reason.code, seq, view.state.risk.caused_run_ns, weight, task.id))


def _event(record: Record, view: View) -> None:
    code, args = str(record.body.get("code")), record.body.get("args") or {}
    if code in {"credit-class", "spot-check-table"}:
        _import(record, code, args, view)
    counted = counted_as(code)
    weight = event_weight(counted, view.settings.risk)
    task = view.state.tasks.get(str(args.get("task")))
    event = RiskEvent(
        counted, record.seq, view.state.risk.caused_run_ns, weight, "" if task is None else task.id
    )
    _count(view, _names_of_event(code, record.body, args, task), event)


def _names_of_event(code: str, body: Body, args: dict[str, Any], task: TaskState | None) -> list[str]:
    if task is None:
        instrument = body.get("instrument")
        return [LAB, f"instrument:{instrument}"] if instrument else [LAB]
    if code == "evidence-signing":
        return [LAB, f"person:{args['subject']}"]
    return [name for name in _names(task) if code in _OF_OPERATORS or not name.startswith("person:")]


def _import(record: Record, code: str, args: dict[str, Any], view: View) -> None:
    """Take over what an authority decided, with who imported it."""
    state = view.state.risk
    whole = {**args, "person": str((record.body.get("actor") or {}).get("person", "")), "seq": record.seq}
    if code == "credit-class":
        imported = from_body(ImportedClass, whole)
        state.classes = [*state.classes, imported][-CLASSES_MAX:]
    else:
        state.spot_checks = from_body(SpotCheckTable, whole)


def _gap(record: Record, view: View) -> None:
    gap, state, settings = from_body(Gap, record.body), view.state.risk, view.settings.risk
    if gap.cause == "service-state":
        return  # announced by the laboratory, with a reason on record
    names = (LAB, "element:measurement", f"instrument:{gap.instrument}")
    if not gap.ended:
        state.gaps[gap.instrument] = OpenGap(gap.from_run_ns, record.seq)
        for name in names:
            _subject(state, name)
        return
    state.gaps.pop(gap.instrument, None)
    weight = settings.gap_hour_weight * max(gap.to_run_ns - gap.from_run_ns, 0) / (3600 * SECOND_NS)
    _count(view, names, RiskEvent("gap", record.seq, view.state.risk.caused_run_ns, weight))


def _review(record: Record, view: View) -> None:
    code = _DISPOSED.get(record.body["disposition"])
    task = view.state.tasks.get(str(record.body["task"]))
    if code is not None and task is not None:
        weight = event_weight(code, view.settings.risk)
        _count(
            view, _names(task), RiskEvent(code, record.seq, view.state.risk.caused_run_ns, weight, task.id)
        )


def _levels(state: RiskState, settings: RiskSettings) -> list[Draft]:
    due = state.now_run_ns - state.evaluated_run_ns >= _EVALUATED_EVERY_NS
    names = list(state.subjects) if due else [name for name in state.changed if name in state.subjects]
    state.changed.clear()
    if due:
        state.evaluated_run_ns = state.now_run_ns
    drafts = []
    for name in names:
        subject = state.subjects[name]
        index = index_of(state, name, settings)
        level = level_of(index, subject.level, settings)
        if level != subject.level:
            before, subject.level, subject.level_run_ns = subject.level, level, state.now_run_ns
            seqs = [each.seq_last for each in explain(state, name, settings)[:_SEQS_TOLD]]
            told = event_body(
                "risk-level", subject=name, level=level, before=before, index=index, seqs=sorted(seqs)
            )
            drafts.append(Draft("event", told))
    return drafts


def take_level(record: Record, view: View) -> None:
    """Take over the level that the gateway has recorded of a subject, with the time of that record."""
    args = record.body.get("args") or {}
    if record.kind != "event" or record.body.get("code") != "risk-level":
        return
    subject = view.state.risk.subjects.get(str(args["subject"]))
    if subject is not None:
        subject.level, subject.level_run_ns = args["level"], view.state.risk.caused_run_ns
