"""The index against the elements that it must agree with, and against records of its own making."""

import json
import sqlite3
from pathlib import Path

import pytest

from pipeline.elements.views import show_task
from pipeline.ledger import LedgerIndex, TaskFilter, rebuild_task
from pipeline.records.envelope import LEDGER_KINDS, Record
from tests.unit.elements.bench import (
    DAY,
    JOURNAL,
    RUN0,
    SECOND_ANALYST,
    SIGNER,
    UTC0,
    Bench,
    balance,
    metrology,
    opened,
)

OF_THE_FOLD_ALONE = ("gaps",)
"""What was observed of rows is kept by the elements only; final verdicts carry the facts that they used."""


def a_day() -> Bench:
    """A check, a clear task, a task handed over, bound late, linked and held, one released, one aborted."""
    bench = opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))})
    bench.check_passes()
    held = bench.start(item="mass")
    bench.air(2)
    bench.do("task.handover", task=held, operator=SECOND_ANALYST)
    bench.weight(0.0, 50.0)
    bench.finish(held)
    bench.do("task.bind", task=held, role="reference", target="CW-1")
    bench.do("task.link", task=held, system="lims", external_id="O-1")
    released = bench.weigh(item="water")
    signed = bench.view(released)["to_sign"]
    bench.do(
        "hold.release",
        bench.someone(SIGNER),
        task=released,
        reason="the certificate came",
        signed_hash=signed,
    )
    aborted = bench.start(item="ash")
    bench.do("task.abort", task=aborted, reason="spilt")
    bench.tick(10)
    bench.start(item="still running")
    return bench


@pytest.fixture
def bench() -> Bench:
    return a_day()


def ledger(bench: Bench) -> list[Record]:
    return [record for record in bench.records if record.kind in LEDGER_KINDS]


@pytest.fixture
def index(bench: Bench, tmp_path: Path) -> LedgerIndex:
    found = LedgerIndex(tmp_path / "ledger.sqlite", JOURNAL)
    found.take(ledger(bench), bench.records[-1].seq)
    return found


def test_every_task_stands_in_the_index_as_the_elements_know_it(bench: Bench, index: LedgerIndex) -> None:
    rows = [row.brief() for row in index.tasks(TaskFilter())]
    assert [row["task"] for row in rows] == [task["task"] for task in bench.elements.tasks()]
    assert rows == bench.elements.tasks()
    assert {row["overall"] for row in rows} == {"held", "released", "aborted"}


def test_a_task_is_told_again_from_its_records_alone(bench: Bench, index: LedgerIndex) -> None:
    for brief in bench.elements.tasks():
        rebuilt = rebuild_task([bench.records[seq] for seq in index.mentions(brief["task"])])
        assert rebuilt is not None
        told, known = show_task(rebuilt), bench.view(brief["task"])
        assert {k: v for k, v in told.items() if k not in OF_THE_FOLD_ALONE} == {
            k: v for k, v in known.items() if k not in OF_THE_FOLD_ALONE
        }


def test_a_task_is_told_as_it_was_known_at_every_seq(bench: Bench, index: LedgerIndex) -> None:
    replayed = Bench(bench.settings)
    task = next(brief["task"] for brief in bench.elements.tasks() if brief["overall"] == "released")
    compared = 0
    for record in bench.records:
        replayed.elements.consume(record)
        known = replayed.elements.task(task)
        rebuilt = rebuild_task([bench.records[seq] for seq in index.mentions(task, record.seq)])
        if known is None:
            assert rebuilt is None
            continue
        assert rebuilt is not None
        told = show_task(rebuilt)
        # Between a draft and its record the fold is ahead of the ledger by those drafts.
        if all(verdict["seq"] is not None for verdict in known["verdicts"]):
            compared += 1
            assert (told["phase"], told["reviews"]) == (known["phase"], known["reviews"])
            assert [v["seq"] for v in told["verdicts"]] == [v["seq"] for v in known["verdicts"]]
    assert compared > 10


