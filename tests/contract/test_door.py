"""The daemon's door over a real Unix socket, with a real daemon behind it.

One daemon serves all tests of this file; whoever disturbs a person or a task has one of their own.
"""

from __future__ import annotations

import asyncio
import socket
import stat
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from gateway.demo.site import REGISTRY
from gateway.door.actors import signed_hash
from gateway.door.client import DoorClient
from gateway.door.socket_server import SocketInUseError, bind
from gateway.initialise import AlreadyInitialisedError, initialise
from pipeline.elements import read_registry
from tests.support.bench import until
from tests.support.daemon import ADMINISTRATOR, PASSWORD, PIN, in_background, records_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from gateway.site import LoadedSite

SHA256 = {"sha256": "0" * 64}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedSite]:
    with in_background(tmp_path_factory.mktemp("door")) as site:
        yield site


class Caller:
    """Somebody at the door."""

    def __init__(self, site: LoadedSite, door: DoorClient) -> None:
        self.site, self.door = site, door

    async def command(self, name: str, person: str, args: dict[str, Any], **claim: Any) -> Any:
        return await self.door.command(name, args, {"person": person, "station": "test", **claim})

    async def raw(self, text: bytes) -> bytes:
        """Send bytes and return all that comes back until the daemon hangs up."""
        reader, writer = await asyncio.open_unix_connection(self.site.state.socket("door"))
        try:
            writer.write(text)
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@pytest.fixture
async def run(site: LoadedSite) -> AsyncIterator[Caller]:
    async with DoorClient(site.state.socket("door")) as door:
        yield Caller(site, door)


async def test_status_tells_how_it_stands_and_nothing_that_is_not_durable(run: Caller) -> None:
    status = await run.door.get("status")
    assert status["state"] == "ok"
    assert status["purpose"] == "rehearsal"
    assert status["journal"]["durable_seq"] >= 0
    assert not status["publisher"]["link"]["connected"]
    assert status["publisher"]["link"]["since_utc_ns"] > 0
    assert status["journal"]["backlog_records"] > 0
    assert stat.S_IMODE(run.site.state.socket("door").stat().st_mode) == 0o660


async def test_only_one_daemon_serves_a_state_folder(run: Caller) -> None:
    with pytest.raises(SocketInUseError, match="yaosu status"):
        bind(run.site.state.socket("door"))
    with pytest.raises(AlreadyInitialisedError, match="in use already"):
        await initialise(run.site, "p-0009", "x", PASSWORD, PIN)


FORGED: list[tuple[str, dict[str, Any], str]] = [
    ("nobody", {}, "nobody"),
    ("a badge that nobody has", {"badge": "no-such-badge"}, "unknown-badge"),
    ("a name instead of an id", {"person": "秦望舒"}, "unknown-person"),
    ("an id that nobody has", {"person": "p-9999"}, "unknown-person"),
    ("an id without a secret", {"person": ADMINISTRATOR}, "not-authenticated"),
    ("a wrong PIN", {"person": ADMINISTRATOR, "pin": "000000"}, "wrong-secret"),
    ("the password as PIN", {"person": ADMINISTRATOR, "pin": PASSWORD}, "wrong-secret"),
    ("a role that is not theirs", {"person": "p-0001", "pin": PIN, "role": "administrator"}, "not-"),
    ("a claim that is no text", {"person": [ADMINISTRATOR], "pin": PIN}, "bad-claim"),
    ("how, said by the caller", {"person": ADMINISTRATOR, "how": "password"}, "not-authenticated"),
    ("an operator", {"person": "p-0001", "pin": PIN}, "not-"),
]
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("config.apply", SHA256),
    ("person.add", {"person": "p-0077", "name": "x", "roles": ["operator"], "password": PASSWORD}),
    ("person.passwd", {"person": ADMINISTRATOR, "password": "taken over"}),
    ("person.disable", {"person": ADMINISTRATOR}),
]


