"""Detectors that look at a task once, when its verdicts have become final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipeline.elements.apply import attempt_key
from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.detectors.evidence import Evidence
from pipeline.elements.detectors.prints import digest, shared
from pipeline.elements.detectors.state import (
    ATTEMPT_KEYS_MAX,
    ATTEMPTS_MAX,
    CHANNELS_MAX,
    ENDS_MAX,
    INSTRUMENTS_MAX,
    SAMPLES_MAX,
    WINDOWS_MAX,
    Attempt,
    DetectorState,
    RunningPrint,
    SampleMass,
    TaskEnd,
    WindowPrint,
)  # fmt: skip
from pipeline.elements.hand.state import counting, in_force
from pipeline.elements.registry_shapes import Material

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.detectors.settings import DetectorSettings
    from pipeline.elements.registry import Registry
    from pipeline.elements.state import ChannelFacts, TaskState

V = TypeVar("V")
_HOUR_NS = 3600 * SECOND_NS
_REPORTING = frozenset({"test", "proficiency"})
"""Purposes whose results go out of the laboratory."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A task whose verdicts have just become final, and what its detectors may look at."""

    task: TaskState
    memory: DetectorState
    registry: Registry
    settings: DetectorSettings

    @property
    def measurands(self) -> list[ChannelFacts]:
        """Facts of the channels that were measured."""
        return [facts for facts in self.task.channels if facts.role == "measurand"]

    @property
    def span(self) -> tuple[int, ...]:
        """Seqs of start and end."""
        return (self.task.start_seq, -1 if self.task.end_seq is None else self.task.end_seq)


def no_raw_data(closing: Closing) -> list[Evidence]:
    """B1: a task was carried through, and no reading with a value was received in its window."""
    task = closing.task
    if task.phase != "stopped" or any(facts.good for facts in closing.measurands) or counting(task.entries):
        return []
    gaps = [gap.seq for known in task.gaps.values() for gap in known]
    return [
        Evidence("no-raw-data", "B1", subject=_instruments(task), task=task.id, seqs=(*closing.span, *gaps))
    ]


def throughput(closing: Closing) -> list[Evidence]:
    """B1: more tasks were carried through on an instrument within an hour than its registered capacity."""
    task, found = closing.task, []
    if task.phase != "stopped" or task.end_run_ns is None:
        return []
    for name in task.start.instruments:
        ends = closing.memory.ends.setdefault(name, [])
        ends.append(TaskEnd(task.id, task.end_run_ns, closing.span[1]))
        newest_ns = max(end.t_run_ns for end in ends)
        ends[:] = [end for end in ends if end.t_run_ns > newest_ns - _HOUR_NS][-ENDS_MAX:]
        equipment = closing.registry.equipment_of(name, task.start.at_utc_ns)
        capacity = None if equipment is None else equipment[1].capacity_per_hour
        if capacity is not None and len(ends) > capacity:
            seqs = tuple(end.seq for end in ends)
            about = {"count": len(ends), "capacity": capacity}
            found.append(Evidence("throughput", "B1", subject=name, task=task.id, seqs=seqs, args=about))
    _bound(closing.memory.ends, INSTRUMENTS_MAX)
    return found


def identical_windows(closing: Closing) -> list[Evidence]:
    """B2: stretches of readings that agree bit for bit with those of another task's window."""
    task, memory, settings = closing.task, closing.memory, closing.settings
    running, found = memory.running.pop(task.id, {}), []
    for target, progress in running.items():
        digest(progress, settings)
        facts = next((facts for facts in closing.measurands if facts.target == target), None)
        if facts is None or not progress.hashes or target in settings.identical_ignore:
            continue
        found += _compare(closing, target, progress, facts)
        own = WindowPrint(task.id, task.start.sample or "", facts.seq_first, facts.seq_last, progress.hashes)
        known = memory.windows.pop(target, [])
        memory.windows[target] = [*known, own][-WINDOWS_MAX:]
    _bound(memory.windows, CHANNELS_MAX)
    return found


