"""Who acts: from a request's credentials to the `actor` that a record carries.

The daemon alone authenticates. A caller may relay a session token, or person and secret; whoever only names a
person or shows a badge is recorded as asserted, and the commands that need more refuse that.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from gateway.persons import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.persons import Directory, Person
    from pipeline.records import Clock

How = Literal["password", "pin", "badge", "asserted"]
SESSION_NS = 8 * 3600 * 1_000_000_000
SESSIONS_MAX = 256
FAILURES_MAX = 5
LOCK_NS = 30 * 1_000_000_000
SIGNED_COMMANDS = frozenset({
    "hold.release", "config.apply", "registry.import", "person.add", "person.passwd", "person.disable",
})  # fmt: skip
"""Commands that ask for the person's secret again, together with the hash of what is signed."""


class RefusedActorError(Exception):
    """The request's identity is not good enough; `code` and the message say why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


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
    """Authenticates persons and keeps their sessions, in memory: after a restart everybody logs in again."""

    directory: Directory
    clock: Clock
    badge_owner: Callable[[str], str | None]
    """Person id of a badge code, from the registry."""
    _sessions: dict[str, Session] = field(default_factory=dict)
    _failures: dict[str, _Failures] = field(default_factory=dict)

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
        """Return the open session of a token."""
        session = self._sessions.get(token)
        if session is None or session.expires_run_ns <= self.clock.run_ns():
            return None
        # A person disabled meanwhile has no session any more.
        current = {person.id: person for person in self.directory.persons()}.get(session.person.id)
        return session if current is not None and not current.disabled else None

    async def _authenticate(self, person: str, secret: str, *, pin: bool) -> Person:
        failures = (
            self._failures.setdefault(person, _Failures()) if len(self._failures) < 4096 else _Failures()
        )
        if failures.locked_until_ns > self.clock.run_ns():
            raise RefusedActorError("locked", "too many wrong passwords; wait 30 s and try again")
        try:
            known = await asyncio.to_thread(self.directory.authenticate, person, secret, pin=pin)
        except AuthenticationError as error:
            failures.count += 1
            if failures.count >= FAILURES_MAX:
                failures.count, failures.locked_until_ns = 0, self.clock.run_ns() + LOCK_NS
            raise RefusedActorError("wrong-secret", str(error)) from None
        self._failures.pop(person, None)
        return known

    async def identify(
        self, command: str, args: dict[str, Any], claim: dict[str, Any], token: str | None, peer: str
    ) -> dict[str, Any]:
        """Make the actor of a command: {person, role, how, station, meaning, reason, signed_at_ns}.

        Raises:
            RefusedActorError: wrong secret, dead session, unknown badge, or a signature over something else.
        """
        person, how, roles = await self._who(claim, token)
        if command in SIGNED_COMMANDS:
            await self._check_signature(command, args, claim, person, how)
        return {
            "person": person,
            "role": str(claim.get("role") or (roles[0] if roles else "")),
            "how": how,
            "station": f"{claim.get('station') or 'unnamed'} ({peer})",
            "meaning": str(claim.get("meaning") or command),
            "reason": str(claim.get("reason") or ""),
            "signed_at_ns": self.clock.utc_ns(),
        }

    async def _who(self, claim: dict[str, Any], token: str | None) -> tuple[str, How, tuple[str, ...]]:
        if token is not None:
            session = self.session(token)
            if session is None:
                raise RefusedActorError("session-ended", "the login has ended; log in again")
            return session.person.id, "password", session.person.roles
        if claim.get("badge"):
            owner = self.badge_owner(str(claim["badge"]))
            if owner is None:
                raise RefusedActorError(
                    "unknown-badge", f"badge {claim['badge']} belongs to nobody in the registry"
                )
            return owner, "badge", ()
        person = str(claim.get("person") or "")
        if not person:
            raise RefusedActorError("nobody", "say who acts: log in, scan a badge, or give person and PIN")
        for how in ("pin", "password"):
            if claim.get(how):
                known = await self._authenticate(person, str(claim[how]), pin=how == "pin")
                return known.id, how, known.roles
        return person, "asserted", ()

    async def _check_signature(
        self, command: str, args: dict[str, Any], claim: dict[str, Any], person: str, how: How
    ) -> None:
        if how not in {"password", "pin"}:
            raise RefusedActorError(
                "not-authenticated", f"{command} needs a person with password or PIN, not {how}"
            )
        if claim.get("signed_hash") != signed_hash(command, args):
            raise RefusedActorError(
                "signature", "what was signed is not what was sent; look at it again and sign"
            )
        if claim.get("person") not in {None, person}:
            raise RefusedActorError("signature", "the session belongs to somebody else")
        secret = claim.get("password") or claim.get("pin")
        if not secret:
            raise RefusedActorError("signature", "signing asks for the password or PIN again")
        await self._authenticate(person, str(secret), pin=not claim.get("password"))
