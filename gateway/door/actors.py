"""Who acts: from a request's credentials to the `actor` that a record carries.

The daemon alone authenticates. A caller may relay a session token, or person and secret; whoever only names a
person or shows a badge is recorded as asserted, and the commands that need more refuse that.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import orjson

from gateway.persons import AuthenticationError, UncheckedError
from gateway.trust import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.persons import Directory, Person
    from gateway.trust import Service
    from pipeline.records import Clock

How = Literal["password", "pin", "badge", "asserted", "service"]
SESSION_NS = 8 * 3600 * 1_000_000_000
SESSIONS_MAX = 256
FAILURES_MAX = 5
LOCK_NS = 30 * 1_000_000_000
FAILURE_SLOTS = 4096
TEXT_MAX = {
    "person": 64, "badge": 200, "role": 64, "station": 100, "meaning": 100, "reason": 2000,
    "signed_hash": 64, "password": 1024, "pin": 1024,
}  # fmt: skip
"""Longest text of each part of a claim: some of them stand in records for ever."""
UNKNOWN = "unknown"
"""Stands in records for whoever is not known: what was typed may be a name, or a secret."""
SIGNED_COMMANDS = frozenset({
    "hold.release", "config.apply", "keys.apply", "registry.import",
    "person.add", "person.passwd", "person.disable",
    "task.enter", "task.correct", "chart.approve", "control.assess", "lookback.close", "batch.close",
    "alarm.acknowledge", "alarm.cause", "alarm.action", "alarm.close",
})  # fmt: skip
"""Commands that ask for the person's secret again, together with the hash of what is signed."""


HINTS = {
    "locked": "wait 30 s; forgotten? an administrator sets a new one: yaosu person passwd PERSON",
    "wrong-secret": "check the id and type the secret again; forgotten? yaosu person passwd PERSON",
    "unchecked": "try again; the machine is short of memory or threads: journalctl -u yaosu",
    "session-ended": "log in again: POST /v1/login with person and password; a service sends the whole token "
    "that yaosu keys token printed",
    "service-ended": "the service's token was revoked or replaced; issue a new one: yaosu keys token NAME",
    "unknown-badge": "scan the badge again, or register it: yaosu registry import FILE",
    "nobody": "add to the actor: badge, or person with pin or password; or send the header Authorization: "
    "Bearer TOKEN",
    "unknown-person": "use the id of the registry (yaosu registry show person), or enrol: yaosu person add",
    "not-authenticated": "sign with the person's password or PIN; a service's token can never sign",
    "signature": "read the task again, hash exactly what is sent, and give password or PIN with it",
    "bad-claim": "shorten it, or leave it out",
    "not-your-role": "leave the role out, or have an administrator give it: yaosu person add --role",
}
"""What to do after a refusal, by code."""


class RefusedActorError(Exception):
    """The request's identity is not good enough; `code` and the texts say why."""

    def __init__(self, code: str, en: str, zh: str) -> None:
        super().__init__(en)
        self.code, self.en, self.zh = code, en, zh
        self.hint = HINTS[code]


@dataclass(frozen=True, slots=True)
class Session:
    """One login of a person."""

    token: str
    person: Person
    expires_run_ns: int


@dataclass(slots=True)
class _Failures:
    count: int = 0
    locked_until_ns: int = 0


