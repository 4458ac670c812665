"""What the tests of the journal share."""

from collections.abc import Awaitable, Callable

from pipeline.journal import Journal, JournalSettings
from pipeline.records import Record

Opener = Callable[..., Awaitable[Journal]]
SMALL = JournalSettings(commit_delay_ms=1, segment_bytes=64 * 1024, tail_bytes=0, keep_days=1.0)


async def read_all(journal: Journal, **options: bool) -> list[Record]:
    found: list[Record] = []
    while more := await journal.read(found[-1].seq + 1 if found else 0, bytes_max=50_000, **options):
        found += more
    return found


async def fill(journal: Journal, count: int, size: int = 3000) -> list[Record]:
    """Append bulk with an event now and then, as many segments as that takes."""
    records = []
    for number in range(count):
        kind = "event" if number % 7 == 0 else "data"
        records.append(journal.append(kind, {"number": number, "x": bytes(size)}, source="live"))
        if number % 10 == 9:
            await journal.wait_durable(records[-1].seq)
    await journal.wait_durable(records[-1].seq)
    return records
