"""A look-back beyond memory: tasks come back from the ledger's index, through the record, and are held."""

from pathlib import Path
from typing import Any, cast

import pytest

from gateway.edge.ledger import Ledger
from gateway.edge.reach import RECORD_TASKS_MAX, Reach
from gateway.edge.recorder import Recorder
from pipeline.elements import Elements
from pipeline.elements.codec import to_body
from pipeline.elements.lookback.report import look_back_report, look_backs
from pipeline.elements.signing import signing_hash
from pipeline.elements.state import TaskState
from pipeline.elements.views import reasons_of_older
from pipeline.ledger import LedgerIndex, TaskRow, rebuild_task
from pipeline.ledger.recorded import KINDS, Recorded
from pipeline.records import Record
from tests.unit.elements.bench import JOURNAL, RUN0, SIGNER, UTC0, Bench, metrology, opened, sensor


class BenchLedger:
    """The index of a bench's records, without a thread."""

    def __init__(self, bench: Bench, path: Path) -> None:
        self._bench = bench
        self._index = LedgerIndex(path, JOURNAL)
        self.through_seq = -1

    def catch_up(self) -> None:
        self.through_seq = len(self._bench.records) - 1
        self._index.take([one for one in self._bench.records if one.kind != "data"], self.through_seq)

    async def affected(
        self, role: str, target: str, from_run_ns: int, to_run_ns: int, **page: int
    ) -> list[TaskRow]:
        return self._index.affected(role, target, from_run_ns, to_run_ns, **page)

    def row(self, task: str) -> TaskRow:
        found = self._index.task(task)
        assert found is not None
        return found

    async def catch_up_to_now(self) -> None:
        self.catch_up()

    async def records(self, seqs: list[int]) -> list[Record]:
        return [self._bench.records[seq] for seq in seqs]

    async def rebuilt(self, task: str) -> TaskState | None:
        return rebuild_task([self._bench.records[seq] for seq in self._index.mentions(task)])