def test_taking_in_by_single_records_or_all_at_once_or_again_makes_one_index(
    bench: Bench, tmp_path: Path
) -> None:
    whole, single = (LedgerIndex(tmp_path / name, JOURNAL) for name in ("whole", "single"))
    whole.take(ledger(bench), bench.records[-1].seq)
    for record in ledger(bench):
        single.take([record], record.seq)
    single.take(ledger(bench), bench.records[-1].seq)
    assert single.tasks(TaskFilter()) == whole.tasks(TaskFilter())
    assert single.through_seq == whole.through_seq


@pytest.mark.parametrize(
    ("wanted", "items"),
    [
        (TaskFilter(overall="released"), {"water"}),
        (TaskFilter(overall="aborted", sample="S-1"), {"ash"}),
        (TaskFilter(phase="running"), {"still running"}),
        (TaskFilter(operator=SECOND_ANALYST), {"mass"}),
        (TaskFilter(external_id="O-1"), {"mass"}),
        (TaskFilter(external_id="O-1", system="other"), set()),
        (TaskFilter(instrument="bal-1", phase="stopped", method="weighing"), {"", "mass", "water"}),
        (TaskFilter(purpose="test", phase="stopped"), {"mass", "water"}),
        (TaskFilter(instrument="bal-2"), set()),
        (TaskFilter(batch="B"), set()),
        (TaskFilter(to_utc_ns=UTC0), set()),
        (TaskFilter(limit=1), {"still running"}),
    ],
)  # fmt: skip
def test_tasks_are_found_by_what_they_were(index: LedgerIndex, wanted: TaskFilter, items: set[str]) -> None:
    assert {row.item for row in index.tasks(wanted)} == items


def test_pages_follow_one_another_without_a_task_twice_or_missing(index: LedgerIndex) -> None:
    whole, pages, last = index.tasks(TaskFilter()), [], None
    while page := index.tasks(TaskFilter(limit=2, before=last)):
        pages += page
        last = page[-1].task
    assert pages == whole


def test_look_back_finds_the_tasks_in_which_something_had_a_part(bench: Bench, index: LedgerIndex) -> None:
    now = RUN0 + bench.now + 1
    by_item = {row.item: row for row in index.tasks(TaskFilter())}
    assert {row.item for row in index.affected("instrument", "bal-1", RUN0, now)} == set(by_item)
    assert {row.item for row in index.affected("reference", "CW-1", RUN0, now)} == {"", "mass"}
    mass = by_item["mass"]
    assert mass.ended_run_ns is not None
    handed_over = next(
        record.body["at_run_ns"] for record in bench.of_kind("task") if record.body["action"] == "handover"
    )
    first = index.affected("operator", "p-1", handed_over, mass.ended_run_ns)
    assert mass not in first, "the first operator had left"
    assert mass in index.affected("operator", SECOND_ANALYST, handed_over, mass.ended_run_ns)
    assert mass in index.affected("measurand", "bal-1.weight", mass.ended_run_ns - 1, now)
    assert mass not in index.affected("measurand", "bal-1.weight", mass.ended_run_ns, now), (
        "its end is outside"
    )


@pytest.mark.parametrize("page", [1, 2, 3, 100])
def test_pages_of_a_look_back_go_on_behind_the_last_start(
    bench: Bench, index: LedgerIndex, page: int
) -> None:  # fmt: skip
    span = RUN0, RUN0 + bench.now + 1
    whole = index.affected("instrument", "bal-1", *span)
    paged, after = list[str](), -1
    while rows := index.affected("instrument", "bal-1", *span, after_seq=after, limit=page):
        paged += [row.task for row in rows]
        after = rows[-1].start_seq
    assert paged == [row.task for row in whole]
    assert [row.start_seq for row in whole] == sorted(row.start_seq for row in whole)
    assert index.affected("instrument", "bal-1", *span, after_seq=whole[-1].start_seq) == []


