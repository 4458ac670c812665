"""CPU time of the elements: `python -m benchmarks.elements [--json] [--seconds N]`.

50 instruments of 10 channels at 10 readings/s, each row in a frame of its own as the journal gets it, 50
running tasks (one an instrument) in 5 rooms whose sensors report once a second, 1,000 finished tasks that are
kept, 10,000 registry records.
Besides the data: a tick a second, and of every instrument a `flags` record a second, as from a rule that
needs the future. Records are made before the clock starts; decoding their frames is part of the elements'
work, reading them from the journal is not. CPU time of the process, not of the wall.
"""

from __future__ import annotations

import argparse
import gc
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from gateway.tuning import tune
from pipeline.elements import Elements, ElementsSettings
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import (
    Authorisation,
    Environment,
    EnvironmentChannel,
    Equipment,
    Limit,
    Material,
    Method,
    Metrology,
    Person,
    Requirement,
)
from pipeline.elements.shapes import Actor
from pipeline.records.block import Block, Channel, Layout
from pipeline.records.clock import ClockState
from pipeline.records.envelope import By, Record, decode, encode
from pipeline.records.frame import FlagSet, Frame, encode_flags, encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SEED = 20261122
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
UTC0, RUN0 = 1_780_000_000 * SECOND, 5_000 * SECOND
INSTRUMENTS, CHANNELS, RATE, ROOMS, REGISTRY = 50, 10, 10, 5, 10_000
NAMES = tuple(f"ch{number}" for number in range(CHANNELS))
FINISHED, WARM_UP_S = 1000, 3
CLOCK = ClockState(synchronised=True, error_ns=0)


