"""A real daemon tells its alarms by webhook and by a retained topic, and people take them to their end."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from pipeline.elements import read_registry
from pipeline.mqtt import Link, MqttSettings
from tests.support.bench import until
from tests.support.commanding import PIN, Outcome, yaosu
from tests.support.daemon import ADMINISTRATOR, running
from tests.support.webhook import receiving

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite
    from tests.support.services import Mosquitto
    from tests.support.webhook import Receiver

# Nothing that the test's own duration brings may raise an alarm: neither a busy disk, nor the risk
# index, which is counted at ticks and would call for somebody after some of them.
TABLES = """
[journal]
slow_commit_ms = 60000

[elements.risk]
attention_from = 1e6
action_from = 1e7

[elements.alarms]
escalate_alarm = 86400.0

[elements.alarms.webhook]
url = "{url}"
retry_first = 0.05
retry_max = 0.2
"""


async def shown(door: DoorClient, name: str) -> Any:
    """A view, whatever its shape."""
    return await door.get(name)


async def told(site: LoadedSite, deed: str, alarm: str) -> Outcome:
    """A person at the bench takes an alarm one step further."""
    arguments = ("alarm", deed, alarm, "--reason", deed, "--as", ADMINISTRATOR, "-c", site.path)
    return await asyncio.to_thread(yaosu, *arguments, YAOSU_PIN=PIN)


async def retained(port: int) -> dict[str, Any]:
    """What a subscriber that comes now is given of the open alarms."""
    async with Link(MqttSettings.model_validate({"port": port}), "display") as link:
        await link.subscribe("yaosu/v1/lab/gw/alarm")
        async for delivery in link.deliveries():
            content: dict[str, Any] = json.loads(delivery.payload)
            delivery.done()
            return content
    raise AssertionError("the topic said nothing")


async def at_step(receiver: Receiver, step: str, posts: int = 1) -> bool:
    """Whether the last of so many posts told of a step."""
    return len(receiver.posts) >= posts and receiver.posts[-1][1]["step"] == step


async def codes_open(port: int) -> list[str]:
    """Codes of the open alarms, as the retained topic tells them."""
    return sorted(one["code"] for one in (await retained(port))["alarms"])


async def shows(port: int, *codes: str) -> bool:
    """Whether the retained topic tells of these alarms and no others."""
    found = await codes_open(port)
    assert set(found) <= {"command-refused", "unattributed-change"}, found
    return found == sorted(codes)


async def raised_and_taken(site: LoadedSite, door: DoorClient, receiver: Receiver) -> dict[str, Any]:
    """A refused command is an event, and this event calls for a person, who acknowledges the alarm."""
    nothing = await told(site, "ack", "A-00099")
    assert nothing.code == 1
    await until(lambda: at_step(receiver, "raised", 3), "the webhook has taken it")
    alarm: dict[str, Any]
    (alarm,) = await shown(door, "alarms")
    assert (alarm["code"], alarm["step"]) == ("command-refused", "raised")
    assert len(set(receiver.keys)) == 1
    await until(lambda: shows(site.settings.mqtt.port, "command-refused"), "the retained topic shows it")
    taken = await told(site, "ack", alarm["alarm"])
    assert taken.code == 0, taken.err
    await until(lambda: at_step(receiver, "acknowledged"), "the step was posted")
    return alarm


async def batch_goes_round(site: LoadedSite, door: DoorClient) -> None:
    """A batch is opened, shown and closed from the command line."""
    registry = read_registry(REGISTRY)
    args = {"records": registry.records, "directory": registry.directory}
    imported = await door.command("registry.import", args, {"person": ADMINISTRATOR, "pin": PIN})
    assert imported["ok"], imported
    acting = ("--as", ADMINISTRATOR, "-c", site.path)
    for command in (
        ("batch", "open", "B-1", "--method", "pressure-hold", *acting),
        ("batch", "show", "B-1", "-c", site.path), ("batch", "close", "B-1", *acting),
        ("batch", "list", "-c", site.path), ("qc", "due", "-c", site.path),
        ("chart", "list", "-c", site.path), ("lookback", "list", "-c", site.path),
    ):  # fmt: skip
        done = await asyncio.to_thread(yaosu, *command, YAOSU_PIN=PIN)
        assert done.code == 0, (command, done.err)
    (batch,) = await shown(door, "batches")
    assert (batch["batch"], batch["open"], batch["closed_by"]) == ("B-1", False, ADMINISTRATOR)


async def test_an_alarm_goes_its_way_through_a_restart(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with receiving() as receiver:
        tables = TABLES.format(url=receiver.url)
        receiver.answers = [503, 503]
        async with (
            running(tmp_path, broker=mosquitto.port, tables=tables) as site,
            DoorClient(site.state.socket("door")) as door,
        ):
            alarm = await raised_and_taken(site, door, receiver)
            for view in ("batches", "charts", "lookbacks", "qc-due"):
                assert await shown(door, view) == []
            assert (await shown(door, "charts/none"))["code"] == "not-found"
        posted = len(receiver.posts)
        async with (
            running(tmp_path, broker=mosquitto.port, tables=tables) as site,
            DoorClient(site.state.socket("door")) as door,
        ):
            found = {one["code"]: one for one in await shown(door, "alarms")}
            alarm = found["command-refused"]
            assert alarm["step"] == "acknowledged"
            assert found["unattributed-change"]["step"] == "raised"  # the simulator has another port now
            for deed in ("cause", "action", "close"):
                done = await told(site, deed, alarm["alarm"])
                assert done.code == 0, done.err
            await until(lambda: at_step(receiver, "closed"), "the end was posted")
            await until(lambda: shows(mosquitto.port, "unattributed-change"), "the topic shows the other one")
            listed = await asyncio.to_thread(yaosu, "alarm", "list", "--all", "--lang", "zh", "-c", site.path)
            assert "已关闭" in listed.out
            await batch_goes_round(site, door)
            status = await shown(door, "status")
            assert status["alarms"] == {"open": 1, "suppressed": 0, "webhook": {"owed": 0, "error": ""}}
        later = [key for key in receiver.keys[posted:] if alarm["alarm"] in key]
        assert later
        assert not set(later) & set(receiver.keys[:posted])  # nothing that was taken was posted again
