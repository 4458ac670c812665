"""A year of tasks in the ledger's index, and a registry of 10,000 entries: how long people wait for them."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show
from pipeline.elements import Actor, Draft, Elements, Planned, read_registries
from pipeline.elements.registry_shapes import Material
from pipeline.elements.vocabulary import ELEMENTS
from pipeline.ledger import LedgerIndex, TaskFilter, rebuild_task
from pipeline.records.clock import ClockState
from pipeline.records.envelope import Record, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

JOURNAL = bytes(range(16))
CLOCK = ClockState(synchronised=True, error_ns=0)
SECOND_NS = 10**9
UTC0, RUN0 = 1_780_000_000 * SECOND_NS, 5_000 * SECOND_NS
TASK_NS = 300 * SECOND_NS
INSTRUMENTS, SAMPLES, PEOPLE = 40, 20_000, 30
ACTOR = {
    "person": "p-1", "role": "", "how": "pin", "station": "b", "meaning": "", "reason": "", "signed_at_ns": 0,
    "idempotency_key": "",
}  # fmt: skip


def record(kind: str, seq: int, body: dict[str, Any], t_ns: int) -> Record:
    """Make a record as the journal would."""
    return encode(
        kind=kind, source="live", journal=JOURNAL, epoch=0, boot=1, seq=seq, t_utc_ns=UTC0 + t_ns,
        t_run_ns=RUN0 + t_ns, clock=CLOCK, by=None, body=body,
    )  # fmt: skip


def bodies(number: int, instruments: int = INSTRUMENTS) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Give the ledger records of one task: start, verdicts twice, stop, result."""
    task, begin = f"00010203-{number + 1:05d}", number * TASK_NS
    instrument, sample = f"bal-{number % instruments}", f"S-{number % SAMPLES}"
    run_ns = RUN0 + begin
    roles = (
        ("operator", f"p-{number % PEOPLE}"),
        ("measurand", f"{instrument}.weight"),
        ("environment", "room"),
    )
    bindings = [
        {"role": role, "target": target, "from_run_ns": run_ns, "to_run_ns": None, "late": False}
        for role, target in roles
    ]
    yield "task", {
        "action": "start", "task": task, "purpose": "test", "method": "weighing", "edition": "2025",
        "instruments": [instrument], "bindings": bindings, "actor": ACTOR, "sample": sample, "item": "mass",
        "clause": "", "batch": None, "attempt": 1, "at_run_ns": run_ns, "at_utc_ns": UTC0 + begin,
    }, begin  # fmt: skip
    end = begin + TASK_NS // 2
    for finality, t_ns in (("provisional", begin), ("final", end + 6 * SECOND_NS)):
        if finality == "final":
            stop = {"action": "stop", "task": task, "at_run_ns": RUN0 + end, "at_utc_ns": UTC0 + end}
            yield "task", {**stop, "actor": ACTOR}, end
            yield "result", {
                "task": task, "quantity": "net_mass", "value": 50.0, "unit": "g", "decimals": 4,
                "uncertainty": 0.0003, "k": 2.0, "conformity": None, "seqs": [1, 2],
                "algorithm": "net-weight",
                "version": 1, "facts": {},
            }, t_ns  # fmt: skip
        for element in ELEMENTS:
            yield "verdict", {
                "task": task, "element": element, "status": "ok", "finality": finality, "supersedes": None,
                "cause": "start", "cause_seq": 1, "late": False, "reasons": [],
                "facts": {"from_utc_ns": UTC0 + begin, "rows": 600, "good": 600},
            }, t_ns  # fmt: skip


def seconds(work: Callable[[], Any], repeats: int) -> float:
    """Median CPU time of one call, in the process and the kernel: other work on the machine is not in it."""
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return statistics.median(found)


