"""Whatever happens in whatever order, the drafts follow from the records alone."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements import Elements, Refused
from pipeline.elements.codec import to_body
from pipeline.records.envelope import Record
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    SECOND,
    SIGNER,
    UTC0,
    Bench,
    balance,
    drafts_of,
    metrology,
    opened,
    room,
    sample,
)


def newest(bench: Bench) -> str:
    tasks = bench.elements.tasks(limit=1)
    return tasks[0]["task"] if tasks else "none"


def attempt(bench: Bench, command: str, person: str = ANALYST, **args: object) -> None:
    try:
        bench.do(command, bench.someone(person), **args)
    except Refused:
        bench.append("tick", {})


def sign(bench: Bench) -> None:
    held = bench.elements.holds()
    if held:
        args = {"task": held[0]["task"], "reason": "seen", "signed_hash": held[0]["to_sign"]}
        attempt(bench, "hold.release", SIGNER, **args)


def late_flags(bench: Bench) -> None:
    last = bench.ordinals.get("bal-1", 0) - 1
    bench.decide("bal-1", n=[max(last, 0)], channel=["weight"], flag=[4])


def gap(bench: Bench) -> None:
    end = bench.now
    bench.append("gap", {
        "instrument": "bal-1", "polls": 2, "cause": "late", "ended": True,
        "from_run_ns": 5_000 * SECOND + end - SECOND, "to_run_ns": 5_000 * SECOND + end,
        "from_utc_ns": UTC0 + end - SECOND, "to_utc_ns": UTC0 + end,
    })  # fmt: skip


def correct(kind: str, entry_id: str, data: object) -> Callable[[Bench], object]:
    return lambda bench: bench.enrol({(kind, entry_id): data}, from_ns=UTC0 - DAY)


STEPS: dict[str, Callable[[Bench], object]] = {
    "test": lambda b: attempt(b, "task.start", sample="S-1", method="weighing", instrument="bal-1"),
    "check": lambda b: attempt(
        b, "task.start", method="weighing", instrument="bal-1", purpose="qc", reference="CW-1"
    ),
    "stop": lambda b: attempt(b, "task.stop", task=newest(b)),
    "abort": lambda b: attempt(b, "task.abort", task=newest(b), reason="spilled"),
    "handover": lambda b: attempt(b, "task.handover", task=newest(b), badge="B-4"),
    "late": lambda b: attempt(
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
    "nonsense": lambda b: b.append("task", {"action": "start"}),
}

days = st.lists(st.sampled_from(sorted(STEPS)), max_size=40)


def lived(steps: list[str]) -> Bench:
    bench = opened(retained_tasks=3, recent_keys=16)
    bench.nonsense = "nonsense" in steps
    for step in ["test", "empty", "load", *steps]:
        STEPS[step](bench)
    return bench


def derived(records: list[Record]) -> list[tuple[str, dict[str, object]]]:
    return [(record.kind, record.body) for record in records if record.by is not None]


@given(days)
def test_the_same_records_give_the_same_drafts_bit_for_bit(steps: list[str]) -> None:
    bench = lived(steps)
    again = Elements(bench.settings)
    drafts = drafts_of(bench.records, again)
    assert [(draft.kind, draft.body) for draft in drafts] == derived(bench.records)
    assert again.snapshot() == bench.elements.snapshot()


@given(days, st.data())
def test_a_restart_anywhere_changes_nothing(steps: list[str], data: st.DataObject) -> None:
    bench = lived(steps)
    cut = data.draw(st.integers(0, len(bench.records)))
    before = Elements(bench.settings)
    drafts = drafts_of(bench.records[:cut], before)
    after = Elements(bench.settings)
    after.restore(before.snapshot())
    drafts += drafts_of(bench.records[cut:], after)
    assert [(draft.kind, draft.body) for draft in drafts] == derived(bench.records)
    assert after.snapshot() == bench.elements.snapshot()


@given(days, st.data())
def test_records_that_come_again_say_nothing_new(steps: list[str], data: st.DataObject) -> None:
    bench = lived(steps)
    back = data.draw(st.integers(0, len(bench.records)))
    snapshot = bench.elements.snapshot()
    assert drafts_of(bench.records[back:], bench.elements) == []
    assert bench.elements.snapshot() == snapshot


@given(days)
def test_only_a_person_lifts_a_hold(steps: list[str]) -> None:
    bench = lived(steps)
    again = Elements(bench.settings)
    held: set[str] = set()
    for record in bench.records:
        again.consume(record)
        now = {task["task"] for task in again.tasks(1000) if task["held"]}
        lifted = held - now
        by_person = record.kind == "review" or record.body.get("action") == "abort"
        assert not lifted or (by_person and lifted == {record.body["task"]})
        held = now


@given(days)
def test_verdicts_are_chained_and_evidence_exists_already(steps: list[str]) -> None:
    bench = lived(steps)
    last: dict[tuple[str, str], int] = {}
    for record in bench.records:
        if record.kind != "verdict":
            continue
        body = record.body
        key = (body["task"], body["element"])
        assert body["supersedes"] == last.get(key)
        last[key] = record.seq
        for reason in body["reasons"]:
            assert all(0 <= seq < record.seq for seq in reason["seqs"]), to_body(body)
        assert body["status"] != "ok" or body["reasons"] == []
