"""What the door lets out: only what was durable when it was let out, and each answer only to who asked."""

from typing import Any, cast

import httpx

from gateway.door.app import Services, build_door
from gateway.edge.commands import Commands


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

    def view(self, name: str, argument: str | None, query: dict[str, str]) -> dict[str, int]:
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
    assert (answer.status_code, answer.json()["code"]) == (409, "bad-request")


class Counting(Commands):
    """Carries out everything, and counts."""

    done = 0

    async def _plan(self, command: str, args: dict[str, Any], actor: dict[str, Any]) -> dict[str, Any]:
        self.done += 1
        return {"seq": [self.done], "result": {}}


async def test_one_persons_key_brings_nobody_else_an_answer() -> None:
    commands = Counting(cast("Any", None), cast("Any", None), cast("Any", None))
    first = await commands.execute("task.stop", {}, {"person": "p-0001"}, "k")
    assert await commands.execute("task.stop", {}, {"person": "p-0001"}, "k") == first
    assert await commands.execute("task.stop", {}, {"person": "p-0002"}, "k") != first
    assert await commands.execute("task.abort", {}, {"person": "p-0001"}, "k") != first