class Site:
    """A journal without a disk, and the elements that consume it."""

    def __init__(self) -> None:
        self.elements = Elements(ElementsSettings())
        self.seq = 0
        self.now = 0
        self.rows: dict[str, int] = {}
        self._random = np.random.default_rng(SEED)
        self._layout = Layout(tuple(Channel(name, unit="kPa", decimals=4) for name in NAMES))
        self._air = Layout((Channel("temperature", unit="°C", decimals=2),))

    def record(self, kind: str, body: dict[str, Any], by: By | None = None) -> Record:
        """Make a record as a reader of the journal gets it."""
        encoded = encode(
            kind=kind, source="live", journal=bytes(16), epoch=0, boot=1, seq=self.seq,
            t_utc_ns=UTC0 + self.now, t_run_ns=RUN0 + self.now, clock=CLOCK, by=by, body=body,
        )  # fmt: skip
        self.seq += 1
        return decode(encoded.data)

    def take(self, records: Iterable[Record]) -> int:
        """Feed records, and what follows from them, and say how many followed."""
        derived = 0
        for record in records:
            owed = [(record.seq, draft) for draft in self.elements.consume(record)]
            while owed:
                cause, draft = owed.pop(0)
                follow = self.record(draft.kind, draft.body, By("elements", 1, cause, derived))
                owed += [(follow.seq, each) for each in self.elements.consume(follow)]
                derived += 1
        return derived

    def frame(self, instrument: str, layout: Layout, values: np.ndarray[Any, Any]) -> Record:
        """Make a frame of one row."""
        n = self.rows.get(instrument, 0)
        self.rows[instrument] = n + 1
        channels, run = len(layout.channels), np.array([RUN0 + self.now], dtype=np.int64)
        block = Block(
            instrument, layout, run + (UTC0 - RUN0), run, run, run, np.zeros((channels, 1), np.uint8),
            np.ascontiguousarray(values.reshape(channels, 1)), np.empty((0, 1), np.int64),
            np.empty((0, 1), np.uint64),
        )  # fmt: skip
        none = np.zeros((channels, 1), np.int64)
        return self.record(
            "data", encode_frame(Frame(block, n, np.ones((channels, 1), np.uint8), none, none))
        )

    def second(self) -> list[Record]:
        """Make the records of one second, in the order in which they arrive."""
        records = []
        for _ in range(RATE):
            self.now += SECOND // RATE
            for number in range(INSTRUMENTS):
                values = 100.0 + self._random.normal(0.0, 0.01, CHANNELS).round(4)
                records.append(self.frame(f"i-{number}", self._layout, values))
                if number % RATE == (self.now // (SECOND // RATE)) % RATE:
                    records.append(self.record("flags", self._decided(f"i-{number}")))
        records += [self.frame(f"t-{number}", self._air, np.array([21.0])) for number in range(ROOMS)]
        return [*records, self.record("tick", {})]

    def _decided(self, instrument: str) -> dict[str, Any]:
        empty = np.empty(0, np.int64)
        through = self.rows.get(instrument, 0) - 1
        return encode_flags(FlagSet(instrument, "spike", through, empty, (), empty.astype(np.uint8), empty))

    def registry(self, kind: str, entry: str, data: object) -> Record:
        """Make a registry record."""
        body = {
            "type": kind, "id": entry, "valid_from_ns": UTC0 - 900 * DAY, "valid_to_ns": None,
            "recorded_at_ns": UTC0, "data": to_body(data), "actor": {},
        }  # fmt: skip
        return self.record("registry", body)


def equipment(instrument: str, room: str | None = None) -> Equipment:
    """An instrument in order."""
    metrology = Metrology("calibration", "C-1", "L", "p-0", UTC0, UTC0 + 300 * DAY)
    return Equipment(
        instrument, serial=None, identifies=False, channels=NAMES, room=room, metrology=metrology
    )


def enrol(site: Site) -> None:
    """Fill the registry: what the tasks rest on, and other entries up to 10,000."""
    leave = (Authorisation(("*",), ("*",), UTC0 - DAY),)
    method = Method(
        "M-1", "2025", requirements=(Requirement("operator"), Requirement("measurand")),
        environment_limits=(Limit("temperature", 18.0, 26.0),),
    )  # fmt: skip
    found = [site.registry("person", f"p-{n}", Person(f"B-{n}", leave)) for n in range(INSTRUMENTS)]
    found.append(site.registry("method", "m-1", method))
    for n in range(ROOMS):
        channel = EnvironmentChannel("temperature", f"t-{n}.temperature", 15.0, 30.0, 10.0)
        found.append(site.registry("environment", f"room-{n}", Environment("room", (channel,))))
        found.append(site.registry("equipment", f"T-{n}", equipment(f"t-{n}")))
    found += [
        site.registry("equipment", f"E-{n}", equipment(f"i-{n}", f"room-{n % ROOMS}"))
        for n in range(INSTRUMENTS)
    ]
    sample = Material("sample", UTC0 - DAY, 10 * 86_400.0)
    found += [site.registry("material", f"S-{n}", sample) for n in range(REGISTRY - len(found))]
    site.take(found)


def start_tasks(site: Site, key: str) -> None:
    """Start one task on each instrument."""
    for n in range(INSTRUMENTS):
        who = Actor(f"p-{n}", "operator", "password", "bench", "", "", UTC0, f"{key}-{n}")
        args = {"sample": f"S-{n}", "method": "m-1", "instrument": f"i-{n}"}
        planned = site.elements.plan("task.start", args, who, UTC0 + site.now, RUN0 + site.now)
        site.take([site.record(draft.kind, draft.body) for draft in planned.drafts])


def stop_tasks(site: Site) -> None:
    """Stop every task that runs."""
    for each in site.elements.tasks(INSTRUMENTS):
        who = Actor("p-0", "operator", "password", "bench", "", "", UTC0, f"stop-{each['task']}")
        planned = site.elements.plan(
            "task.stop", {"task": each["task"]}, who, UTC0 + site.now, RUN0 + site.now
        )
        site.take([site.record(draft.kind, draft.body) for draft in planned.drafts])


def finish_tasks(site: Site) -> None:
    """Leave finished tasks behind, as many as are kept."""
    for number in range(FINISHED // INSTRUMENTS):
        start_tasks(site, f"before-{number}")
        stop_tasks(site)
        for _ in range(8):
            site.now += SECOND
            site.take([site.record("tick", {})])


def import_s(site: Site) -> float:
    """Measure the CPU time of taking in the registry once more, beside running and finished tasks."""
    sample = Material("sample", UTC0 - DAY, 10 * 86_400.0)
    records = [site.registry("material", f"S-{n}", sample) for n in range(REGISTRY)]
    started_s = time.process_time()
    site.take([*records, site.record("tick", {})])
    return time.process_time() - started_s


def per_second(site: Site, seconds: int) -> dict[str, float]:
    """Measure the CPU time that a second of data takes, and that of its tick alone."""
    whole, ticks = [], []
    for _ in range(seconds):
        *records, tick = site.second()
        gc.collect()
        start_s = time.process_time()
        site.take(records)
        before_s = time.process_time()
        site.take([tick])
        ticks.append(time.process_time() - before_s)
        whole.append(time.process_time() - start_s)
    return {
        "cpu_share": float(np.mean(whole)),
        "tick_s": float(np.mean(ticks)),
        "worst_s": float(np.max(whole)),
    }


def latency(site: Site) -> dict[str, float]:
    """Measure how many ticks, and how much CPU, lie between a fact and the verdicts that it changes."""
    overdue = Metrology("calibration", "C-1", "L", "p-0", UTC0, UTC0 - DAY)
    wrong = Equipment("i-0", serial=None, identifies=False, channels=NAMES, room="room-0", metrology=overdue)
    task = next(each["task"] for each in site.elements.tasks(INSTRUMENTS) if each["instruments"] == ["i-0"])
    start_s = time.process_time()
    site.take([site.registry("equipment", "E-0", wrong)])
    ticks = 0
    while _status(site, task) != "hold":
        site.now += SECOND
        site.take([site.record("tick", {})])
        ticks += 1
    return {"ticks": ticks, "cpu_s": time.process_time() - start_s}


def _status(site: Site, task: str) -> str:
    shown = site.elements.task(task)
    assert shown is not None
    return next(str(each["status"]) for each in shown["verdicts"] if each["element"] == "equipment")


def end_tasks(site: Site) -> float:
    """Stop every task at once and measure the CPU time until all are final, detectors and risk included."""
    started_s = time.process_time()
    stop_tasks(site)
    spent_s = time.process_time() - started_s
    for _ in range(8):
        records = site.second()
        started_s = time.process_time()
        site.take(records)
        spent_s += time.process_time() - started_s
    assert site.elements.open_tasks == 0
    return spent_s


def capture_turns_s(site: Site) -> tuple[list[float], bytes]:
    """Make a snapshot as the daemon does, a turn of the loop at a time; CPU time of each, and the state."""
    start_s = time.thread_time()
    capture = site.elements.capture()
    turns = [time.thread_time() - start_s]
    while not capture.whole:
        start_s = time.thread_time()
        capture.take()
        turns.append(time.thread_time() - start_s)
    return turns, b"".join(capture.taken)


def snapshot_s(site: Site) -> dict[str, float]:
    """Time the first snapshot, one with finished tasks kept, and restoring it."""
    tune()  # as every role does
    first, _ = capture_turns_s(site)
    turns, data = capture_turns_s(site)
    start_s = time.process_time()
    Elements(ElementsSettings()).restore(data)
    return {
        "first_s": sum(first), "first_turn_s": max(first), "make_s": sum(turns), "turns": len(turns),
        "turn_p99_s": float(np.percentile(turns, 99)), "turn_s": max(turns),
        "restore_s": time.process_time() - start_s, "bytes": len(data),
    }  # fmt: skip


def measure(seconds: int) -> dict[str, Any]:
    """Measure everything."""
    site = Site()
    enrol(site)
    finish_tasks(site)
    start_tasks(site, "now")
    per_second(site, WARM_UP_S)
    running = per_second(site, seconds)
    return {
        "machine": describe_machine(("numpy", "msgpack")),
        "seconds": seconds,
        "running": running,
        "snapshot": snapshot_s(site),
        "latency": latency(site),
        "import_s": import_s(site),
        "closing_s": end_tasks(site),
    }


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    running, late, kept = found["running"], found["latency"], found["snapshot"]
    made = (
        f"{kept['make_s'] * 1e3:.0f} ms in all, p99 of a turn {kept['turn_p99_s'] * 1e3:.1f} ms, "
        f"longest {kept['turn_s'] * 1e3:.1f} ms"
    )
    first = f"{kept['first_s'] * 1e3:.0f} ms in all, longest turn {kept['first_turn_s'] * 1e3:.1f} ms"
    rows = [
        ("CPU for a second of data, share of one core", f"{running['cpu_share']:.1%}"),
        ("of it the tick, which judges all running tasks", f"{running['tick_s'] * 1e3:.1f} ms"),
        ("the worst second", f"{running['worst_s'] * 1e3:.0f} ms"),
        ("from a certificate to the verdict: ticks", f"{late['ticks']:.0f}"),
        ("from a certificate to the verdict: CPU", f"{late['cpu_s'] * 1e3:.1f} ms"),
        (f"import of {REGISTRY:,} registry records and the tick after it: CPU", f"{found['import_s']:.2f} s"),
        (f"{INSTRUMENTS} tasks stopped at once, all final: CPU", f"{found['closing_s'] * 1e3:.0f} ms"),
        (f"snapshot: {kept['turns']:.0f} turns of the loop, {kept['bytes'] / 1e6:.1f} MB", made),
        ("snapshot: the first one, nothing packed before", first),
        ("snapshot: restoring it", f"{kept['restore_s'] * 1e3:.0f} ms"),
    ]
    text = (
        f"{INSTRUMENTS} instruments × {CHANNELS} channels at {RATE} readings/s, {INSTRUMENTS} running and "
        f"{FINISHED:,} finished tasks, "
        f"{REGISTRY:,} registry records, mean of {found['seconds']} s. The goal is 10 % of one core, and a "
        "verdict within one tick, that is 1 s, of the record that changes it."
    )
    return section_text("Elements", text, ("what", "measured"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--seconds", type=int, default=20, help="seconds of data (default 20)")
    options = parser.parse_args(arguments)
    found = measure(options.seconds)
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
