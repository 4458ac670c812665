"""Idempotency keys count for ever: after restarts, and long after memory has let go of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.door.client import DoorClient
from pipeline.elements.settings import ElementsSettings
from tests.support.daemon import ADMINISTRATOR, PASSWORD, PIN, records_of, running

if TYPE_CHECKING:
    from pathlib import Path

TABLES = "\n[elements]\nrecent_keys = 16\n"
REGISTRY = [{"type": "equipment", "id": "eq-p-1", "data": {"instrument": "p-1"}}]
ACTOR = {"person": ADMINISTRATOR, "pin": PIN, "station": "test"}


async def state(door: DoorClient, key: str, said: str = "qc") -> Any:
    args = {"instrument": "p-1", "state": said, "reason": "test"}
    return await door.command("instrument.state", args, ACTOR, key=key)


async def add(door: DoorClient) -> Any:
    args = {"person": "p-0042", "name": "p-0042", "roles": ["operator"], "password": PASSWORD, "pin": PIN}
    return await door.command("person.add", args, ACTOR, key="person")


async def test_a_key_from_long_ago_gets_its_first_answer_after_a_restart_too(tmp_path: Path) -> None:
    assert ElementsSettings(recent_keys=16).recent_keys == 16
    async with running(tmp_path, tables=TABLES) as site, DoorClient(site.state.socket("door")) as door:
        imported = await door.command("registry.import", {"records": REGISTRY}, ACTOR, key="import")
        assert imported["ok"], imported
        first, person = await state(door, "row 1"), await add(door)
        assert first["ok"]
        assert person["ok"], person
        for number in range(2, 20):
            assert (await state(door, f"row {number}"))["ok"]
        assert await state(door, "row 1") == first
        other = await door.command("task.stop", {"task": "none"}, ACTOR, key="row 1")
        assert other["code"] == "key-reused"
    async with running(tmp_path, tables=TABLES) as site, DoorClient(site.state.socket("door")) as door:
        before = len(records_of(site.state.journal))
        assert await state(door, "row 1", "maintenance") == first
        assert await add(door) == person
        again = await door.command("registry.import", {"records": REGISTRY}, ACTOR, key="import")
        assert again["seq"] == imported["seq"]
        kinds = [record.body.get("code") for record in records_of(site.state.journal)[before:]]
        assert "service-state" not in kinds
        assert "person-changed" not in kinds
