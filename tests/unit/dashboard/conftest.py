"""The application over a fake store and door, and a client that is a browser's page of it."""

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from dashboard import Door, WebSettings
from dashboard.app import build_dashboard
from tests.unit.dashboard.client import MakeApplication, make_client
from tests.unit.dashboard.fakes import NOW_NS, ORIGIN, FakeDoor, FakeStore
from tests.unit.dashboard.site import make_store


@pytest.fixture
def store() -> FakeStore:
    return make_store()


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def make_application(store: FakeStore) -> MakeApplication:
    def make(door: Door | None, anonymous_role: str = "none") -> Starlette:
        settings = WebSettings.model_validate({"anonymous_role": anonymous_role})
        return build_dashboard(
            store=store, door=door, settings=settings, origin=ORIGIN, utc_now_ns=lambda: NOW_NS
        )

    return make


@pytest.fixture
async def lab(make_application: MakeApplication, door: FakeDoor) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody in the laboratory who has not logged in."""
    async with make_client(make_application(door, "lab")) as client:
        yield client


@pytest.fixture
async def regulator(make_application: MakeApplication, door: FakeDoor) -> AsyncIterator[httpx.AsyncClient]:
    """A regulator."""
    async with make_client(make_application(door, "regulator")) as client:
        yield client


@pytest.fixture
async def nobody(make_application: MakeApplication, door: FakeDoor) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has to log in first."""
    async with make_client(make_application(door)) as client:
        yield client
