"""What a daemon still knows after it was stopped and started: tasks, keys, and tasks that left its memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from pipeline.elements import read_registry
from tests.support.bench import until
from tests.support.daemon import ADMINISTRATOR, PASSWORD, PIN, running

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite

TABLES = """
[elements]
retained_tasks = 1
settle = 0.05
"""
WORK = {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]}
APPLY = {"sha256": "a" * 64}
NEW = {"person": "p-0044", "name": "x", "roles": ["operator"], "password": PASSWORD}


class Hand:
    """Somebody at the door of a site."""

    def __init__(self, site: LoadedSite, door: DoorClient) -> None:
        self.site, self.door = site, door

    async def __call__(self, name: str, args: Any, person: str = "p-0002", key: str | None = None) -> Any:
        answer = await self.door.command(name, args, {"person": person, "pin": PIN}, key=key)
        assert answer["ok"], answer
        return answer

    async def aborted(self) -> str:
        """Start a task and give it up; it is final at once and leaves the memory soon."""
        task: str = (await self("task.start", WORK))["result"]["task"]
        await self("task.abort", {"task": task, "reason": "only a test"})

        async def final() -> bool:
            return bool((await self.door.get(f"tasks/{task}"))["final"])

        await until(final, "it is final")
        return task


async def late_report_number(hand: Hand, task: str) -> None:
    """A report number that comes late reaches a task that only its records know."""
    link = {"task": task, "system": "lims", "external_id": "report-1"}
    linked = await hand("task.link", link, key="k-link")

    async def shown() -> bool:
        return bool((await hand.door.get(f"tasks/{task}"))["links"])

    await until(shown, "the link is in the index")
    assert (await hand("task.link", link, key="k-link"))["seq"] == linked["seq"]
    assert [one["task"] for one in await hand.door.get("tasks?external_id=report-1")] == [task]


async def prepared(hand: Hand) -> list[tuple[str, Any, str, str, Any]]:
    """Import the registry and give commands with keys: name, arguments, person, key and answer of each."""
    registry = read_registry(REGISTRY)
    args = {"records": registry.records, "directory": registry.directory}
    await hand("registry.import", args, ADMINISTRATOR)
    done = [("config.apply", APPLY, ADMINISTRATOR, "k-apply"), ("person.add", NEW, ADMINISTRATOR, "k-add")]
    return [(*one, await hand(*one)) for one in done]


async def test_a_restart_forgets_neither_tasks_nor_keys_nor_what_left_the_memory(tmp_path: Path) -> None:
    async with running(tmp_path, tables=TABLES) as site, DoorClient(site.state.socket("door")) as door:
        hand = Hand(site, door)
        given = await prepared(hand)
        old = [await hand.aborted() for _ in range(3)]
        begun = await hand("task.start", WORK, key="k-start")
        given.append(("task.start", WORK, "p-0002", "k-start", begun))
    index = site.state.ledger_index
    assert index.exists()
    index.unlink()
    async with running(tmp_path, tables=TABLES) as site, DoorClient(site.state.socket("door")) as door:
        hand = Hand(site, door)
        for name, asked, person, key, first in given:
            again = await hand(name, asked, person, key)
            assert (set(again["seq"]), again["result"]) == (set(first["seq"]), first["result"]), name
        task = begun["result"]["task"]
        assert (await door.get(f"tasks/{task}"))["phase"] == "running"

        async def found() -> bool:
            listed = await door.get("tasks")
            return [one["task"] for one in listed] == [task, *reversed(old)]

        await until(found, "the index was made again")
        told = await door.get(f"tasks/{old[0]}")
        assert (told["phase"], told["abort_reason"]) == ("aborted", "only a test")
        start_seq = told["start_seq"]
        assert (await door.get(f"tasks/{old[0]}?known_at={start_seq}"))["phase"] == "running"
        assert (await door.get(f"tasks/{old[0]}?known_at={start_seq - 1}"))["code"] == "not-found"
        await late_report_number(hand, old[0])
        answer = await door.command("task.stop", {"task": old[0]}, {"person": "p-0002", "pin": PIN})
        assert answer["code"] == "task-not-running"
        assert (await door.get("tasks?colour=red"))["code"] == "bad-request"
        assert (await door.get("tasks?limit=1001"))["code"] == "bad-request"
        await hand("task.stop", {"task": task})
