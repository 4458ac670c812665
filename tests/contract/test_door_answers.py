"""What the door lets out: only what was durable when it was let out, and each answer only to who asked."""

from typing import Any, cast

import httpx
import pytest

from gateway.door.app import CommandRefusedError, Services, build_door
from gateway.edge.commands import Commands
from pipeline.journal import CommitFailedError


class RecordingMeanwhile:
    """Services in which something is recorded while an answer waits for the disk."""

    def __init__(self, *, disk_writes: bool = True) -> None:
        self.records = 1
        self.durable = 0
        self.disk_writes = disk_writes

    async def settled(self) -> bool:
        if self.disk_writes:
            self.durable = self.records
        self.records += 1
        return self.disk_writes

    async def view(self, name: str, argument: str | None, query: dict[str, str]) -> dict[str, int]:
        return {"records": self.records, "limit": int(query.get("limit", "100"))}

    def status(self, *, settled: bool) -> dict[str, int]:
        return {"records": self.records} if settled else {}


def door(services: RecordingMeanwhile) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_door(cast("Services", services)))
    return httpx.AsyncClient(transport=transport, base_url="http://door")


async def test_a_view_shows_nothing_that_was_recorded_while_it_waited_for_the_disk() -> None:
    services = RecordingMeanwhile()
    async with door(services) as client:
        assert (await client.get("/v1/tasks")).json()["records"] <= services.durable
        assert (await client.get("/v1/status")).json()["records"] <= services.durable


async def test_when_the_disk_does_not_write_a_view_is_refused_and_the_status_holds_back() -> None:
    async with door(RecordingMeanwhile(disk_writes=False)) as client:
        view = await client.get("/v1/tasks")
        assert (view.status_code, view.json()["code"]) == (503, "not-durable")
        assert (await client.get("/v1/status")).json() == {}


async def test_a_query_that_is_no_number_is_refused() -> None:
    async with door(RecordingMeanwhile()) as client:
        answer = await client.get("/v1/tasks?limit=many")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad-request")


class Recorder:
    """A recorder on a disk that may refuse for a while."""

    head_seq = 1

    def __init__(self) -> None:
        self.journal = self
        self.works = True

    async def room(self) -> None:
        return

    async def wait_durable(self, _seq: int) -> None:
        if not self.works:
            raise CommitFailedError(OSError("no space"), since_utc_ns=1)


class Counting(Commands):
    """Carries out everything, and counts."""

    done = 0

    async def _long_ago(self, _command: str, _actor: dict[str, Any]) -> None:
        """Nothing has left memory."""

    async def _plan(self, command: str, args: dict[str, Any], actor: dict[str, Any]) -> dict[str, Any]:
        self.done += 1
        return {"seq": [self.done], "result": {}}


def counting() -> tuple[Counting, Recorder]:
    recorder = Recorder()
    nothing = cast("Any", None)
    return Counting(cast("Any", recorder), nothing, nothing, nothing, nothing), recorder


def by(person: str, how: str = "pin") -> dict[str, str]:
    return {"person": person, "how": how}


async def test_one_persons_key_brings_nobody_else_an_answer() -> None:
    commands, _ = counting()
    first = await commands.execute("task.stop", {}, by("p-0001"), "k")
    assert await commands.execute("task.stop", {}, by("p-0001"), "k") == first
    assert await commands.execute("task.stop", {}, by("p-0002"), "k") != first
    assert await commands.execute("task.stop", {}, by("p-0001", "asserted"), "k") != first
    assert await commands.execute("task.abort", {}, by("p-0001"), "k") != first


async def test_a_command_that_could_not_be_confirmed_is_not_done_again_under_its_key() -> None:
    commands, recorder = counting()
    recorder.works = False
    for _ in range(3):
        with pytest.raises(CommandRefusedError) as refused:
            await commands.execute("task.stop", {}, by("p-0001"), "k")
        assert (refused.value.code, refused.value.status) == ("not-durable", 503)
    recorder.works = True
    assert await commands.execute("task.stop", {}, by("p-0001"), "k") == {"seq": [1], "result": {}}
    assert commands.done == 1