def test_a_row_names_the_verdicts_in_force_the_results_and_the_ids_elsewhere(
    bench: Bench, index: LedgerIndex
) -> None:
    [row] = index.tasks(TaskFilter(external_id="O-1"))
    shown = bench.view(row.task)
    told = json.loads(row.elements)
    assert {name: one[2] for name, one in told.items()} == {
        one["element"]: one["seq"] for one in shown["verdicts"]
    }
    assert json.loads(row.results) == [
        [one["quantity"], one["value"], one["unit"], one["seq"]] for one in shown["results"]
    ]
    assert shown["results"]
    assert json.loads(row.links) == [["lims", "O-1"]]


def test_a_result_that_supersedes_another_stands_in_its_place(bench: Bench, index: LedgerIndex) -> None:
    [row] = index.tasks(TaskFilter(external_id="O-1"))
    [[quantity, _value, unit, seq]] = json.loads(row.results)
    body = {"task": row.task, "quantity": quantity, "value": 50.5, "unit": unit, "supersedes": seq}
    bench.nonsense = True  # the elements refuse so little of a result; the index needs no more
    [record, *_] = bench.append("result", body)
    index.take([record], record.seq)
    [row] = index.tasks(TaskFilter(external_id="O-1"))
    assert json.loads(row.results) == [[quantity, 50.5, unit, record.seq]]


def test_a_body_that_cannot_be_read_stops_nothing(bench: Bench, tmp_path: Path) -> None:
    bench.nonsense = True
    task = bench.elements.tasks()[0]["task"]
    for kind, body in [
        ("task", {"action": "start", "task": "odd"}),
        ("task", {"action": "bind", "task": task, "binding": 3}),
        ("verdict", {"task": task}),
        ("review", {"task": task, "disposition": "applause"}),
        ("event", {"code": "element-held", "args": {"task": task}}),
        ("event", {"code": "element-held", "args": 5}),
    ]:
        bench.append(kind, body)
    index = LedgerIndex(tmp_path / "ledger.sqlite", JOURNAL)
    index.take(ledger(bench), bench.records[-1].seq)
    assert len(index.tasks(TaskFilter())) == len(bench.elements.tasks())
    assert index.task("odd") is None
    assert rebuild_task([bench.records[seq] for seq in index.mentions(task)]) is not None


@pytest.mark.parametrize("damage", ["cut", "nonsense", "journal", "version", "gone"])
def test_an_index_that_cannot_be_used_is_made_again(bench: Bench, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "ledger.sqlite"
    index = LedgerIndex(path, JOURNAL)
    index.take(ledger(bench), bench.records[-1].seq)
    index.close()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "nonsense":
        path.write_bytes(b"no database" * 1000)
    elif damage == "version":
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    elif damage == "gone":
        path.unlink()
    again = LedgerIndex(path, bytes(16) if damage == "journal" else JOURNAL)
    assert again.through_seq == -1
    again.take(ledger(bench), bench.records[-1].seq)
    assert len(again.tasks(TaskFilter())) == len(bench.elements.tasks())
    again.close()


def test_an_index_that_was_closed_goes_on_where_it_was(bench: Bench, tmp_path: Path) -> None:
    index = LedgerIndex(tmp_path / "ledger.sqlite", JOURNAL)
    half = len(bench.records) // 2
    index.take([record for record in ledger(bench) if record.seq <= half], half)
    index.close()
    index = LedgerIndex(tmp_path / "ledger.sqlite", JOURNAL)
    assert index.through_seq == half
    index.take([record for record in ledger(bench) if record.seq > half], bench.records[-1].seq)
    assert [row.brief() for row in index.tasks(TaskFilter())] == bench.elements.tasks()
    assert sum(index.counts().values()) == len(bench.elements.tasks())
    index.close()
