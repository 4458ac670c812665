"""What the ledger records alone tell of alarms, batches, controls, charts, look-backs and risk.

The elements decide; their decisions are records. Whoever keeps those records (a centre, an archive) sees the
same alarms, batches, charts and look-backs without a gateway, by taking each record at its word. Nothing is
judged here. The risk index is a count over those records, and is counted by the same code; its time is UTC
here, since stores keep no other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pipeline.elements.alarms.part import count, end, take
from pipeline.elements.alarms.shapes import AlarmEscalate, AlarmRaise, AlarmSuppress
from pipeline.elements.alarms.state import GROUPS_MAX, AlarmState
from pipeline.elements.alarms.table import ENDS, RULES, group_of, rule_of
from pipeline.elements.batches.part import batches_part
from pipeline.elements.batches.shapes import ControlOutcome
from pipeline.elements.batches.state import HISTORY_MAX, POINTS_MAX, ChartState, Judged, Point, history_key
from pipeline.elements.codec import MalformedBody, from_body
from pipeline.elements.lookback.part import look_back, put
from pipeline.elements.lookback.shapes import LookBackOpen
from pipeline.elements.lookback.state import let_go
from pipeline.elements.parts import View
from pipeline.elements.registry import Registry
from pipeline.elements.risk.part import pass_time, take_level
from pipeline.elements.risk.part import take as count_risk
from pipeline.elements.risk.settings import RiskSettings
from pipeline.elements.settings import ElementsSettings
from pipeline.elements.state import State
from pipeline.ledger.rebuild import is_final, take_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pipeline.records.envelope import Record

KINDS = frozenset({
    "registry", "task", "result", "verdict", "review", "entry", "event", "alarm", "batch", "control",
    "chart", "lookback", "config", "gap",
})  # fmt: skip
"""Kinds of records that are taken in."""
PENDING_MAX = 4096
"""Causes of alarms whose record has not come yet; the oldest gives way."""


class _First(NamedTuple):
    """An event that may have raised an alarm."""

    seq: int
    utc_ns: int
    body: Mapping[str, Any]


class Recorded:
    """State of one journal's elements as its ledger records tell it; what views of the elements read.

    Records come in seq order, from the first on; one that was taken is passed over. Memory: bounded as that
    of the elements. Thread-safe: no.
    """

    def __init__(self, settings: ElementsSettings | None = None) -> None:
        self.settings = settings or ElementsSettings()
        self.state = State()
        self.registry = Registry()
        self.through_seq = -1
        self.unread = 0
        """Records that this version could not read."""
        self._pending: dict[str, list[_First]] = {}
        self.run_off_ns = 0
        """Gateway time less UTC when the last task was started."""

    def take(self, record: Record) -> None:
        """Take one record in."""
        if record.seq <= self.through_seq:
            return
        self.through_seq = record.seq
        try:
            self._take(record)
        except (MalformedBody, AttributeError, KeyError, TypeError, ValueError):
            self.unread += 1

    def _take(self, record: Record) -> None:
        view = View(self.state, self.registry, self.settings)
        match record.kind:
            case "config" | "gap":
                self._config(record)
                self._count(record, view)
            case "registry":
                self.registry.add(record.seq, record.body)
            case "event":
                take_record(self.state, self.registry, record)
                self._event(record)
                self._count(record, view)
            case "alarm":
                self._alarm(record, view)
            case "control":
                self._control(record)
            case "batch" | "chart":
                batches_part(record, view)
            case "lookback":
                if record.body.get("action") == "open":
                    put(view, from_body(LookBackOpen, record.body))
                look_back(record, view)
            case _:
                self._of_task(record, view)

    def _of_task(self, record: Record, view: View) -> None:
        """Take in what is said of one task; of one that was let go, whether a person has disposed of it."""
        if record.kind == "review":
            look_back(record, view)
        if record.kind == "task" or str(record.body.get("task")) in self.state.tasks:
            take_record(self.state, self.registry, record)
            batches_part(record, view)
            self._finish(record, view)

    def _finish(self, record: Record, view: View) -> None:
        """Note a task that is final now, count it, and let the oldest ones go that nothing holds."""
        if record.kind == "task" and "at_utc_ns" in record.body:
            self.run_off_ns = record.body["at_run_ns"] - record.body["at_utc_ns"]
        task = self.state.tasks.get(str(record.body.get("task")))
        leaving = task is not None and task.final and record.kind == "review"
        if task is not None and record.kind == "verdict":
            before, task.final = task.final, is_final(task)
            task.measured = task.measured or task.final
            leaving = task.final and not before
        self._count(record, view)
        if not leaving:
            return  # no other task can go than could before
        finished = [one.id for one in self.state.tasks.values() if one.final and not one.held]
        for name in finished[: max(0, len(finished) - self.settings.retained_tasks)]:
            let_go(self.state.lookbacks, self.state.tasks.pop(name))

    def _config(self, record: Record) -> None:
        """Count from here on with what the gateway was set to, where the record says that."""
        stated = (record.body.get("site") or {}).get("risk")
        if stated is not None:
            self.settings = self.settings.model_copy(update={"risk": RiskSettings.model_validate(stated)})

    def until(self, utc_ns: int) -> None:
        """Let time pass to an instant of UTC that the gateway is known to have reached."""
        pass_time(self.state.risk, utc_ns, utc_ns)

    def _count(self, record: Record, view: View) -> None:
        """Count a record for the risk index, as of its own UTC."""
        risk = self.state.risk
        risk.caused_run_ns = record.t_utc_ns
        self.until(record.t_utc_ns)
        count_risk(_in_utc(record), view)
        take_level(record, view)
        risk.changed.clear()

    def _event(self, record: Record) -> None:
        body, alarms = record.body, self.state.alarms
        code = str(body.get("code"))
        for ended in ENDS.get(code, ()):
            end(alarms, group_of(ended, RULES[ended], body), record.seq)
        rule = rule_of(body)
        if rule is None or code == "service-state":
            return
        group = group_of(code, rule, body)
        if group not in alarms.groups and alarms.open_by_code.get(code, 0) >= GROUPS_MAX:
            group = f"{code}|*"
        known = alarms.groups.get(group)
        if known is not None:
            count(alarms, alarms.items[known], record)
            return
        self._pending.setdefault(group, []).append(_First(record.seq, record.t_utc_ns, body))
        while len(self._pending) > PENDING_MAX:
            del self._pending[next(iter(self._pending))]

    def _alarm(self, record: Record, view: View) -> None:
        alarms, do = self.state.alarms, record.body.get("do")
        if do == "raise":
            self._raise(from_body(AlarmRaise, record.body))
        known = alarms.items.get(str(record.body.get("alarm")))
        if known is not None and do == "suppress":
            known.suppressed = from_body(AlarmSuppress, record.body).suppressed
            known.notice += not known.suppressed
        elif known is not None and do == "escalate":
            told = from_body(AlarmEscalate, record.body)
            known.level, known.late = told.level, told.step != "raised"
            known.notice += 1
        take(record, view)

    def _raise(self, told: AlarmRaise) -> None:
        alarms = self.state.alarms
        firsts = self._pending.pop(told.group, [])
        bare: dict[str, Any] = {
            "code": told.code, "severity": told.severity, "instrument": told.instrument, "args": {},
        }  # fmt: skip
        first = firsts[0] if firsts else _First(told.cause_seq, 0, bare)
        alarms.raised += 1
        alarms.items[told.alarm] = AlarmState(
            id=told.alarm, code=told.code, severity=told.severity, group=told.group, body=dict(first.body),
            instrument=told.instrument, first_seq=first.seq, first_utc_ns=first.utc_ns,
            last_seq=firsts[-1].seq if firsts else first.seq,
            last_utc_ns=firsts[-1].utc_ns if firsts else first.utc_ns, since_run_ns=0,
            seqs=[one.seq for one in firsts] or [first.seq], count=max(1, len(firsts)),
            suppressed=told.suppressed, flood=told.flood, notice=0 if told.suppressed else 1,
        )  # fmt: skip
        alarms.groups[told.group] = told.alarm
        alarms.open_by_code[told.code] = alarms.open_by_code.get(told.code, 0) + 1

    def _control(self, record: Record) -> None:
        if record.body.get("action") != "judge":
            return
        outcome, batches = from_body(ControlOutcome, record.body), self.state.batches
        known = [
            one for one in batches.outcomes.get(outcome.task, []) if one.outcome.quantity != outcome.quantity
        ]
        judged = Judged(outcome, record.seq)
        batches.outcomes[outcome.task] = [*known, judged]
        for instrument in outcome.instruments:
            key = history_key(outcome.method, instrument, outcome.kind)
            batches.history[key] = [*batches.history.get(key, []), judged][-HISTORY_MAX:]
        if not outcome.chart:
            return
        chart = batches.charts.setdefault(
            outcome.chart,
            ChartState(
                outcome.method, outcome.instruments[0], outcome.quantity, outcome.material, outcome.level
            ),
        )
        # Without lines in force the control was judged by something else, and its point by nothing.
        status = "not-evaluated" if outcome.chart_version is None else outcome.status
        chart.points = chart.points[-(POINTS_MAX - 1) :]
        chart.points.append(
            Point(
                task=outcome.task, batch=outcome.batch, place=outcome.place, lot=outcome.lot,
                value=outcome.value, unit=outcome.unit, t_utc_ns=outcome.at_utc_ns, status=status,
                version=outcome.chart_version, z=outcome.z,
                rules=[f"{fired.rule} {fired.scope}" for fired in outcome.rules], seq=record.seq,
            )
        )  # fmt: skip
        chart.observations += 1


def _in_utc(record: Record) -> Record:
    """Give a gap the begin that it has in UTC, and the length that it has in gateway time."""
    if record.kind != "gap":
        return record
    body, begin_ns = record.body, record.body["from_utc_ns"]
    lasted_ns = body["to_run_ns"] - body["from_run_ns"]
    return replace(record, body={**body, "from_run_ns": begin_ns, "to_run_ns": begin_ns + lasted_ns})
