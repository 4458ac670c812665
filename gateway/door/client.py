"""Call a door: used by the CLI and the web role."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx

from gateway.door.actors import signed_hash

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

TIMEOUT_S = 10.0


class DoorClosedError(ConnectionError):
    """Nobody serves the socket; the message says which and what to start."""


class DoorClient:
    """An async client of one Unix socket. Answers are the door's JSON, refusals included (`ok` is False)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://door", timeout=TIMEOUT_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def _call(self, method: str, path: str, *, json: Any = None, token: str | None = None) -> Any:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        try:
            answer = await self._http.request(method, path, json=json, headers=headers)
        except httpx.TransportError as error:
            raise DoorClosedError(
                f"nobody answers at {self._path} ({type(error).__name__}); "
                "is the daemon running? start it with: yaosu run -c FILE"
            ) from error
        return answer.json()

    async def get(self, path: str, *, token: str | None = None) -> Any:
        """GET /v1/`path`."""
        return await self._call("GET", f"/v1/{path}", token=token)

    async def login(self, person: str, password: str) -> Any:
        """Open a session."""
        return await self._call("POST", "/v1/login", json={"person": person, "password": password})

    async def logout(self, token: str) -> None:
        """Close a session."""
        await self._call("POST", "/v1/logout", token=token)

    async def command(
        self,
        name: str,
        args: dict[str, Any],
        actor: dict[str, Any],
        *,
        token: str | None = None,
        key: str | None = None,
    ) -> Any:
        """Send a command once; the actor's secret signs exactly `args`."""
        body = {
            "args": args,
            "actor": {"signed_hash": signed_hash(name, args), **actor},
            "idempotency_key": key or uuid.uuid4().hex,
        }
        return await self._call("POST", f"/v1/commands/{name}", json=body, token=token)