def _compare(closing: Closing, target: str, progress: RunningPrint, facts: ChannelFacts) -> list[Evidence]:
    task, found = closing.task, []
    for earlier in closing.memory.windows.get(target, []):
        overlap = earlier.seq_last >= facts.seq_first >= 0 and earlier.seq_first <= facts.seq_last
        pieces = shared(progress.hashes, earlier.hashes)
        # Two tasks that measured at the same time hold the same readings by right.
        if overlap or pieces < closing.settings.identical_shared:
            continue
        seqs = (earlier.seq_first, earlier.seq_last, facts.seq_first, facts.seq_last)
        about = {"other": earlier.task, "other_sample": earlier.sample, "pieces": pieces}
        found.append(
            Evidence("identical-windows", "B2", target, task.id, seqs, {**about, "reason": earlier.task})
        )
    return found


def manual_share(closing: Closing) -> list[Evidence]:
    """B2: a large share of a task's readings was entered by hand."""
    seqs = tuple(each.seq for each in in_force(closing.task.entries))
    count, read = len(seqs), sum(facts.good for facts in closing.measurands)
    if not count or count / (count + read) <= closing.settings.manual_share:
        return []
    about = {"count": count, "read": read}
    return [Evidence("manual-share", "B2", _instruments(closing.task), closing.task.id, seqs, about)]


def attempts(closing: Closing) -> list[Evidence]:
    """B2: earlier attempts at the same sample, item and method that yielded readings and were not used."""
    task, memory = closing.task, closing.memory
    if task.start.purpose not in _REPORTING or task.start.sample is None:
        return []
    key = attempt_key(task.start.sample, task.start.item, task.start.method, task.start.control)
    earlier = memory.attempts.pop(key, [])
    failed = any(r.conformity is not None and r.conformity.decision == "fail" for r in task.results)
    own = Attempt(
        task.id, task.phase, sum(facts.good for facts in closing.measurands), failed,
        [*closing.span, *task.result_seqs[:2]],
    )  # fmt: skip
    memory.attempts[key] = [*earlier, own][-ATTEMPTS_MAX:]
    _bound(memory.attempts, ATTEMPT_KEYS_MAX)
    left = [each for each in earlier if (each.phase == "aborted" and each.good) or each.nonconforming]
    if task.phase != "stopped" or not left:
        return []
    about = {
        "attempt": task.start.attempt,
        "aborted": sum(each.phase == "aborted" for each in left),
        "nonconforming": sum(each.nonconforming for each in left),
    }
    seqs = tuple(seq for each in left for seq in each.seqs)
    return [Evidence("attempts", "B2", task.start.sample, task.id, seqs, about)]


def sample_mass(closing: Closing) -> list[Evidence]:
    """B4: the mass of the whole sample is another one than before."""
    task, memory, found = closing.task, closing.memory, []
    sample = task.start.sample
    if sample is None or task.phase != "stopped":
        return []
    for result, seq in zip(task.results, task.result_seqs, strict=False):
        if result.quantity not in closing.settings.sample_mass:
            continue
        key = f"{sample}|{result.quantity}|{result.unit}"
        first = memory.samples.setdefault(key, SampleMass(result.value, seq, task.id))
        limit = closing.settings.sample_mass_tolerance * abs(first.value)
        if abs(result.value - first.value) > limit:
            about = {"quantity": result.quantity, "other": first.task}
            found.append(Evidence("sample-mass", "B4", sample, task.id, (first.seq, seq), about))
    _bound(memory.samples, SAMPLES_MAX)
    return found


def custody_order(closing: Closing) -> list[Evidence]:
    """B4: receipt and hand-overs of the sample do not follow one another, or all are later than the work."""
    task, sample = closing.task, closing.task.start.sample
    found = (
        None if sample is None else closing.registry.at(Material, sample, task.utc_at(task.end_run_ns or 0))
    )
    if sample is None or found is None or not found[0].custody:
        return []
    received_ns, links = found[0].received_at_ns, [step.at_ns for step in found[0].custody]
    times = links if received_ns is None else [received_ns, *links]
    if times == sorted(times) and times[0] <= task.start.at_utc_ns:
        return []
    return [Evidence("custody-order", "B4", sample, task.id, (found[1].seq, *closing.span))]


def _instruments(task: TaskState) -> str:
    return ", ".join(task.start.instruments)


def _bound(table: dict[str, V], limit: int) -> None:
    while len(table) > limit:
        del table[next(iter(table))]


CLOSING: tuple[Callable[[Closing], list[Evidence]], ...] = (
    no_raw_data, throughput, identical_windows, manual_share, attempts, sample_mass, custody_order,
)  # fmt: skip
"""The literal table of detectors that look at a finished task."""
