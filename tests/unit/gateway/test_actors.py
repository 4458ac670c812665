"""Who acts: what a claim is worth, and what of it may stand in a record."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from gateway.door.actors import (
    FAILURES_MAX,
    LOCK_NS,
    SESSION_NS,
    SESSIONS_MAX,
    UNKNOWN,
    Actors,
    RefusedActorError,
    signed_hash,
)
from gateway.persons import AuthenticationError, Person, UncheckedError
from tests.unit.gateway.paper import HandClock

if TYPE_CHECKING:
    from gateway.persons import Directory

PASSWORD, PIN = "correct horse", "482913"


@dataclass
class FakeDirectory:
    """Three people, without the cost of argon2id."""

    people: dict[str, Person] = field(
        default_factory=lambda: {
            "p-1": Person("p-1", "x", ("operator", "signatory"), PASSWORD, PIN),
            "p-2": Person("p-2", "y", ("operator",), PASSWORD, ""),
        }
    )
    asked: int = 0

    def find(self, person: str) -> Person | None:
        return self.people.get(person)

    def authenticate(self, person: str, secret: str, *, pin: bool = False) -> Person:
        self.asked += 1
        known = self.people.get(person)
        expected = "" if known is None else known.pin_verifier if pin else known.verifier
        if known is None or not expected or known.disabled or secret != expected:
            raise AuthenticationError("person and password do not match")
        return known


class Rig:
    def __init__(self) -> None:
        self.directory, self.clock = FakeDirectory(), HandClock()
        self.actors = Actors(
            cast("Directory", self.directory), self.clock, {"B-1": "p-1"}.get, {"p-7", "p-1"}.__contains__
        )

    async def actor(self, claim: dict[str, Any], command: str = "task.stop", token: str | None = None) -> Any:
        return await self.actors.identify(command, {}, claim, token, "uid:1")

    async def code(self, claim: dict[str, Any], command: str = "task.stop", token: str | None = None) -> str:
        try:
            await self.actor(claim, command, token)
        except RefusedActorError as refused:
            return refused.code if refused.en and refused.zh else "a refusal without words"
        return "ok"


@pytest.fixture
async def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"person": "p-1", "pin": PIN}, ("p-1", "pin", "operator")),
        ({"person": "p-1", "password": PASSWORD}, ("p-1", "password", "operator")),
        ({"person": "p-1", "pin": PIN, "role": "signatory"}, ("p-1", "pin", "signatory")),
        ({"badge": "B-1"}, ("p-1", "badge", "")),
        ({"person": "p-7"}, ("p-7", "asserted", "")),
        ({"person": "p-2"}, ("p-2", "asserted", "")),
    ],
)
async def test_what_a_claim_is_worth(rig: Rig, claim: dict[str, Any], expected: tuple[str, ...]) -> None:
    actor = await rig.actor(claim)
    assert (actor["person"], actor["how"], actor["role"]) == expected
    assert actor["station"] == "unnamed (uid:1)"


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        ({}, "nobody"),
        ({"person": ""}, "nobody"),
        ({"person": "林晓禾"}, "unknown-person"),
        ({"person": "nobody-knows"}, "unknown-person"),
        ({"badge": "B-9"}, "unknown-badge"),
        ({"person": "p-1", "pin": "000000"}, "wrong-secret"),
        ({"person": "p-1", "pin": PASSWORD}, "wrong-secret"),
        ({"person": "p-2", "pin": PIN}, "wrong-secret"),
        ({"person": "p-9", "password": PASSWORD}, "wrong-secret"),
        ({"person": "p-2", "password": PASSWORD, "role": "signatory"}, "not-your-role"),
        ({"person": "p-1", "role": "administrator"}, "not-your-role"),
        ({"badge": "B-1", "role": "signatory"}, "not-your-role"),
        ({"person": ["p-1"]}, "bad-claim"),
        ({"person": "p-1", "pin": 482913}, "bad-claim"),
        ({"person": "p-1", "reason": "x" * 2001}, "bad-claim"),
        ({"person": "p-1", "station": "x" * 101}, "bad-claim"),
    ],
)
async def test_what_is_no_claim(rig: Rig, claim: dict[str, Any], code: str) -> None:
    assert await rig.code(claim) == code


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ({"person": "p-1"}, "p-1"),
        ({"person": "p-7"}, "p-7"),
        ({"person": "林晓禾"}, UNKNOWN),
        ({"person": PASSWORD}, UNKNOWN),
        ({"person": {"a": 1}}, UNKNOWN),
        ({"badge": "B-1"}, "p-1"),
        ({"badge": "B-9"}, UNKNOWN),
        ({}, UNKNOWN),
    ],
)
async def test_only_known_ids_stand_in_the_record_of_a_refusal(
    rig: Rig, claim: dict[str, Any], expected: str
) -> None:
    assert rig.actors.claimed(claim, None) == expected


async def test_a_signature_needs_secret_hash_and_owner(rig: Rig) -> None:
    command, good = "hold.release", signed_hash("hold.release", {})
    assert await rig.code({"person": "p-1"}, command) == "not-authenticated"
    assert await rig.code({"badge": "B-1", "pin": PIN, "signed_hash": good}, command) == "not-authenticated"
    assert await rig.code({"person": "p-1", "pin": PIN}, command) == "signature"
    assert await rig.code({"person": "p-1", "pin": PIN, "signed_hash": good}, command) == "ok"
    token = (await rig.actors.login("p-1", PASSWORD)).token
    assert await rig.code({"signed_hash": good}, command, token) == "signature"
    assert await rig.code({"signed_hash": good, "pin": "0" * 6}, command, token) == "wrong-secret"
    other = {"signed_hash": good, "person": "p-2", "password": PASSWORD}
    assert await rig.code(other, command, token) == "signature"
    assert await rig.code({"signed_hash": good, "pin": PIN}, command, token) == "ok"
    assert await rig.code({"signed_hash": good, "pin": PIN}, command, "forged") == "session-ended"


async def test_wrong_secrets_lock_and_many_at_once_give_no_more_tries(rig: Rig) -> None:
    wrong = [rig.code({"person": "p-1", "pin": f"{n:06d}"}) for n in range(50)]
    codes = await asyncio.gather(*wrong)
    assert codes.count("wrong-secret") == FAILURES_MAX == rig.directory.asked
    assert codes.count("locked") == 50 - FAILURES_MAX
    assert await rig.code({"person": "p-1", "pin": PIN}) == "locked"
    rig.clock.now += LOCK_NS + 1
    assert await rig.code({"person": "p-1", "pin": PIN}) == "ok"


async def test_a_secret_that_could_not_be_checked_is_no_attempt(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_threads(person: str, secret: str, *, pin: bool = False) -> Person:
        raise UncheckedError("Threading failure")

    with monkeypatch.context() as short:
        short.setattr(rig.directory, "authenticate", short_of_threads)
        for _ in range(FAILURES_MAX + 1):
            with pytest.raises(RefusedActorError) as refused:
                await rig.actors.login("p-1", PASSWORD)
            assert refused.value.code == "unchecked"
    assert (await rig.actors.login("p-1", PASSWORD)).person.id == "p-1"


async def test_a_right_secret_forgets_the_wrong_ones(rig: Rig) -> None:
    for _ in range(3):
        for _ in range(FAILURES_MAX - 1):
            assert await rig.code({"person": "p-1", "pin": "000000"}) == "wrong-secret"
        assert await rig.code({"person": "p-1", "pin": PIN}) == "ok"


async def test_invented_ids_cost_no_memory_and_open_no_lock(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.door.actors.FAILURE_SLOTS", 64)
    for _ in range(FAILURES_MAX):
        await rig.code({"person": "p-1", "pin": "000000"})
    for n in range(300):
        await rig.code({"person": f"invented-{n}", "pin": "000000"})
    assert len(rig.actors._failures) <= 64
    assert await rig.code({"person": "p-1", "pin": PIN}) == "locked"


async def test_an_id_that_nobody_has_is_locked_like_any_other(rig: Rig) -> None:
    codes = [await rig.code({"person": "p-99", "pin": "000000"}) for _ in range(FAILURES_MAX + 1)]
    assert codes == ["wrong-secret"] * FAILURES_MAX + ["locked"]


async def test_a_session_ends_with_time_password_and_person(rig: Rig) -> None:
    async def fresh() -> str:
        return (await rig.actors.login("p-1", PASSWORD)).token

    token = await fresh()
    rig.clock.now += SESSION_NS
    assert rig.actors.session(token) is None
    token = await fresh()
    rig.directory.people["p-1"] = Person("p-1", "x", ("operator",), PASSWORD, PIN)
    session = rig.actors.session(token)
    assert session is not None
    assert session.person.roles == ("operator",), "roles are those of now"
    rig.directory.people["p-1"] = Person("p-1", "x", ("operator",), "new password", PIN)
    assert rig.actors.session(token) is None
    rig.directory.people["p-1"] = Person("p-1", "x", ("operator",), PASSWORD, PIN)
    assert rig.actors.session(token) is None, "an ended session stays ended"


async def test_sessions_are_bounded_and_the_oldest_goes(rig: Rig) -> None:
    tokens = []
    for _ in range(SESSIONS_MAX + 1):
        rig.clock.now += 1
        tokens.append((await rig.actors.login("p-1", PASSWORD)).token)
    assert rig.actors.session(tokens[0]) is None
    assert all(rig.actors.session(token) is not None for token in tokens[1:])
    assert len(set(tokens)) == len(tokens)