class BenchRecorder:
    """Appends to the bench."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def room(self) -> None:
        """There is always room."""

    def append(self, kind: str, body: dict[str, Any]) -> None:
        self._bench.append(kind, body)


def reach_of(bench: Bench, ledger: BenchLedger, recorder: BenchRecorder | None = None) -> Reach:
    return Reach(cast("Recorder", recorder or BenchRecorder(bench)), bench.elements, cast("Ledger", ledger))


def told_of(bench: Bench) -> list[str]:
    """Tasks that `reach` records tell, in order."""
    return [
        body["affected"]["task"]
        for one in bench.of_kind("lookback")
        if one.body["action"] == "reach"
        for body in one.body["reached"]
    ]


def report(bench: Bench) -> dict[str, Any]:
    found = look_back_report(bench.elements.fold.state, look_backs(bench.elements.fold.state)[0]["lookback"])
    assert found is not None
    return found


def forgetful(count: int) -> tuple[Bench, list[str]]:
    """A bench that keeps two finished tasks, with a good check, `count` tests and a failed check."""
    bench = opened(retained_tasks=2)
    bench.check_passes()
    tasks = [bench.weigh() for _ in range(count)]
    aborted = bench.start()
    bench.do("task.abort", task=aborted, reason="spilled")
    bench.air(6)
    bench.check_passes(101.0)
    bench.air(2)
    return bench, tasks


async def test_every_task_of_the_span_is_named_and_held_however_old_it_is(tmp_path: Path) -> None:
    bench, tasks = forgetful(3 * RECORD_TASKS_MAX + 4)
    older = [task for task in tasks if bench.elements.task(task) is None]
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    reach = reach_of(bench, ledger)
    await reach.look()
    assert not report(bench)["reached"]  # the index is behind: nobody says that nothing was found
    ledger.catch_up()
    await reach.look()
    shown = report(bench)
    assert shown["reached"]
    assert sorted(one["task"] for one in shown["affected"]) == sorted(tasks)
    bench.air(2)
    ledger.catch_up()
    assert {ledger.row(task).overall for task in tasks} == {"held"}
    told = [one.body for one in bench.of_kind("lookback") if one.body["action"] == "reach"]
    assert [one["done"] for one in told] == [False, False, False, True]
    assert told_of(bench) == older, "in the order of their starts"


async def test_however_many_there_are_each_is_held_and_memory_keeps_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.reach.PAGE_TASKS_MAX", 7)
    monkeypatch.setattr("gateway.edge.reach.RECORD_TASKS_MAX", 3)
    monkeypatch.setattr("pipeline.elements.lookback.older.AFFECTED_MAX", 10)
    bench, tasks = forgetful(25)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    state, most = bench.elements.fold.state, 0
    recorder = BenchRecorder(bench)
    reach = reach_of(bench, ledger, recorder)
    append = recorder.append

    def counted(kind: str, body: dict[str, Any]) -> None:
        nonlocal most
        append(kind, body)
        most = max(most, len(state.tasks))

    recorder.append = counted  # type: ignore[method-assign]
    await reach.look()
    bench.air(2)
    ledger.catch_up()
    assert {ledger.row(task).overall for task in tasks} == {"held"}
    assert most <= 5, "two finished tasks, one that is held and what is open: none comes back"
    shown = report(bench)
    assert len(shown["affected"]) + shown["further"] == len(tasks)
    assert shown["waiting"] == len(tasks)
    assert f"{shown['further']} more affected tasks" in shown["en"]
    await released_from_the_ledger(bench, ledger, tasks[0])
    assert report(bench)["waiting"] == len(tasks) - 1


async def released_from_the_ledger(bench: Bench, ledger: BenchLedger, first: str) -> None:
    assert bench.elements.task(first) is None, "it has left memory, and is held by the ledger"
    told = await ledger.rebuilt(first)
    assert told is not None
    assert len(told.held) == 1
    planned = bench.elements.plan(
        "hold.release",
        {"task": first, "reason": "recalculated", "signed_hash": signing_hash(told)},
        bench.someone(SIGNER), UTC0 + bench.now, RUN0 + bench.now, told,
    )  # fmt: skip
    bench.append("review", planned.drafts[0].body)
    ledger.catch_up()
    assert ledger.row(first).overall == "released"


async def test_an_interrupted_look_back_goes_on_with_its_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.edge.reach.PAGE_TASKS_MAX", 4)
    bench, tasks = forgetful(12)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    reach = reach_of(bench, ledger)
    recorder = cast("BenchRecorder", reach._recorder)
    left = 3

    def thrice(kind: str, body: dict[str, Any]) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise ConnectionError("power cut")
        bench.append(kind, body)

    recorder.append = thrice  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await reach.look()
    await reach_of(bench, ledger).look()
    told = told_of(bench)
    assert len(told) == len(set(told)), "no page is told twice"
    assert set(told) <= set(tasks)
    ledger.catch_up()
    bench.air(2)
    ledger.catch_up()
    assert {ledger.row(task).overall for task in tasks} == {"held"}


async def test_the_hold_of_an_older_task_is_a_verdict_that_supersedes_the_one_in_force(
    tmp_path: Path,
) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    before = await ledger.rebuilt(tasks[0])
    await reach_of(bench, ledger).look()
    ledger.catch_up()
    task = await ledger.rebuilt(tasks[0])
    assert before is not None
    assert task is not None
    was, now = before.verdicts["measurement"], task.verdicts["measurement"]
    assert (was.verdict.status, now.verdict.status, now.verdict.supersedes) == ("ok", "hold", was.seq)
    assert now.verdict.facts == was.verdict.facts
    assert [reason.code for reason in now.verdict.reasons] == ["look-back"]
    assert task.verdicts["people"] == before.verdicts["people"], "what stood, stands"
    assert task.held == ["measurement"]
    shown = next(one for one in report(bench)["affected"] if one["task"] == tasks[0])
    assert (shown["overall"], shown["now"]) == ("clear", "held")
    assert [(one["value"], one["seq"]) for one in shown["results"]] == [(50.0, task.result_seqs[0])]


async def test_the_report_says_how_an_older_task_stands_once_it_was_disposed_of(tmp_path: Path) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    ledger.catch_up()
    waiting = report(bench)["waiting"]
    await released_from_the_ledger(bench, ledger, tasks[0])
    shown = report(bench)
    assert shown["waiting"] == waiting - 1
    assert [one["now"] for one in shown["affected"] if one["task"] == tasks[0]] == ["released"]


async def test_two_look_backs_over_the_same_older_task_are_two_reasons_of_one_verdict(tmp_path: Path) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    bench.check_passes(102.0)
    bench.air(2)
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    ledger.catch_up()
    task = await ledger.rebuilt(tasks[0])
    assert task is not None
    reasons = task.verdicts["measurement"].verdict.reasons
    assert [reason.code for reason in reasons] == ["look-back", "look-back"]
    assert len({reason.subject for reason in reasons}) == 2
    told = told_of(bench)
    assert told.count(tasks[0]) == 2, "once for each look-back"


async def test_what_earlier_versions_told_of_older_tasks_is_read_as_before(tmp_path: Path) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    task = await ledger.rebuilt(tasks[0])
    assert task is not None
    name = report(bench)["lookback"]
    body = {"action": "reach", "lookback": name, "tasks": [to_body(task)], "done": True, "beyond": 0}
    bench.append("lookback", {**body, "through_start_seq": task.start_seq})
    ledger.catch_up()
    assert ledger.row(tasks[0]).overall == "held"
    assert tasks[0] in [one["task"] for one in report(bench)["affected"]]


async def test_after_a_restart_the_state_with_the_older_tasks_follows_from_the_record(
    tmp_path: Path,
) -> None:
    bench, _tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    bench.air(2)
    again = Elements(bench.settings)
    for record in bench.records:
        again.consume(record)
    assert again.snapshot() == bench.elements.snapshot()


async def test_a_look_that_was_interrupted_begins_again_and_takes_nothing_twice(tmp_path: Path) -> None:
    bench, tasks = forgetful(RECORD_TASKS_MAX + 6)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    reach = reach_of(bench, ledger)
    recorder = cast("BenchRecorder", reach._recorder)
    taken: list[dict[str, Any]] = []

    def once(kind: str, body: dict[str, Any]) -> None:
        if taken:
            raise ConnectionError("power cut")
        taken.append(body)
        bench.append(kind, body)

    recorder.append = once  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await reach.look()
    await reach_of(bench, ledger).look()
    named = [one["task"] for one in report(bench)["affected"]]
    assert sorted(named) == sorted(tasks)


async def test_a_sensor_is_traced_through_the_rooms_that_it_watches(tmp_path: Path) -> None:
    bench = opened(retained_tasks=1)
    tasks = [bench.weigh() for _ in range(3)]
    withdrawn = metrology(channels=(), withdrawn=True)
    bench.enrol({("equipment", "EQ-2"): sensor("th-1", metrology=withdrawn)})
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    assert {one["task"] for one in report(bench)["affected"]} == set(tasks)
    assert report(bench)["to_utc_ns"] >= UTC0


async def test_the_list_of_holds_names_the_look_backs_of_older_tasks(tmp_path: Path) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    [reason] = reasons_of_older(bench.elements.fold, tasks[0])
    assert (reason["element"], reason["code"], reason["subject"]) == (
        "measurement", "look-back", report(bench)["lookback"],
    )  # fmt: skip
    assert "not vouched for" in reason["en"]
    assert reasons_of_older(bench.elements.fold, "somebody-else") == []


async def test_a_centre_tells_of_older_tasks_what_the_gateway_tells(tmp_path: Path) -> None:
    bench, tasks = forgetful(4)
    ledger = BenchLedger(bench, tmp_path / "ledger.db")
    ledger.catch_up()
    await reach_of(bench, ledger).look()
    ledger.catch_up()
    await released_from_the_ledger(bench, ledger, tasks[0])
    told = Recorded(bench.settings)
    for record in bench.records:
        if record.kind in KINDS:
            told.take(record)
    assert told.unread == 0
    assert look_backs(told.state) == look_backs(bench.elements.fold.state)
    name = report(bench)["lookback"]
    assert look_back_report(told.state, name) == report(bench)
    [alarm] = [
        one for one in told.state.alarms.items.values() if one.code == "element-held" and one.count > 3
    ]
    assert alarm.count == bench.elements.fold.state.alarms.items[alarm.id].count
