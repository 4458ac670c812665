"""Days in the laboratory on paper, made of steps in any order."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pipeline.elements import Refused
from pipeline.records.events import event_body
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    RUN0,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    balance,
    metrology,
    opened,
    room,
    sample,
)


@dataclass
class Day(Bench):
    """A bench whose room sensor may be late: its frames wait and come together, in their order."""

    held_back: list[tuple[int, float]] | None = None
    lost: list[int] = field(default_factory=list)
    """Begin of a gap that lasts."""

    def temperature(self, value: float = 21.0, instrument: str = "th-1", **facts: object) -> int:
        if self.held_back is None or instrument != "th-1":
            return super().temperature(value, instrument, **facts)
        self.held_back.append((self.now, value))
        return -1

    def deliver(self) -> None:
        waiting, self.held_back = self.held_back or [], None
        for then, value in waiting:
            super().temperature(value, lag_s=(self.now - then) / SECOND)


def newest(bench: Day) -> str:
    tasks = bench.elements.tasks(limit=1)
    return tasks[0]["task"] if tasks else "none"


def attempt(bench: Day, command: str, person: str = ANALYST, **args: object) -> None:
    try:
        bench.do(command, bench.someone(person), **args)
    except Refused:
        bench.append("tick", {})


def at_once(bench: Day, command: str, **args: Any) -> None:
    bench.advance(0.001)  # a row that is recorded already was read before
    attempt(bench, command, **args)


def sign(bench: Day) -> None:
    held = bench.elements.holds()
    if held:
        args = {"task": held[0]["task"], "reason": "seen", "signed_hash": held[0]["to_sign"]}
        attempt(bench, "hold.release", SIGNER, **args)


def late_flags(bench: Day) -> None:
    last = bench.ordinals.get("bal-1", 0) - 1
    bench.decide("bal-1", n=[max(last, 0)], channel=["weight"], flag=[4])


def gap(bench: Day) -> None:
    tell_gap(bench, bench.now - SECOND, "late", ended=True)


def tell_gap(bench: Day, start: int, cause: str, *, ended: bool) -> None:
    bench.append("gap", {
        "instrument": "bal-1", "polls": 2, "cause": cause, "ended": ended,
        "from_run_ns": RUN0 + start, "to_run_ns": RUN0 + bench.now,
        "from_utc_ns": UTC0 + start, "to_utc_ns": UTC0 + bench.now,
    })  # fmt: skip


def lose(bench: Day) -> None:
    if not bench.lost:
        bench.lost.append(bench.now)
        tell_gap(bench, bench.now, "disconnected", ended=False)


def find_again(bench: Day) -> None:
    if bench.lost:
        tell_gap(bench, bench.lost.pop(), "disconnected", ended=True)


def hold_back(bench: Day) -> None:
    bench.held_back = bench.held_back or []


def step_clock(bench: Day) -> None:
    bench.epoch += 1


def correct_entry(bench: Day) -> None:
    shown = bench.elements.task(newest(bench)) or {"entries": ()}
    open_ = [each["seq"] for each in shown["entries"] if each["replaced_by"] is None]
    args: dict[str, Any] = {
        "entry": open_[-1] if open_ else 0,
        "value": f"{50 + len(shown['entries'])}",
        "unit": "g",
    }
    attempt(bench, "task.correct", task=newest(bench), **args, reason="misread")


def correct(kind: str, entry_id: str, data: object) -> Callable[[Day], object]:
    return lambda bench: bench.enrol({(kind, entry_id): data}, from_ns=UTC0 - DAY)


STEPS: dict[str, Callable[[Day], object]] = {
    "test": lambda b: at_once(b, "task.start", sample="S-1", method="weighing", instrument="bal-1"),
    "check": lambda b: at_once(
        b, "task.start", method="weighing", instrument="bal-1", purpose="qc", reference="CW-1"
    ),
    "stop": lambda b: at_once(b, "task.stop", task=newest(b)),
    "abort": lambda b: at_once(b, "task.abort", task=newest(b), reason="spilled"),
    "handover": lambda b: attempt(b, "task.handover", task=newest(b), badge="B-4"),
    "late": lambda b: at_once(
        b, "task.bind", task=newest(b), role="environment", target="fridge", from_utc_ns=UTC0 + b.now
    ),
    "air": lambda b: b.air(3),
    "heat": lambda b: b.air(1, 40.0),
    "empty": lambda b: b.weight(0.0, 0.0001),
    "load": lambda b: b.weight(50.0, 50.0002),
    "weight": lambda b: b.weight(100.0001),
    "bad": lambda b: b.weight(99.0, flag=4),
    "wait": lambda b: b.tick(20),
    "decide": lambda b: b.decide("bal-1"),
    "flags": late_flags,
    "gap": gap,
    "exchange": lambda b: b.identify(serial="SN-9"),
    "state": lambda b: attempt(b, "instrument.state", instrument="bal-1", state="maintenance"),
    "config": lambda b: b.append("config", {}),
    "certificate": correct("equipment", "EQ-1", balance(metrology=metrology(due_ns=UTC0 - 1))),
    "old-sample": correct("material", "S-1", sample(received_at_ns=0)),
    "limits": correct("environment", "room", room(high=20.0)),
    "sign": sign,
    "hold back": hold_back,
    "deliver": lambda b: b.deliver(),
    "lose": lose,
    "find again": find_again,
    "clock": step_clock,
    "entry": lambda b: at_once(
        b, "task.enter", task=newest(b), channel="bal-1.weight", value="50.1", unit="g", reason="line lost"
    ),
    "correct entry": correct_entry,
    "slow disk": lambda b: b.append("event", event_body("storage-trouble", since="x", error="full")),
    "nonsense": lambda b: b.append("task", {"action": "start"}),
}


def lived(steps: list[str], **settings: Any) -> Day:
    """Live a day: a weighing begins, then whatever comes."""
    made = opened(retained_tasks=3, recent_keys=16) if not settings else opened(**settings)
    bench = Day(**{name: getattr(made, name) for name in ("settings", "records", "now", "ordinals", "keys")})
    bench.elements = made.elements
    bench.nonsense = "nonsense" in steps
    for step in ["test", "empty", "load", *steps]:
        STEPS[step](bench)
    return bench


def ended(bench: Day) -> Day:
    """Stop what runs, deliver what is late, and wait until everything is judged for good."""
    bench.deliver()
    find_again(bench)
    for task in bench.elements.tasks(1000):
        if task["phase"] == "running":
            at_once(bench, "task.stop", task=task["task"])
    bench.air(3)
    bench.tick(700)
    bench.tick(1)
    return bench