@pytest.mark.parametrize("forgery", FORGED, ids=[name for name, _, _ in FORGED])
async def test_a_forged_actor_changes_nothing(run: Caller, forgery: tuple[str, dict[str, Any], str]) -> None:
    _, claim, code = forgery
    for name, args in COMMANDS[: 1 if "pin" in claim else None]:
        answer = await run.door.command(name, args, {**claim, "station": "test"})
        assert not answer["ok"], (name, answer)
        assert answer["code"].startswith(code), (name, answer)
        assert answer["en"]
        assert answer["zh"]
    if code in {"nobody", "unknown-badge", "unknown-person"}:
        for name in ("task.start", "task.stop", "instrument.state", "hold.release", "registry.import"):
            assert (await run.door.command(name, {}, claim))["code"] == code
    if code == "wrong-secret":
        # The right one afterwards: nothing was taken over, and the lock has not fallen.
        assert (await run.command("config.apply", ADMINISTRATOR, SHA256, pin=PIN))["ok"]


async def test_a_wrong_secret_locks_after_five_times(run: Caller) -> None:
    for _ in range(5):
        answer = await run.command("config.apply", "p-0004", SHA256, pin="000000")
        assert answer["code"] == "wrong-secret"
    assert (await run.command("config.apply", "p-0004", SHA256, pin=PIN))["code"] == "locked"
    assert (await run.door.login("p-0004", PASSWORD))["code"] == "locked"


async def test_a_signature_covers_exactly_what_is_sent(run: Caller) -> None:
    other = signed_hash("config.apply", {"sha256": "1" * 64})
    answer = await run.command("config.apply", ADMINISTRATOR, SHA256, pin=PIN, signed_hash=other)
    assert answer["code"] == "signature"
    assert (await run.command("config.apply", ADMINISTRATOR, SHA256, pin=PIN))["ok"]


async def test_a_session_signs_only_with_the_secret_again_and_only_for_its_owner(run: Caller) -> None:
    token = (await run.door.login(ADMINISTRATOR, PASSWORD))["token"]
    assert (await run.door.command("config.apply", SHA256, {}, token=token))["code"] == "signature"
    answer = await run.door.command(
        "config.apply", SHA256, {"person": "p-0001", "password": PASSWORD}, token=token
    )
    assert answer["code"] == "signature"
    assert (await run.door.command("config.apply", SHA256, {"password": PASSWORD}, token=token))["ok"]
    await run.door.logout(token)
    answer = await run.door.command("config.apply", SHA256, {"password": PASSWORD}, token=token)
    assert answer["code"] == "session-ended"
    answer = await run.door.command("task.stop", {"task": "x"}, {}, token="forged")
    assert answer["code"] == "session-ended"


async def test_a_disabled_person_has_no_session_any_more(run: Caller) -> None:
    login = await run.door.login("p-0005", PASSWORD)
    assert login["ok"], login
    token = login["token"]
    assert (await run.command("person.disable", ADMINISTRATOR, {"person": "p-0005"}, pin=PIN))["ok"]
    assert (await run.door.command("task.stop", {"task": "x"}, {}, token=token))["code"] == "session-ended"
    assert not (await run.door.login("p-0005", PASSWORD))["ok"]


async def test_a_new_password_ends_the_sessions_of_the_old_one(run: Caller) -> None:
    token = (await run.door.login("p-0006", PASSWORD))["token"]
    args = {"person": "p-0006", "password": "a new password"}
    assert (await run.command("person.passwd", "p-0006", args, pin=PIN))["ok"]
    assert (await run.door.command("task.stop", {"task": "x"}, {}, token=token))["code"] == "session-ended"
    assert (await run.door.login("p-0006", "a new password"))["ok"]


