"""A client that behaves like a page of the application in a browser."""

from collections.abc import Callable

import httpx
from starlette.applications import Starlette

BASE = "http://localhost:8420"
MakeApplication = Callable[..., Starlette]


def make_client(application: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app=application),
        base_url=BASE,
        headers={"origin": BASE, "accept-language": "en"},
    )


async def log_in(client: httpx.AsyncClient, person: str, password: str, target: str = "/") -> httpx.Response:
    return await client.post("/login", data={"person": person, "password": password, "next": target})
