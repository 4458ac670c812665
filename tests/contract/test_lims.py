"""Another system drives a real daemon by each of its doors, with the very commands of docs/lims.md."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gateway.demo.site import REGISTRY
from gateway.door.client import DoorClient
from gateway.remote.signed import REPLY_CONTEXT, REQUEST_CONTEXT, seal
from gateway.trust import ServiceTokens, TrustedKeys
from pipeline.elements import read_registry
from pipeline.mqtt import Delivery, Link, MqttSettings
from pipeline.records.signing import SigningKey, verify
from tests.support.bench import MAIN, until
from tests.support.daemon import ADMINISTRATOR, PIN, in_background, records_of
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.site import LoadedSite
    from tests.support.services import MosquittoFactory

TABLES = """
[commands]
mqtt = true
rate_per_s = 1000

[commands.folder]
path = "orders"
service = "lims-files"
"""
PAGE = (ROOT / "docs" / "lims.md").read_text(encoding="utf-8")
REPLIES = "yaosu/v1/lab/gw/reply/test"
WORK = {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"], "operator": "p-0002"}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, mosquitto_factory: MosquittoFactory
) -> Iterator[LoadedSite]:
    broker = mosquitto_factory()
    folder = tmp_path_factory.mktemp("lims")
    with in_background(folder, broker=broker.port, tables=TABLES) as site:
        asyncio.run(register(site))
        yield site


async def register(site: LoadedSite) -> None:
    registry = read_registry(REGISTRY)
    args = {"records": registry.records, "directory": registry.directory}
    async with DoorClient(site.state.socket("door")) as door:
        answer = await door.command("registry.import", args, {"person": ADMINISTRATOR, "pin": PIN})
    assert answer["ok"], answer


@pytest.fixture
async def door(site: LoadedSite) -> AsyncIterator[DoorClient]:
    """The door, with nothing running that a test before has left."""
    async with DoorClient(site.state.socket("door")) as door:
        for task in await door.get("tasks?phase=running"):
            args = {"task": task["task"], "reason": "the next test begins"}
            assert (await door.command("task.abort", args, {"person": ADMINISTRATOR, "pin": PIN}))["ok"]
        yield door


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def records(site: LoadedSite, kind: str) -> list[Any]:
    return [record for record in records_of(site.state.journal) if record.kind == kind]


async def run(*command: str | Path, folder: Path, path: Path | None = None) -> str:
    environment = dict(os.environ) if path is None else {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=folder, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(50):
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    return told.decode()


async def test_every_curl_command_of_the_page_does_what_the_page_says(
    site: LoadedSite, door: DoorClient, tmp_path: Path
) -> None:
    program = tmp_path / "yaosu"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{MAIN}" "$@"\n')
    program.chmod(0o755)
    script = "\n".join(["set -euo pipefail", *blocks("sh")])
    assert script.count("door http://door/v1/commands/") == 5
    socket = str(site.state.socket("door"))
    script = script.replace("/var/lib/yaosu/door.sock", socket).replace("gateway.toml", str(site.path))
    told = await run("bash", "-c", script, folder=tmp_path, path=tmp_path)
    task = json.loads((tmp_path / "answer.json").read_text())["result"]["task"]
    shown = await door.get(f"tasks/{task}")
    assert (shown["phase"], shown["final"], shown["overall"]) == ("stopped", True, "held")
    assert shown["operators"] == ["p-0002", "p-0001"]
    assert shown["links"] == [{"system": "lims", "external_id": "order-4711"}]
    assert told.rstrip().endswith(f"{task}\ntrue"), told
    start = next(one for one in records(site, "task") if one.body["task"] == task)
    assert (start.body["actor"]["person"], start.body["actor"]["how"]) == ("lims", "service")


async def test_a_service_may_do_its_own_work_and_nothing_else(site: LoadedSite, door: DoorClient) -> None:
    token = ServiceTokens(site.state.service_tokens).issue("lims", "lims")
    for command in (
        "task.handover", "task.amend", "instrument.state", "hold.release", "registry.import", "person.add",
        "config.apply", "material.handover", "certificate.withdraw", "batch.close", "no.such",
    ):  # fmt: skip
        answer = await door.command(command, {}, {}, token=token)
        assert answer["code"] in {"not-permitted", "not-authenticated"}, (command, answer)
        assert answer["hint"]
    answer = await door.command("task.start", {**WORK, "operator": ""}, {}, token=token)
    assert (answer["code"], "operator" in answer["en"]) == ("missing-argument", True)
    # Who it says to be changes nothing.
    claim = {"person": ADMINISTRATOR, "role": "administrator"}
    answer = await door.command("config.apply", {"sha256": "0" * 64}, claim, token=token)
    assert answer["code"] == "not-authenticated"
    ServiceTokens(site.state.service_tokens).revoke("lims")
    assert (await door.command("task.start", WORK, {}, token=token))["code"] == "service-ended"


class Orders:
    """The watched folder."""

    def __init__(self, site: LoadedSite) -> None:
        self.folder = site.path.parent / "orders"

    def drop(self, name: str, text: str) -> None:
        whole = self.folder / "in" / f".{name}"
        whole.write_text(text, encoding="utf-8")
        whole.rename(self.folder / "in" / name)

    async def answers(self, name: str) -> list[dict[str, str]]:
        async def done() -> bool:
            return (self.folder / "done" / name).exists()

        await until(done, f"{name} is done")
        with (self.folder / "answers" / name).open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))


async def test_the_rows_of_a_file_are_carried_out_and_a_broken_one_spoils_no_other(
    site: LoadedSite, door: DoorClient
) -> None:
    page = next(block for block in blocks("csv") if block.startswith("row_id,command"))
    orders = Orders(site)
    orders.drop(
        "first.csv",
        page + "o-4713-2,task.start,V-0001\no-4713-3,task.start,V-9,,pressure-hold,p-1,p-0002,,\n",
    )
    answers = await orders.answers("first.csv")
    assert [(row["row_id"], row["ok"], row["code"]) for row in answers] == [
        ("o-4713-1", "yes", ""), ("o-4713-2", "no", "broken-row"), ("o-4713-3", "no", "unknown-sample"),
    ]  # fmt: skip
    assert answers[1]["message"].startswith("first.csv:3: 3 cells, the header has 9")
    assert answers[2]["message"].startswith("first.csv:4: V-9 is not a sample")
    assert answers[2]["hint"]
    task = answers[0]["task"]
    orders.drop("second.csv", page + f"o-4713-4,task.stop,,,,,,{task},\n")
    answers = await orders.answers("second.csv")
    assert (answers[0]["task"], answers[0]["ok"]) == (task, "yes"), "the same row brings its first answer"
    assert (await door.get(f"tasks/{task}"))["phase"] == "stopped"
    events = [one.body for one in records(site, "event")]
    assert any(
        event["code"] == "command-file" and "first.csv:3" in event["args"]["problem"] for event in events
    )
    refused = [one["args"] for one in events if one["code"] == "command-refused"]
    told = next(args for args in refused if args["person"] == "lims-files")
    assert told["reason"] == "unknown-sample"
    assert told["about"] == {"method": "pressure-hold", "operator": "p-0002", "instrument": "p-1"}


async def test_a_file_that_is_none_is_refused_as_a_whole_and_told(site: LoadedSite, door: DoorClient) -> None:
    orders = Orders(site)
    orders.drop("odd.csv", "row_id,comand\n1,task.start\n")
    (answer,) = await orders.answers("odd.csv")
    assert answer["code"] == "file-refused"
    assert answer["message"].startswith("odd.csv:1: the first line names no column command")


class Remote:
    """A LIMS on the broker."""

    def __init__(self, link: Link, key: SigningKey) -> None:
        self.link, self.key, self.counter = link, key, 0
        self.deliveries = link.deliveries()

    def request(self, **changes: Any) -> bytes:
        self.counter += 1
        body = {
            "gateway": "lab/gw", "command": "task.start", "args": WORK, "counter": self.counter,
            "nonce": f"nonce-{self.counter}", "idempotency_key": f"key-{self.counter}",
        }  # fmt: skip
        return seal(self.key, REQUEST_CONTEXT, {**body, **changes})

    async def answer(self) -> Delivery:
        async with asyncio.timeout(20):
            delivery = await anext(self.deliveries)
        delivery.done()
        return delivery

    async def ask(self, **changes: Any) -> dict[str, Any]:
        return await self.send(self.request(**changes))

    async def send(self, message: bytes) -> dict[str, Any]:
        await self.link.publish(
            "yaosu/v1/lab/gw/command", message, response_topic=REPLIES, correlation=b"c-1"
        )
        told = json.loads((await self.answer()).payload)
        body: dict[str, Any] = json.loads(told["body"])
        return body


@pytest.fixture
async def remote(site: LoadedSite, door: DoorClient, tmp_path: Path) -> AsyncIterator[Remote]:
    key = SigningKey.load_or_create(tmp_path / "lims.key")
    TrustedKeys(site.state.trusted_keys).trust(key.public, "lims", "hospital-lims")
    settings = MqttSettings.model_validate({"port": site.settings.mqtt.port})
    async with Link(settings, "lims") as link:
        await link.subscribe(REPLIES)
        yield Remote(link, key)


async def connected(door: DoorClient) -> bool:
    return bool((await door.get("status"))["commands"]["connected"])


async def test_the_python_program_of_the_page_starts_a_task(
    site: LoadedSite, door: DoorClient, tmp_path: Path
) -> None:
    await until(lambda: connected(door), "the daemon hears commands")
    key = SigningKey.load_or_create(tmp_path / "lims.key")
    TrustedKeys(site.state.trusted_keys).trust(key.public, "lims", "hospital-lims")
    (program,) = blocks("python")
    port = str(site.settings.mqtt.port)
    told = await run(sys.executable, "-c", program, port, key.id, tmp_path / "lims.key", folder=tmp_path)
    answer = json.loads(json.loads(told)["body"])
    assert answer["ok"], answer
    assert (await door.get(f"tasks/{answer['result']['task']}"))["phase"] == "running"


async def test_a_signed_command_is_recorded_carried_out_once_and_answered_with_a_signature(
    site: LoadedSite, door: DoorClient, remote: Remote
) -> None:
    await until(lambda: connected(door), "the daemon hears commands")
    message = remote.request()
    await remote.link.publish("yaosu/v1/lab/gw/command", message, response_topic=REPLIES, correlation=b"c-7")
    delivery = await remote.answer()
    assert delivery.correlation == b"c-7"
    sealed = json.loads(delivery.payload)
    answer = json.loads(sealed["body"])
    assert answer["ok"], answer
    journal = (site.state.journal / "journal.key").read_bytes()
    own = SigningKey.load_or_create(site.state.journal / "journal.key")
    assert len(journal) == 32
    assert verify(own.public, bytes.fromhex(sealed["signature"]), REPLY_CONTEXT + sealed["body"].encode())
    again = await remote.send(message)
    assert (again["ok"], again["code"]) == (False, "counter-used")
    once = await remote.ask(idempotency_key="key-1")
    assert (once["seq"], once["result"]) == (answer["seq"], answer["result"])
    command = next(one for one in records(site, "command") if one.body["request"] == answer["request"])
    reply = next(one for one in records(site, "reply") if one.body["to_seq"] == command.seq)
    assert command.seq < answer["seq"][0] < reply.seq
    assert (command.body["name"], command.body["command"]) == ("hospital-lims", "task.start")


async def test_what_is_not_to_be_carried_out_is_refused_and_the_next_one_is_not(
    site: LoadedSite, door: DoorClient, remote: Remote, tmp_path: Path
) -> None:
    await until(lambda: connected(door), "the daemon hears commands")
    stranger = SigningKey.load_or_create(tmp_path / "stranger.key")
    tampered = remote.request().replace(b"V-0001", b"V-0002")
    body = json.loads(json.loads(remote.request())["body"])
    unanswered = [
        b"", b"{", b"\xff", tampered, b"x" * 100_000, seal(stranger, REQUEST_CONTEXT, body),
        seal(remote.key, REPLY_CONTEXT, body),
    ]  # fmt: skip
    for message in unanswered:
        await remote.link.publish(
            "yaosu/v1/lab/gw/command", message, response_topic=REPLIES, correlation=b"0"
        )
    for changes, code in (
        ({"gateway": "lab/other"}, "other-gateway"),
        ({"command": "hold.release"}, "not-permitted"),
        ({"command": "instrument.state"}, "not-permitted"),
        ({"not_after": "2001-01-01T00:00:00Z"}, "expired"),
        ({"not_before": "2999-01-01T00:00:00Z"}, "too-early"),
        ({"args": {**WORK, "sample": "V-9"}}, "unknown-sample"),
    ):
        answer = await remote.ask(**changes)
        if code in {"expired", "too-early"} and answer["ok"]:
            # A clock that nobody keeps in step vouches for no time: then the counter alone counts.
            assert not (await door.get("status"))["clock"]["synchronised"]
            args = {"task": answer["result"]["task"], "reason": "only a test"}
            assert (await remote.ask(command="task.abort", args=args))["ok"]
            continue
        assert answer["code"] == code, (changes, answer)
    assert (await remote.ask())["ok"]
    reasons = {
        one.body["args"]["reason"] for one in records(site, "event") if one.body["code"] == "command-refused"
    }
    assert {"not-understood", "bad-signature", "unknown-key", "other-gateway"} <= reasons
