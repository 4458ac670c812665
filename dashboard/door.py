"""The daemon's command door as the pages see it; the composition root passes the client that fits."""

from __future__ import annotations

from typing import Any, Protocol

Json = dict[str, Any]


class Door(Protocol):
    """Client of the daemon's door. Answers are the door's JSON, refusals included (`ok` is False).

    Every call may raise ConnectionError: nobody serves the socket.
    """

    async def get(self, path: str, *, token: str | None = None) -> Any:
        """Read a view of the daemon, such as `status` or `persons`."""
        ...

    async def login(self, person: str, password: str) -> Any:
        """Open a session: {ok, token, person, name, roles}."""
        ...

    async def logout(self, token: str) -> None:
        """Close a session."""
        ...

    async def command(
        self, name: str, args: Json, actor: Json, *, token: str | None = None, key: str | None = None
    ) -> Any:
        """Send a person's command once; a secret in `actor` signs exactly `name` and `args`."""
        ...