def filled(index: LedgerIndex, tasks: int) -> tuple[float, int]:
    """Take the records of many tasks in; returns seconds of CPU for it, and how many records there were."""
    seq, spent = 0, 0.0
    for first in range(0, tasks, 1000):
        batch = []
        for number in range(first, min(first + 1000, tasks)):
            for kind, body, t_ns in bodies(number):
                batch.append(record(kind, seq, body, t_ns))
                seq += 1
        began = time.process_time()
        index.take(batch, seq - 1)
        spent += time.process_time() - began
    return spent, seq


def measure_ledger(tasks: int, repeats: int) -> dict[str, float]:
    """Fill an index and ask it what people ask."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        index = LedgerIndex(path, JOURNAL)
        spent, records = filled(index, tasks)
        middle = RUN0 + tasks // 2 * TASK_NS
        newest = index.tasks(TaskFilter(limit=1))[0].task
        known = rebuild_task([
            record(kind, seq, body, t_ns) for seq, (kind, body, t_ns) in enumerate(bodies(tasks // 2))
        ])  # fmt: skip
        assert known is not None
        assert known.final
        assert len(index.tasks(TaskFilter(limit=tasks))) == tasks
        end = RUN0 + tasks * TASK_NS
        size = sum(one.stat().st_size for one in Path(folder).iterdir())
        found = {
            "tasks": tasks, "records": records, "take_in_cpu_s": spent, "bytes": size,
            "page_s": seconds(lambda: index.tasks(TaskFilter()), repeats),
            "deep_page_s": seconds(lambda: index.tasks(TaskFilter(before=newest, limit=1000)), repeats),
            "all_s": seconds(lambda: index.tasks(TaskFilter(limit=tasks)), repeats),
            "by_sample_s": seconds(lambda: index.tasks(TaskFilter(sample="S-77")), repeats),
            "by_instrument_s": seconds(
                lambda: index.tasks(TaskFilter(instrument="bal-7", limit=1000)), repeats
            ),
            "held_s": seconds(lambda: index.tasks(TaskFilter(overall="held")), repeats),
            "look_back_year_s": seconds(lambda: index.affected("instrument", "bal-7", RUN0, end), repeats),
            "look_back_room_s": seconds(lambda: index.affected("environment", "room", RUN0, end), repeats),
            "look_back_day_s": seconds(
                lambda: index.affected("instrument", "bal-7", middle, middle + 86_400 * SECOND_NS), repeats
            ),
            "mentions_s": seconds(lambda: index.mentions(newest), repeats),
        }  # fmt: skip
        assert len(index.affected("environment", "room", RUN0, end)) == tasks
        index.close()
        return found


def measure_registry(entries: int, repeats: int) -> dict[str, float]:
    """Read, import, look up and snapshot a registry."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "material.csv"
        lines = [f"S-{n},sample,2026-03-01T08:00:00+08:00,48.0,fridge,c-1,L-{n}" for n in range(entries)]
        path.write_text("\n".join(["id,kind,received_at,hold_limit_h,storage,customer,lot", *lines]))
        read_s = seconds(lambda: read_registries([path]), 1)
        records = read_registries([path]).records
    elements = Elements()
    actor = Actor("p-1", "", "pin", "b", "", "", 0, "k")
    began = time.process_time()
    planned = elements.plan("registry.import", {"records": records}, actor, UTC0, RUN0)
    plan_s = time.process_time() - began
    began = time.process_time()
    for seq, draft in enumerate(planned.drafts):
        take(elements, draft, seq)
    take_s = time.process_time() - began
    snapshot = elements.snapshot()
    restored = Elements()
    registry = elements._fold.registry  # noqa: SLF001 - measured from within
    asking = replace(actor, idempotency_key="another")

    def preview() -> Planned:
        return elements.plan("registry.preview", {"records": records}, asking, UTC0, RUN0)

    looked_up = [f"S-{n}" for n in range(0, entries, 7)]
    found = {
        "entries": entries, "read_s": read_s, "plan_cpu_s": plan_s, "take_in_cpu_s": take_s,
        "preview_cpu_s": seconds(
            preview, repeats
        ),
        "lookup_us": 1e6 / len(looked_up) * seconds(
            lambda: [registry.at(Material, name, UTC0) for name in looked_up], repeats
        ),
        "snapshot_bytes": len(snapshot), "snapshot_s": seconds(elements.snapshot, repeats),
        "restore_s": seconds(lambda: restored.restore(snapshot), repeats),
    }  # fmt: skip
    assert len(restored.registry("material")) == entries
    return found


