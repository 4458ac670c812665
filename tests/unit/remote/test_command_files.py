"""Command files: what is read of them, what is told of their mistakes, and that no row is done twice."""

from __future__ import annotations

import asyncio
import csv
import io
from typing import TYPE_CHECKING, Any

import pytest

from gateway.door.app import CommandRefusedError
from gateway.remote.folder import CommandFolder
from gateway.remote.rows import COLUMNS, FileRefusedError, read_rows
from gateway.remote.settings import CommandsSettings, FolderSettings
from tests.unit.gateway.paper import HandClock

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "row_id,command,task,instruments,from_utc_ns,reason\n"


def read(text: str, rows_max: int = 10) -> list[Any]:
    return read_rows("x.csv", text.encode(), rows_max)


def test_cells_become_arguments_and_empty_ones_are_left_out() -> None:
    (row,) = read(HEADER + 'r-1,task.abort,t-1,a; b ,17,"wrong, vessel"\n')
    assert (row.row_id, row.command, row.line, row.problem) == ("r-1", "task.abort", 2, "")
    assert row.args == {
        "task": "t-1",
        "instruments": ["a", "b"],
        "from_utc_ns": 17,
        "reason": "wrong, vessel",
    }
    (row,) = read("\ufeffrow_id,command\r\nr-1,task.stop\r\n")
    assert (row.args, row.problem) == ({}, "")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("r-1,task.stop", "x.csv:2: 2 cells, the header has 6"),
        ("r-1,task.stop,t,,,,", "x.csv:2: 7 cells, the header has 6"),
        (",task.stop,t,,,", "x.csv:2: row_id '' is no id"),
        ("王,task.stop,t,,,", "x.csv:2: row_id '王' is no id"),
        ("r-1,task.bind,t,,soon,", "x.csv:2: from_utc_ns 'soon' is no integer"),
    ],
)
def test_a_broken_row_says_where_and_what_and_the_others_stand(line: str, problem: str) -> None:
    rows = read(f"{HEADER}{line}\nr-2,task.stop,t-2,,,\n")
    assert rows[0].problem.startswith(problem)
    assert (rows[1].row_id, rows[1].problem) == ("r-2", "")


def test_a_row_id_that_stands_twice_is_told_at_the_second() -> None:
    first, second = read(HEADER + "r-1,task.stop,t,,,\nr-1,task.stop,u,,,\n")
    assert first.problem == ""
    assert second.problem == "x.csv:3: row_id 'r-1' stands in line 2 too"


def test_behind_an_open_quote_nothing_is_guessed() -> None:
    rows = read(HEADER + 'r-1,task.stop,t,,,\nr-2,task.abort,t,,,"open\nr-3,task.stop,t,,,\n')
    assert [row.problem == "" for row in rows] == [True, False]
    assert "the rest of the file cannot be read" in rows[1].problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "x.csv:1: the first line names no column row_id and command"),
        (b"row_id,command,row_id\n", "x.csv:1: column 'row_id' stands there twice"),
        (b"row_id,command,smaple\n", "x.csv:1: unknown column 'smaple'"),
        ("row_id,command,item\nr-1,task.start,样品\n".encode("gbk"), "x.csv:2: not UTF-8"),
        (
            b"row_id,command\n" + b"".join(b"r-%d,task.stop\n" % n for n in range(11)),
            "x.csv:12: more than 10",
        ),
    ],
)
def test_a_file_of_which_no_row_can_be_taken_is_refused_with_its_line(content: bytes, problem: str) -> None:
    with pytest.raises(FileRefusedError) as refused:
        read_rows("x.csv", content, 10)
    assert str(refused.value).startswith(problem)


def test_every_column_is_an_argument_of_a_command() -> None:
    assert set(COLUMNS.values()) == {"text", "list", "integer"}
    assert not {"signed_hash", "disposition", "records"} & set(COLUMNS)