async def test_an_administrator_enrols_and_what_is_wrong_with_it_is_told(run: Caller) -> None:
    args: dict[str, Any] = {
        "person": "p-0009", "name": "x", "roles": ["operator"], "password": PASSWORD,
    }  # fmt: skip
    for wrong, code in (
        ({"person": "王小明"}, "persons"), ({"person": 5}, "bad-request"),
        ({"roles": "operator"}, "bad-request"), ({"roles": ["king"]}, "persons"),
        ({"password": None}, "bad-request"), ({"pin": "1"}, "persons"),
    ):  # fmt: skip
        answer = await run.command("person.add", ADMINISTRATOR, {**args, **wrong}, pin=PIN)
        assert (answer["ok"], answer["code"]) == (False, code), wrong
    assert (await run.command("person.add", ADMINISTRATOR, args, pin=PIN))["ok"]
    assert (await run.door.login("p-0009", PASSWORD))["ok"]


async def test_the_same_key_is_answered_the_same_and_done_once_for_each_person(run: Caller) -> None:
    actor = {"person": ADMINISTRATOR, "pin": PIN}
    first, again = await asyncio.gather(
        *(run.door.command("config.apply", SHA256, actor, key="k-1") for _ in range(2))
    )
    assert first == again
    assert first["ok"]
    other = await run.door.command("config.apply", SHA256, {"person": "p-0001", "pin": PIN}, key="k-1")
    assert other["code"] == "not-authorised"


async def test_names_are_for_the_laboratorys_own_people(run: Caller) -> None:
    assert (await run.door.get("persons"))["code"] == "not-authenticated"
    token = (await run.door.login(ADMINISTRATOR, PASSWORD))["token"]
    assert (await run.door.get("persons", token=token))[ADMINISTRATOR] == "秦望舒"


async def test_what_is_not_there_and_what_is_not_understood_is_told(run: Caller) -> None:
    for path, told in (
        ("tasks/none", "tasks: nothing is known of 'none'"),
        ("nonsense", "there is no view 'nonsense'"),
        ("commands/task.stop", "a command is a POST"),
    ):
        refusal = await run.door.get(path)
        assert refusal["code"] == "not-found"
        assert told in refusal["en"]
        assert refusal["zh"]
        assert refusal["hint"]
    assert (await run.door.get("tasks?limit=many"))["code"] == "bad-request"
    assert (await run.command("no.such", ADMINISTRATOR, {}, pin=PIN))["code"] == "unknown-command"
    actor = {"person": ADMINISTRATOR, "pin": PIN}
    assert (await run.door.command("config.apply", SHA256, actor, key="k" * 129))["code"] == "bad-request"


