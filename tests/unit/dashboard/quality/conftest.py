"""Pages over elements that are real: a laboratory's week of work in the store and behind the door."""

import httpx
import pytest

from tests.unit.dashboard.client import log_in
from tests.unit.dashboard.fakes import FakeStore
from tests.unit.dashboard.laboratory import LaboratoryDoor, fill, quality_bench
from tests.unit.elements.bench import Bench


@pytest.fixture(scope="module")
def bench() -> Bench:
    """One for a file: what a test walks on in it, no other test looks at."""
    return quality_bench()


@pytest.fixture
def store(bench: Bench) -> FakeStore:
    store = FakeStore()
    fill(store, bench)
    return store


@pytest.fixture
def door(bench: Bench, store: FakeStore) -> LaboratoryDoor:
    return LaboratoryDoor(bench, store)


@pytest.fixture
async def signer(nobody: httpx.AsyncClient) -> httpx.AsyncClient:
    """The authorised signatory, logged in."""
    await log_in(nobody, "p-wang", "correct horse")
    return nobody