class Executor:
    """Carries commands out once by key, and can be struck by a power cut before or after any of them."""

    def __init__(self) -> None:
        self.done: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self.cut_at: int | None = None
        self.disk_works_after = 0
        self.refusals: list[tuple[str, str]] = []

    async def execute(self, command: str, args: Any, actor: Any, key: str) -> dict[str, Any]:
        self.calls += 1
        if self.calls <= self.disk_works_after:
            raise CommandRefusedError("not-durable", "no", "no", status=503)
        if command == "task.start":
            raise CommandRefusedError("unknown-sample", "no such sample", "无", "scan again")
        if key not in self.done:
            self.done[key] = {"seq": [len(self.done)], "result": {"task": args["task"]}, "actor": actor}
        if self.calls == self.cut_at:
            raise asyncio.CancelledError
        return self.done[key]

    async def refused(self, command: str, code: str, person: str, args: Any = None) -> None:
        self.refusals.append((command, code))


class Rig:
    def __init__(self, folder: Path) -> None:
        self.executor, self.problems = Executor(), list[str]()
        self.root = folder

    def folder(self) -> CommandFolder:
        return CommandFolder(
            FolderSettings(path=self.root / "orders"), CommandsSettings(rate_per_s=1000, burst=1000),
            root=self.root, clock=HandClock(), executor=self.executor, problem=self.problems.append,
        )  # fmt: skip

    def put(self, name: str, text: str) -> Path:
        folder = self.folder()
        for path in (folder.incoming, folder.answers, folder.done):
            path.mkdir(parents=True, exist_ok=True)
        (folder.incoming / name).write_text(text, encoding="utf-8")
        return folder.incoming / name

    def answers(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO((self.folder().answers / name).read_text(encoding="utf-8"))))


ROWS = HEADER + "".join(f"r-{number},task.stop,t-{number},,,\n" for number in range(5))


@pytest.mark.parametrize("cut_at", range(1, 6))
async def test_after_a_crash_at_any_row_each_row_was_carried_out_once(tmp_path: Path, cut_at: int) -> None:
    rig = Rig(tmp_path)
    path = rig.put("a.csv", ROWS)
    rig.executor.cut_at = cut_at
    with pytest.raises(asyncio.CancelledError):
        await rig.folder().take(path)
    assert path.exists()
    rig.executor.cut_at = None
    await rig.folder().take(path)
    assert [row["task"] for row in rig.answers("a.csv")] == [f"t-{number}" for number in range(5)]
    assert {key: done["seq"] for key, done in rig.executor.done.items()} == {
        f"row r-{n}": [n] for n in range(5)
    }
    assert not path.exists()
    assert (tmp_path / "orders" / "done" / "a.csv").exists()


async def test_a_second_file_of_one_name_writes_over_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for _ in range(2):
        await rig.folder().take(rig.put("a.csv", ROWS))
    assert rig.answers("a.csv") == rig.answers("a.2.csv")
    assert len(rig.executor.done) == 5


async def test_a_refused_row_and_a_broken_one_are_answered_told_and_counted(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    await rig.folder().take(
        rig.put("a.csv", HEADER + "r-1,task.start,,,,\nr-2,task.stop\nr-3,task.stop,t,,,\n")
    )
    refused, broken, done = rig.answers("a.csv")
    assert (refused["code"], refused["message"]) == ("unknown-sample", "a.csv:2: no such sample")
    assert refused["hint"] == "scan again"
    assert (broken["code"], broken["line"], done["ok"]) == ("broken-row", "3", "yes")
    assert rig.problems == [broken["message"]]
    assert rig.executor.refusals == [("task.start", "unknown-sample")]


async def test_names_that_are_still_being_written_are_left_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    for name in (".a.csv", "a.csv.part", "a.txt", "b.CSV", "a.csv"):
        rig.put(name, ROWS)
    assert [path.name for path in rig.folder()._waiting()] == ["a.csv", "b.CSV"]


@pytest.mark.virtual_time
async def test_while_the_disk_does_not_work_a_row_waits_and_is_then_carried_out(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.executor.disk_works_after = 3
    name = "a.csv"
    rows = read_rows(name, ROWS.encode(), 10)
    answer = await rig.folder()._answer(name, rows[0])
    assert (answer.ok, rig.executor.calls) == (True, 4)