def post(body: bytes, *headers: str) -> bytes:
    head = ["POST /v1/login HTTP/1.1", "Host: door", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


async def test_a_request_is_refused_before_its_size_is_taken(run: Caller) -> None:
    assert b"413" in (await run.raw(post(b"", "Content-Length: 1000000000"))).split(b"\r\n")[0]
    # Four MiB and one byte, without an end: the answer does not wait for it.
    chunks = (b"100000\r\n" + b"x" * 0x100000 + b"\r\n") * 4 + b"1\r\nx\r\n"
    answer = await run.raw(post(chunks, "Transfer-Encoding: chunked"))
    assert b"413" in answer.split(b"\r\n")[0]
    assert b"too-large" in answer
    assert b"400" in (await run.raw(post(b"{no", "Content-Length: 3"))).split(b"\r\n")[0]


async def test_callers_that_hang_do_not_keep_others_out(run: Caller) -> None:
    hanging = []
    try:
        for _ in range(20):
            caller = socket.socket(socket.AF_UNIX)
            hanging.append(caller)
            caller.connect(str(run.site.state.socket("door")))
            caller.send(b"POST /v1/login HTTP/1.1\r\n")
        assert (await run.door.get("status"))["state"] == "ok"
    finally:
        for caller in hanging:
            caller.close()


async def test_no_secret_no_badge_and_no_name_enters_a_record(run: Caller) -> None:
    secrets = ("typed-into-the-wrong-field", "badge-7-7-7", "王大锤")
    await run.door.login(secrets[0], secrets[0])
    await run.door.command("task.stop", {}, {"badge": secrets[1]})
    await run.door.command("instrument.state", {}, {"person": secrets[2]})
    await run.command("person.add", ADMINISTRATOR, {
        "person": "p-0012", "name": secrets[2], "roles": ["operator"], "password": secrets[0],
        "pin": "918273",
    }, pin=PIN)  # fmt: skip
    await run.door.command(secrets[2], {}, {"person": ADMINISTRATOR, "pin": PIN})
    assert (await run.door.get("status"))["state"] == "ok"
    held = b"".join(path.read_bytes() for path in run.site.state.journal.rglob("*") if path.is_file())
    for secret in (*secrets, PASSWORD, PIN, "918273", "$argon2id$", "秦望舒"):
        assert secret.encode() not in held
        assert orjson.dumps(secret)[1:-1] not in held
    assert b"command-refused" in held


class TestRelease:
    """Who may let a held result out: an authenticated signatory who did not work on it, and nobody else."""

    async def held_task(self, run: Caller) -> str:
        registry = read_registry(REGISTRY)
        args = {"records": registry.records, "directory": registry.directory}
        assert (await run.command("registry.import", ADMINISTRATOR, args, pin=PIN))["ok"]
        started = await run.command(
            "task.start",
            "p-0002",
            {"sample": "V-0001", "method": "pressure-hold", "instruments": ["p-1"]},
            pin=PIN,
        )
        assert started["ok"], started
        task: str = started["result"]["task"]
        assert (await run.command("task.stop", "p-0002", {"task": task}, pin=PIN))["ok"]

        async def final() -> bool:
            shown = await run.door.get(f"tasks/{task}")
            return bool(shown["final"])

        await until(final, "the task's verdicts are final")
        return task

    async def release(self, run: Caller, task: str, person: str, **claim: Any) -> Any:
        seen = await run.door.get(f"tasks/{task}")
        args = {"task": task, "disposition": "release", "reason": "looked at", "signed_hash": seen["to_sign"]}
        return await run.command("hold.release", person, args, **claim)

    async def test_only_the_right_person_releases(self, run: Caller) -> None:
        task = await self.held_task(run)
        assert [hold["task"] for hold in await run.door.get("holds")] == [task]
        for person, claim, code in (
            ("p-0002", {"pin": PIN}, "own-task"),
            ("p-0001", {"pin": PIN}, "not-signatory"),
            (ADMINISTRATOR, {}, "not-authenticated"),
            (ADMINISTRATOR, {"pin": "999999"}, "wrong-secret"),
            (ADMINISTRATOR, {"badge": "B-1003"}, "not-authenticated"),
            ("p-0001", {"badge": "B-1003", "pin": PIN}, "not-authenticated"),
            ("p-0001", {"pin": PIN, "role": "signatory"}, "not-your-role"),
        ):
            answer = await self.release(run, task, person, **claim)
            assert answer["code"] == code, (person, claim, answer)
        assert [hold["task"] for hold in await run.door.get("holds")] == [task]
        answer = await self.release(run, task, ADMINISTRATOR, pin=PIN)
        assert answer["ok"], answer
        assert await run.door.get("holds") == []

    async def test_the_service_state_set_by_a_person_stands_on_the_frames(self, run: Caller) -> None:
        args = {"instrument": "p-1", "state": "maintenance", "reason": "seal"}
        answer = await run.command("instrument.state", "p-0001", args, pin=PIN)
        assert answer["ok"], answer

        async def carried() -> bool:
            frames = [record.body for record in records_of(run.site.state.journal) if record.kind == "data"]
            return bool(frames[-1]["service"] == "maintenance")

        await until(carried, "the frames carry the state")
        assert (await run.door.get("instruments"))[0]["service"] == "maintenance"
        args = {"instrument": "p-1", "state": "in-use", "reason": "done"}
        assert (await run.command("instrument.state", "p-0001", args, pin=PIN))["ok"]


async def test_the_last_administrator_cannot_be_shut_out(run: Caller) -> None:
    answer = await run.door.command(
        "person.disable", {"person": ADMINISTRATOR}, {"person": ADMINISTRATOR, "pin": PIN, "station": "test"}
    )
    assert answer["code"] == "last-administrator"
    assert "person add" in answer["hint"]