def signed_hash(command: str, args: dict[str, Any]) -> str:
    """Hash of what a person signs: SHA-256 over the command's name and its arguments as sorted JSON."""
    text = orjson.dumps([command, args], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()


@dataclass(slots=True)
class Actors:
    """Authenticates persons and keeps their sessions, in memory: after a restart everybody logs in again.

    Bounded: SESSIONS_MAX sessions, the oldest goes; FAILURE_SLOTS counters of wrong secrets. Secrets are
    verified one at a time: argon2id takes 64 MiB, and many tries at once must not be more than one by one.
    """

    directory: Directory
    clock: Clock
    badge_owner: Callable[[str], str | None]
    """Person id of a badge code, from the registry."""
    registered: Callable[[str], bool]
    """Whether the registry knows a person id."""
    service: Callable[[str], Service | None] = lambda _token: None
    """Whose token it is, when it is a service's."""
    _sessions: dict[str, Session] = field(default_factory=dict)
    _failures: dict[int, _Failures] = field(default_factory=dict)
    _slot_key: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    _verifying: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def login(self, person: str, password: str) -> Session:
        """Open a session. Raises RefusedActorError."""
        known = await self._authenticate(person, password, pin=False)
        now_ns = self.clock.run_ns()
        self._sessions = {t: s for t, s in self._sessions.items() if s.expires_run_ns > now_ns}
        if len(self._sessions) >= SESSIONS_MAX:
            oldest = min(self._sessions.values(), key=lambda session: session.expires_run_ns)
            del self._sessions[oldest.token]
        session = Session(secrets.token_urlsafe(32), known, now_ns + SESSION_NS)
        self._sessions[session.token] = session
        return session

    def logout(self, token: str) -> None:
        """Close a session; an unknown token is closed already."""
        self._sessions.pop(token, None)

    def session(self, token: str) -> Session | None:
        """Return the open session of a token, with the person as enrolled now."""
        session = self._sessions.get(token)
        if session is None or session.expires_run_ns <= self.clock.run_ns():
            return None
        # A person disabled meanwhile, or whose password was changed, has no session any more.
        current = self.directory.find(session.person.id)
        if current is None or current.disabled or current.verifier != session.person.verifier:
            self.logout(token)
            return None
        return replace(session, person=current)

    def known(self, person: str) -> bool:
        """Tell whether an id is enrolled here or stands in the registry."""
        return self.directory.find(person) is not None or self.registered(person)

    def claimed(self, claim: dict[str, Any], token: str | None) -> str:
        """Say who a request claims to come from, fit for a record: a known id, or UNKNOWN."""
        session = None if token is None else self.session(token)
        if session is not None:
            return session.person.id
        service = None if token is None else self.service(token)
        if service is not None:
            return service.name
        person = claim.get("person") or self.badge_owner(str(claim.get("badge") or "")) or ""
        return person if isinstance(person, str) and self.known(person) else UNKNOWN

    def _slot(self, person: str) -> int:
        # A fixed number of slots under a secret key bounds memory for any number of invented ids, and an id
        # that is not enrolled is locked like one that is.
        digest = hashlib.blake2b(person.encode(), digest_size=8, key=self._slot_key).digest()
        return int.from_bytes(digest, "big") % FAILURE_SLOTS

    async def _authenticate(self, person: str, secret: str, *, pin: bool) -> Person:
        slot = self._slot(person)
        async with self._verifying:
            failures = self._failures.get(slot, _Failures())
            if failures.locked_until_ns > self.clock.run_ns():
                raise RefusedActorError(
                    "locked", "too many wrong passwords; wait 30 s and try again",
                    "密码错误次数过多,请 30 秒后再试",
                )  # fmt: skip
            try:
                known = await asyncio.to_thread(self.directory.authenticate, person, secret, pin=pin)
            except AuthenticationError as error:
                failures.count += 1
                if failures.count >= FAILURES_MAX:
                    failures.count, failures.locked_until_ns = 0, self.clock.run_ns() + LOCK_NS
                self._failures[slot] = failures
                raise RefusedActorError("wrong-secret", str(error), "人员与密码不符") from None
            except UncheckedError as error:
                raise RefusedActorError(
                    "unchecked", f"the secret could not be checked now ({error}); this counts as no attempt",
                    f"目前无法核对密码（{error}）；本次不计为错误尝试",
                ) from error  # fmt: skip
            self._failures.pop(slot, None)
            return known

    async def identify(
        self, command: str, args: dict[str, Any], claim: dict[str, Any], token: str | None, peer: str
    ) -> dict[str, Any]:
        """Make the actor of a command: {person, role, how, station, meaning, reason, signed_at_ns}.

        Raises:
            RefusedActorError: wrong secret, dead session, unknown badge, or a signature over something else.
        """
        _check_texts(claim)
        person, how, roles = await self._who(claim, token)
        if how == "service":
            claim = {name: value for name, value in claim.items() if name != "role"}
        if command in SIGNED_COMMANDS:
            await self._check_signature(command, args, claim, person, how)
        return {
            "person": person,
            "role": _role(claim, roles),
            "how": how,
            "station": f"{claim.get('station') or 'unnamed'} ({peer})",
            "meaning": str(claim.get("meaning") or command),
            "reason": str(claim.get("reason") or ""),
            "signed_at_ns": self.clock.utc_ns(),
        }

    def _of_token(self, token: str) -> tuple[str, How, tuple[str, ...]]:
        service = self.service(token)
        if service is not None:
            return service.name, "service", (service.role,)
        if token.startswith(PREFIX):
            raise RefusedActorError(
                "service-ended", "this service's token is not valid (any more)", "该服务令牌无效或已失效"
            )
        session = self.session(token)
        if session is None:
            raise RefusedActorError(
                "session-ended", "the login has ended; log in again", "登录已失效,请重新登录"
            )
        return session.person.id, "password", session.person.roles

    async def _who(self, claim: dict[str, Any], token: str | None) -> tuple[str, How, tuple[str, ...]]:
        if token is not None:
            return self._of_token(token)
        if claim.get("badge"):
            owner = self.badge_owner(claim["badge"])
            if owner is None:
                raise RefusedActorError(
                    "unknown-badge", f"badge {claim['badge']} belongs to nobody in the registry",
                    f"工牌 {claim['badge']} 不属于登记中的任何人",
                )  # fmt: skip
            return owner, "badge", ()
        person = claim.get("person") or ""
        if not person:
            raise RefusedActorError(
                "nobody", "say who acts: log in, scan a badge, or give person and PIN",
                "请说明操作人:登录、扫描工牌,或提供人员编号与 PIN",
            )  # fmt: skip
        for how in ("pin", "password"):
            if claim.get(how):
                known = await self._authenticate(person, claim[how], pin=how == "pin")
                return known.id, how, known.roles
        if not self.known(person):
            # An asserted id stands in the record: only a code that is on file may, never what somebody typed.
            raise RefusedActorError(
                "unknown-person", "nobody is enrolled or registered under this id; use the id, not the name",
                "无此人员编号;请使用编号而非姓名",
            )  # fmt: skip
        return person, "asserted", ()

    async def _check_signature(
        self, command: str, args: dict[str, Any], claim: dict[str, Any], person: str, how: How
    ) -> None:
        if how not in {"password", "pin"}:
            raise RefusedActorError(
                "not-authenticated", f"{command} needs a person with password or PIN, not {how}",
                f"{command} 须由人员以密码或 PIN 认证,不接受 {how}",
            )  # fmt: skip
        if claim.get("signed_hash") != signed_hash(command, args):
            raise RefusedActorError(
                "signature", "what was signed is not what was sent; look at it again and sign",
                "签署内容与提交内容不一致,请核对后重新签署",
            )  # fmt: skip
        if claim.get("person") not in {None, person}:
            raise RefusedActorError("signature", "the session belongs to somebody else", "该登录属于其他人员")
        secret = claim.get("password") or claim.get("pin")
        if not secret:
            raise RefusedActorError(
                "signature", "signing asks for the password or PIN again", "签署须再次输入密码或 PIN"
            )
        await self._authenticate(person, secret, pin=not claim.get("password"))


def _check_texts(claim: dict[str, Any]) -> None:
    for name, length_max in TEXT_MAX.items():
        value = claim.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > length_max):
            raise RefusedActorError(
                "bad-claim", f"the actor's {name} is a text of at most {length_max} characters",
                f"操作人的 {name} 应为不超过 {length_max} 字符的文本",
            )  # fmt: skip


def _role(claim: dict[str, Any], roles: tuple[str, ...]) -> str:
    """Role in which a person acts: one that the daemon knows them to have, else none."""
    role = claim.get("role")
    if role and role not in roles:
        raise RefusedActorError("not-your-role", f"this person is no {role}", f"该人员不具有角色 {role}")
    return role or (roles[0] if roles else "")
