"""The elements evaluated the slow and plain way: from the complete record, all rows of a window at once.

Nothing here is incremental and nothing is shared with the fold but the decoding of records and the table of
weights: where both say the same of a day, either both are wrong in the same way or the fold is right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.elements.risk.weights import counted_as, event_weight, reason_weight
from pipeline.records.frame import decode_flags, decode_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.elements.risk.settings import RiskSettings
    from pipeline.records.envelope import Record

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
ELEMENTS = ("people", "equipment", "material", "method", "environment", "measurement")


@dataclass(frozen=True)
class Window:
    """One channel of a task, from `from_ns` up to, not including, `to_ns` of gateway time."""

    role: str
    owner: str
    target: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class NaiveTask:
    """One task as its records tell it."""

    id: str
    start: dict[str, Any]
    start_seq: int
    end: dict[str, Any]
    aborted: bool
    windows: list[Window]
    last_seq: int
    """Last record whose rows can belong to it: the tick at which its end has settled."""


class NaiveElements:
    """A whole day's records, and what follows from them."""

    def __init__(self, records: Sequence[Record], settle_s: float) -> None:
        self.records = records
        self._settle_ns = round(settle_s * SECOND)

    def known(self, kind: str, entry: str, at_utc_ns: int, through_seq: int) -> dict[str, Any] | None:
        """Look an entry up: of the versions known by then that speak of the instant, the last one."""
        found = None
        for record in self.records:
            body = record.body
            if record.kind != "registry" or record.seq > through_seq:
                continue
            end_ns = math.inf if body["valid_to_ns"] is None else body["valid_to_ns"]
            if (body["type"], body["id"]) == (kind, entry) and body["valid_from_ns"] <= at_utc_ns < end_ns:
                found = body["data"]
        return found

    def equipment(self, instrument: str, at_utc_ns: int, through_seq: int) -> dict[str, Any] | None:
        """Find the asset that is an instrument."""
        ids = {r.body["id"] for r in self.records if r.kind == "registry" and r.body["type"] == "equipment"}
        found = [self.known("equipment", each, at_utc_ns, through_seq) for each in ids]
        return next((each for each in found if each is not None and each["instrument"] == instrument), None)

    def tasks(self) -> list[NaiveTask]:
        """Give every task that was ended."""
        starts = [r for r in self.records if r.kind == "task" and r.body.get("action") == "start"]
        whole = [r for r in starts if "task" in r.body]
        return [task for record in whole if (task := self._task(record)) is not None]

    def _task(self, start: Record) -> NaiveTask | None:
        own = [r for r in self.records if r.kind == "task" and r.body.get("task") == start.body["task"]]
        end = next((r for r in own if r.body["action"] in {"stop", "abort"}), None)
        if end is None:
            return None
        settled_ns = end.body["at_run_ns"] + self._settle_ns
        ticks = (
            r.seq for r in self.records if r.kind == "tick" and r.t_run_ns >= settled_ns and r.seq > end.seq
        )
        windows = []
        for record in own:
            bindings = record.body.get("bindings", [])
            if record.body["action"] == "bind":
                bindings = [record.body["binding"]]
            for binding in bindings:
                windows += self._windows(binding, start, end.body["at_run_ns"], record.t_run_ns)
        return NaiveTask(
            start.body["task"], start.body, start.seq, end.body, end.body["action"] == "abort", windows,
            next(ticks),
        )  # fmt: skip

    def _windows(self, binding: dict[str, Any], start: Record, end_ns: int, claimed_ns: int) -> list[Window]:
        targets = []
        if binding["role"] == "measurand":
            targets = [binding["target"]]
        elif binding["role"] in {"environment", "storage"}:
            place = self.known("environment", binding["target"], start.body["at_utc_ns"], start.seq)
            targets = [] if place is None else [channel["target"] for channel in place["channels"]]
        from_ns = max(binding["from_run_ns"], claimed_ns) if binding["late"] else binding["from_run_ns"]
        to_ns = end_ns if binding["to_run_ns"] is None else binding["to_run_ns"]
        return [Window(binding["role"], binding["target"], target, from_ns, to_ns) for target in targets]

    def rows(self, window: Window, through_seq: int) -> dict[str, np.ndarray[Any, Any]]:
        """Collect all rows of a window: columns seq, n, t, value, status, flag."""
        instrument, _, channel = window.target.partition(".")
        parts: dict[str, list[Any]] = {name: [] for name in ("seq", "n", "t", "value", "status", "flag")}
        for record in self.records:
            if record.kind != "data" or record.body["instrument"] != instrument or record.seq > through_seq:
                continue
            frame = decode_frame(record.body)
            position = frame.block.layout.index[channel]
            parts["seq"].append(np.full(len(frame.block), record.seq))
            parts["n"].append(frame.ordinals())
            parts["t"].append(frame.block.t_run_ns)
            parts["value"].append(np.asarray(frame.block.column(channel), dtype=np.float64))
            parts["status"].append(frame.block.status[position])
            parts["flag"].append(frame.flag[position])
        columns = {name: np.concatenate(part) if part else np.empty(0) for name, part in parts.items()}
        inside = (columns["t"] >= window.from_ns) & (columns["t"] < window.to_ns)
        return {name: column[inside] for name, column in columns.items()}

    def facts(self, window: Window, through_seq: int) -> dict[str, Any]:
        """Sum the rows of a window up."""
        rows = self.rows(window, through_seq)
        good = (rows["status"] == 0) & np.isfinite(rows["value"])
        unsettled = np.isin(rows["status"], (7, 11))
        failed = good & (rows["flag"] == 4)
        valid = good & ~failed
        values, seqs = rows["value"][valid], rows["seq"][valid]
        times = np.concatenate([[window.from_ns], rows["t"][valid]])
        some = len(values) > 0
        return {
            "rows": len(good), "good": int(good.sum()), "missing": int((~good & ~unsettled).sum()),
            "failed": int(failed.sum()),
            "min": float(values.min()) if some else None, "max": float(values.max()) if some else None,
            "min_seq": int(seqs[values.argmin()]) if some else -1,
            "max_seq": int(seqs[values.argmax()]) if some else -1,
            "seq_first": int(rows["seq"][0]) if len(good) else -1,
            "seq_last": int(rows["seq"][-1]) if len(good) else -1,
            "silence_max_s": float(np.diff(times).max()) / SECOND if some else 0.0,
            "last_ns": int(times[-1]),
        }  # fmt: skip

    def decided(self, window: Window, through_seq: int, rows_through_seq: int) -> dict[str, int]:
        """Count what rules said afterwards of the rows of a window, by records up to `through_seq`."""
        instrument, _, channel = window.target.partition(".")
        mine = self.rows(window, rows_through_seq)
        counts = {"failed": 0, "suspect": int(((mine["flag"] == 3) & (mine["status"] == 0)).sum())}
        for record in self.records:
            if record.kind != "flags" or record.seq > through_seq or record.body["instrument"] != instrument:
                continue
            flags = decode_flags(record.body)
            arrived = set(mine["n"][mine["seq"] < record.seq].tolist())
            for n, name, flag in zip(flags.n.tolist(), flags.channel, flags.flag.tolist(), strict=True):
                if name == channel and n in arrived and flag in {3, 4}:
                    counts["failed" if flag == 4 else "suspect"] += 1
        return counts

    def verdicts(self, task: str) -> dict[str, Record]:
        """Give the verdicts in force of a task: the last record of each element."""
        return {r.body["element"]: r for r in self.records if r.kind == "verdict" and r.body["task"] == task}

    def held(self) -> dict[str, set[str]]:
        """Tell which elements of which task wait for a person: a hold that nobody has seen yet is added."""
        held: dict[str, set[str]] = {}
        before: dict[tuple[str, str], Record] = {}
        aborted = set()
        for record in self.records:
            body = record.body
            if record.kind == "review" or (record.kind == "task" and body.get("action") == "abort"):
                held[body["task"]] = set()
                aborted |= {body["task"]} if record.kind == "task" else set()
            elif record.kind == "verdict":
                last, key = before.get((body["task"], body["element"])), (body["task"], body["element"])
                before[key] = record
                fresh = last is None or not _holds(last) or _rank(record) > _rank(last)
                fresh = fresh or bool(_keys(record) - _keys(last))  # type: ignore[arg-type]  # fresh without
                if _holds(record) and fresh and body["task"] not in aborted:
                    held.setdefault(body["task"], set()).add(body["element"])
        return {task: elements for task, elements in held.items() if elements}

    def risk(self, name: str, settings: RiskSettings) -> float:
        """Compute an index, of the laboratory or of an element, event by event."""
        now_ns = max((r.t_run_ns for r in self.records if r.kind == "tick"), default=0)
        work = math.fsum(self._left(t_ns, now_ns, settings) for t_ns in self._work(name))
        events = [*self._reasons(name, settings), *self._happenings(name, settings)]
        points = math.fsum(weight * self._left(t_ns, now_ns, settings) for t_ns, weight in events)
        return 100.0 * points / max(work, settings.minimum_tasks)

    @staticmethod
    def _left(t_ns: int, now_ns: int, settings: RiskSettings) -> float:
        return math.exp(-math.log(2.0) * max(now_ns - t_ns, 0) / (settings.half_life_days * DAY))

    def _closed(self) -> list[tuple[NaiveTask, int, dict[str, str]]]:
        """Give each task whose six verdicts are final, when they were, and what they said then."""
        found = []
        for task in self.tasks():
            first: dict[str, Record] = {}
            for r in self.records:
                if r.kind == "verdict" and r.body["task"] == task.id and r.body["finality"] == "final":
                    first.setdefault(r.body["element"], r)
            if len(first) == len(ELEMENTS):
                statuses = {element: r.body["status"] for element, r in first.items()}
                found.append((task, max(r.t_run_ns for r in first.values()), statuses))
        return found

    def _work(self, name: str) -> list[int]:
        done = []
        for task, t_ns, statuses in self._closed():
            own = [statuses[name.partition(":")[2]]] if name.startswith("element:") else statuses.values()
            if not task.aborted and "not_evaluated" not in own:
                done.append(t_ns)
        return done

    def _reasons(self, name: str, settings: RiskSettings) -> list[tuple[int, float]]:
        counted, events = set(), []
        closed = {task.id for task, _, _ in self._closed() if not task.aborted}
        for r in self.records:
            if r.kind != "verdict" or r.body["task"] not in closed or r.body["finality"] != "final":
                continue
            if name not in {"lab", f"element:{r.body['element']}"}:
                continue
            for reason in r.body["reasons"]:
                key = (r.body["task"], r.body["element"], reason["code"], reason["subject"])
                if key not in counted:
                    counted.add(key)
                    events.append((r.t_run_ns, reason_weight(reason["code"], reason["status"], settings)))
        return events

    def _happenings(self, name: str, settings: RiskSettings) -> list[tuple[int, float]]:
        events = []
        if name == "lab":
            events += [
                (r.t_run_ns, event_weight(counted_as(r.body["code"]), settings))
                for r in self.records
                if r.kind == "event"
            ]
            aborted = [t_ns for task, t_ns, _ in self._closed() if task.aborted]
            events += [(t_ns, event_weight("task-aborted", settings)) for t_ns in aborted]
        if name in {"lab", "element:measurement"}:
            for r in self.records:
                if r.kind == "gap" and r.body["ended"] and r.body["cause"] != "service-state":
                    hours = (r.body["to_run_ns"] - r.body["from_run_ns"]) / (3600 * SECOND)
                    events.append((r.t_run_ns, settings.gap_hour_weight * hours))
        return events


def _holds(record: Record) -> bool:
    body = record.body
    return body["status"] == "hold" or (body["status"], body["finality"]) == ("not_evaluated", "final")


def _rank(record: Record) -> int:
    return ("ok", "flag", "not_evaluated", "hold").index(record.body["status"])


def _keys(record: Record) -> set[tuple[str, str]]:
    return {(reason["code"], reason["subject"]) for reason in record.body["reasons"]}
