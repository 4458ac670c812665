"""The part of the fold that raises, groups, suppresses and escalates alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements.alarms.shapes import (
    ALARM_SHAPES,
    AlarmDeed,
    AlarmEscalate,
    AlarmRaise,
    AlarmStep,
    AlarmSuppress,
    AlarmTold,
)  # fmt: skip
from pipeline.elements.alarms.state import (
    CLOSED_MAX,
    DEEDS_MAX,
    EVIDENCE_MAX,
    GROUPS_MAX,
    AlarmState,
    Done,
)  # fmt: skip
from pipeline.elements.alarms.table import ENDS, RULES, Rule, group_of, rule_of, severity_of
from pipeline.elements.codec import MalformedBody, from_body, to_body
from pipeline.elements.shapes import Draft

if TYPE_CHECKING:
    from pipeline.elements.alarms.settings import AlarmSettings
    from pipeline.elements.alarms.shapes import Deed, Step
    from pipeline.elements.alarms.state import AlarmsState
    from pipeline.elements.parts import View
    from pipeline.records.envelope import Record

SECOND_NS = 1_000_000_000
REACHED: dict[Deed, Step] = {
    "acknowledge": "acknowledged", "cause": "cause", "action": "action", "close": "closed",
}  # fmt: skip
"""Deed to the step that an alarm stands at after it."""


def watch(record: Record, view: View) -> list[Draft]:
    """Raise, count, suppress and escalate alarms; take in what people did about them."""
    if record.kind == "event":
        return _event(record, view)
    if record.kind == "tick":
        return _escalate(record, view)
    if record.kind == "alarm":
        take(record, view)
    return []


def _event(record: Record, view: View) -> list[Draft]:
    body, alarms = record.body, view.state.alarms
    code = str(body.get("code"))
    for ended in ENDS.get(code, ()):
        end(alarms, group_of(ended, RULES[ended], body), record.seq)
    if code == "service-state":
        return _change_service(record, view)
    rule = rule_of(body)
    if rule is None:
        return []
    group = group_of(code, rule, body)
    known = alarms.groups.get(group)
    if known is None and alarms.open_by_code.get(code, 0) >= GROUPS_MAX:
        group = f"{code}|*"
        known = alarms.groups.get(group)
    if known is not None:
        count(alarms, alarms.items[known], record)
        return []
    return [_raise(record, view, rule, group)]


def count(alarms: AlarmsState, alarm: AlarmState, record: Record) -> None:
    """Add an event to the open alarm of its cause: no further record, however many there are."""
    alarm.count += 1
    alarm.last_seq, alarm.last_utc_ns = record.seq, record.t_utc_ns
    if len(alarm.seqs) < EVIDENCE_MAX:
        alarm.seqs.append(record.seq)
    if alarm.ended_seq is not None:  # it has come back
        alarm.ended_seq, alarm.since_run_ns = None, record.t_run_ns
    alarms.changed_seq = record.seq


def _raise(record: Record, view: View, rule: Rule, group: str) -> Draft:
    body, alarms = record.body, view.state.alarms
    alarms.raised += 1
    code, name = str(body["code"]), body.get("instrument")
    alarm = AlarmState(
        id=f"A-{alarms.raised:05d}", code=code, severity=severity_of(body), group=group, body=dict(body),
        instrument=name, first_seq=record.seq, first_utc_ns=record.t_utc_ns, last_seq=record.seq,
        last_utc_ns=record.t_utc_ns, since_run_ns=record.t_run_ns, seqs=[record.seq],
        flood=group == f"{code}|*",
    )  # fmt: skip
    if not alarm.flood:
        alarm.suppressed = _quiet(view, name, rule)
    alarm.notice = 0 if alarm.suppressed else 1
    alarms.items[alarm.id], alarms.groups[group] = alarm, alarm.id
    alarms.open_by_code[code] = alarms.open_by_code.get(code, 0) + 1
    alarms.changed_seq = record.seq
    return Draft("alarm", to_body(AlarmRaise(
        alarm.id, code, alarm.severity, group, name, record.seq, alarm.suppressed, alarm.flood,
    )))  # fmt: skip


def _quiet(view: View, instrument: str | None, rule: Rule) -> str:
    """Give the service state of an instrument in which its alarm calls nobody; empty where it does."""
    known = None if instrument is None else view.state.instruments.get(instrument)
    return known.service if known is not None and known.service in rule.suppressed_in else ""


def end(alarms: AlarmsState, group: str, seq: int) -> None:
    """Note that the condition behind an alarm is over; the alarm itself waits for a person."""
    alarm = alarms.items.get(alarms.groups.get(group, ""))
    if alarm is not None and alarm.ended_seq is None:
        alarm.ended_seq = alarms.changed_seq = seq


def _change_service(record: Record, view: View) -> list[Draft]:
    """Quieten the alarms of an instrument that nobody has looked at yet, or call people for them."""
    alarms, drafts = view.state.alarms, []
    for alarm in alarms.items.values():
        if not alarm.is_open or alarm.instrument is None or alarm.instrument != record.body.get("instrument"):
            continue
        quiet = _quiet(view, alarm.instrument, RULES.get(alarm.code, Rule(())))
        if alarm.step != "raised" or alarm.flood or quiet == alarm.suppressed:
            continue
        if not quiet:
            alarm.since_run_ns = record.t_run_ns
            alarm.notice += 1
        alarm.suppressed = quiet
        alarms.changed_seq = record.seq
        drafts.append(Draft("alarm", to_body(AlarmSuppress(alarm.id, quiet, record.seq))))
    return drafts


def _escalate(record: Record, view: View) -> list[Draft]:
    drafts, settings = [], view.settings.alarms
    for alarm in view.state.alarms.items.values():
        if not alarm.is_open or alarm.suppressed:
            continue
        waited_s = (record.t_run_ns - alarm.since_run_ns) / SECOND_NS
        if _is_late(alarm, waited_s, settings):
            alarm.level = min(alarm.level + 1, settings.levels)
            alarm.late = alarm.step != "raised"
            alarm.notice += 1
            view.state.alarms.changed_seq = record.seq
            told = AlarmEscalate(alarm.id, alarm.level, waited_s, alarm.step)
            drafts.append(Draft("alarm", to_body(told)))
    return drafts


def _is_late(alarm: AlarmState, waited_s: float, settings: AlarmSettings) -> bool:
    if alarm.step != "raised":
        return not alarm.late and waited_s >= settings.close_within
    limit_s = settings.escalate_alarm if alarm.severity == "alarm" else settings.escalate_warning
    # What is over by itself waits for a person without shouting ever louder.
    return (
        alarm.ended_seq is None and alarm.level < settings.levels and waited_s >= limit_s * (alarm.level + 1)
    )


def take(record: Record, view: View) -> None:
    """Take in what a record says of an alarm that is known. Raises MalformedBody."""
    shape: Any = ALARM_SHAPES.get(str(record.body.get("do")))
    if shape is None:
        raise MalformedBody(f"do is {record.body.get('do')!r}; allowed: {', '.join(ALARM_SHAPES)}")
    told: AlarmDeed = from_body(shape, record.body)
    alarms = view.state.alarms
    alarm = alarms.items.get(told.alarm)
    if alarm is None:
        return
    alarms.changed_seq = record.seq
    if isinstance(told, AlarmRaise):
        alarm.seq = record.seq
    elif isinstance(told, AlarmStep):
        _step(alarms, alarm, told, record)
    elif isinstance(told, AlarmTold):
        alarm.told = max(alarm.told, told.notice)
        alarm.refused = "" if told.taken else told.error


def _step(alarms: AlarmsState, alarm: AlarmState, told: AlarmStep, record: Record) -> None:
    if alarm.step == "raised":
        alarm.since_run_ns = record.t_run_ns  # from now on its closing is waited for
    alarm.step = REACHED[told.deed]
    alarm.suppressed = ""
    alarm.notice += 1
    if len(alarm.deeds) < DEEDS_MAX:
        alarm.deeds.append(Done(told.deed, told.actor.person, told.text, record.seq, record.t_utc_ns))
    if alarm.step == "closed":
        alarms.groups.pop(alarm.group, None)
        alarms.open_by_code[alarm.code] = alarms.open_by_code.get(alarm.code, 1) - 1
        closed = [one.id for one in alarms.items.values() if not one.is_open]
        for name in closed[: max(0, len(closed) - CLOSED_MAX)]:
            del alarms.items[name]
