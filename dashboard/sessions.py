"""Who looks: logins held by this process, and what each may see."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from dashboard.door import Door, Json
    from dashboard.settings import WebSettings

Role = Literal["none", "lab", "regulator"]
COOKIE = "yaosu-session"
COOKIE_TLS = f"__Host-{COOKIE}"
"""Its name over TLS: no other host of the domain, and no page without TLS, can set one of this name."""
SESSIONS_MAX = 256
SESSION_S = 8 * 3600.0
ASK_S = 30.0
"""How long the daemon's word for a login is taken before it is asked again."""
LAB_ONLY = "lab-only"
"""The door's answer to a regulator who asks for names: the session is good, the names are not for it."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody at a page."""

    role: Role
    person: str = ""
    """Opaque id, empty for somebody who has not logged in."""
    name: str = ""
    token: str | None = None
    """The daemon's session token."""

    @property
    def may_act(self) -> bool:
        """Whether the pages offer commands: only to the laboratory's own people who have logged in."""
        return self.role == "lab" and self.token is not None


@dataclass(frozen=True, slots=True)
class _Session:
    viewer: Viewer
    ends_at_s: float
    names: dict[str, str]
    asked_until_s: float = float("-inf")


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie for the way by which somebody asks."""
    return COOKIE_TLS if request.url.scheme == "https" else COOKIE


class Sessions:
    """Sessions by the daemon's token. At most `SESSIONS_MAX`; a further login ends the oldest.

    A restart of the web or of the daemon asks everybody to log in again.
    """

    def __init__(
        self, settings: WebSettings, door: Door | None, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._anonymous = Viewer(settings.anonymous_role)
        self._door = door
        self._clock_s = clock_s
        self._sessions: dict[str, _Session] = {}

    def open(self, answer: Json, request: Request, response: Response) -> None:
        """Keep the session that the daemon has opened, and give its token to the browser."""
        roles, token = set(answer["roles"]), str(answer["token"])
        role: Role = "regulator" if roles == {"regulator"} else "lab"
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        viewer = Viewer(role, str(answer["person"]), str(answer.get("name") or answer["person"]), token)
        self._sessions[token] = _Session(viewer, self._clock_s() + SESSION_S, {})
        name = cookie_name(request)
        response.set_cookie(
            name, token, httponly=True, samesite="strict", secure=name == COOKIE_TLS, path="/"
        )

    def close(self, viewer: Viewer) -> None:
        """Forget a session: the person left, or the daemon does not know it any more."""
        self._sessions.pop(viewer.token or "", None)

    async def viewer(self, request: Request) -> Viewer:
        """Return who asks."""
        session = self._sessions.get(request.cookies.get(cookie_name(request), ""))
        if session is None or not await self.is_open(session.viewer):
            return self._anonymous
        return session.viewer

    async def is_open(self, viewer: Viewer) -> bool:
        """Tell whether a login still stands; always for somebody who has not logged in.

        The daemon is asked again every `ASK_S`: where it no longer knows the token (person disabled, password
        changed, role changed), the session ends here too. While it is away, what it said last holds.
        """
        if viewer.token is None:
            return True
        session = self._sessions.get(viewer.token)
        if session is None:
            return False
        if session.ends_at_s <= self._clock_s():
            self.close(viewer)
            return False
        if self._door is None or session.asked_until_s > self._clock_s():
            return True
        try:
            answer = await self._door.get("persons", token=viewer.token)
        except ConnectionError:
            return True
        is_refused = answer.get("ok") is False
        if is_refused and (viewer.role != "regulator" or answer.get("code") != LAB_ONLY):
            self.close(viewer)
            return False
        if viewer.token not in self._sessions:  # it ended while the daemon was asked
            return False
        names, until_s = {} if is_refused else dict(answer), self._clock_s() + ASK_S
        self._sessions[viewer.token] = replace(session, names=names, asked_until_s=until_s)
        return True

    async def names(self, viewer: Viewer) -> dict[str, str]:
        """Return the names behind opaque ids, for the laboratory's own people; nothing for anybody else."""
        if viewer.token is None or not viewer.may_act or not await self.is_open(viewer):
            return {}
        return self._sessions[viewer.token].names
