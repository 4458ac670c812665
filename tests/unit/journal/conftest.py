"""A journal in a temporary directory, opened again and again on a clock set by hand."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.journal import Journal, JournalSettings
from tests.crash.models import ManualClock
from tests.unit.journal.journals import Opener


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_journal(tmp_path: Path, clock: ManualClock, no_leaked_tasks: None) -> AsyncIterator[Opener]:
    """Open the test's journal; whatever is still open at the end is closed."""
    opened: list[Journal] = []

    async def open_it(settings: JournalSettings | None = None, **options: Any) -> Journal:
        options = {"purpose": "production", "base_clock": clock, "boot_id": "boot-a", **options}
        settings = settings or JournalSettings(commit_delay_ms=1)
        journal = await Journal.open(tmp_path / "journal", settings, **options)
        opened.append(journal)
        return journal

    yield open_it
    for journal in opened:
        await journal.close()