def take(elements: Elements, draft: Draft, seq: int) -> None:
    """Feed a draft as the daemon does."""
    elements.consume(record(draft.kind, seq, draft.body, 0))


def measure(tasks: int, entries: int, repeats: int) -> dict[str, Any]:
    """Measure everything."""
    return {
        "machine": describe_machine(), "repeats": repeats, "ledger": measure_ledger(tasks, repeats),
        "registry": measure_registry(entries, repeats),
        "small_registry": measure_registry(entries // 10, repeats),
    }  # fmt: skip


def results_section(found: dict[str, Any]) -> str:
    """Write the figures as a section of RESULTS.md."""
    ledger, registry, small = found["ledger"], found["registry"], found["small_registry"]
    tasks = f"{ledger['tasks']:,.0f}"
    made_anew = f"{ledger['take_in_cpu_s']:.0f} s of CPU, {ledger['records']:,.0f} records"
    imported = f"{registry['plan_cpu_s']:.2f} s + {registry['take_in_cpu_s']:.2f} s of CPU"
    looked_up = f"{registry['lookup_us']:.2f} µs; among a tenth of them {small['lookup_us']:.2f} µs"
    saved = f"{registry['snapshot_bytes'] / 2**20:.1f} MiB in {registry['snapshot_s']:.2f} s"
    rows = [
        ("index made anew from its records", made_anew),
        ("size of the index", f"{ledger['bytes'] / 2**20:.0f} MiB"),
        ("newest 100 tasks", f"{ledger['page_s'] * 1e3:.1f} ms"),
        ("a page of 1,000 tasks", f"{ledger['deep_page_s'] * 1e3:.1f} ms"),
        (f"all {tasks} tasks", f"{ledger['all_s']:.2f} s"),
        ("tasks of a sample", f"{ledger['by_sample_s'] * 1e3:.1f} ms"),
        ("1,000 newest tasks of an instrument", f"{ledger['by_instrument_s'] * 1e3:.1f} ms"),
        ("held tasks, when none is", f"{ledger['held_s'] * 1e3:.1f} ms"),
        ("look-back: an instrument, a day", f"{ledger['look_back_day_s'] * 1e3:.1f} ms"),
        ("look-back: an instrument, all the time", f"{ledger['look_back_year_s'] * 1e3:.0f} ms"),
        (f"look-back: a room in which all {tasks} were done", f"{ledger['look_back_room_s']:.2f} s"),
        ("read a CSV file of 10,000 entries", f"{registry['read_s']:.2f} s"),
        ("check the import, and take it into memory", imported),
        ("preview of the same file", f"{registry['preview_cpu_s']:.2f} s"),
        ("look an entry up", looked_up),
        ("snapshot", f"{saved}, restored in {registry['restore_s']:.2f} s"),
    ]
    text = (
        f"{tasks} finished tasks on {INSTRUMENTS} instruments; 10,000 registry entries in one file. "
        f"CPU time, medians of {found['repeats']}. What it means: a year of a busy laboratory is listed and "
        "looked back at while a person waits."
    )
    return section_text("Ledger and registry", text, ("what", "measured"), rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--tasks", type=int, default=100_000, help="finished tasks (default 100,000)")
    parser.add_argument("--entries", type=int, default=10_000, help="registry entries (default 10,000)")
    parser.add_argument("--repeats", type=int, default=5, help="repeats of each measurement (default 5)")
    options = parser.parse_args(arguments)
    found = measure(options.tasks, options.entries, options.repeats)
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
