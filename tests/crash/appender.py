"""A process that appends records for ever and says what is durable: to be killed.

    python appender.py DIRECTORY

Prints `durable_seq` after each commit. Record n has a body that follows from n, so that the one who killed
the process can tell what must be there.
"""

import asyncio
import sys
from pathlib import Path
from random import Random
from typing import Any

from pipeline.journal import Journal, JournalSettings

SETTINGS = JournalSettings(commit_delay_ms=2, segment_bytes=64 * 1024)


def body_of(seq: int) -> dict[str, Any]:
    """The body that the record with a seq has."""
    random = Random(seq)
    return {"seq": seq, "x": random.randbytes(random.choice([0, 20, 400, 5000]))}


async def append_for_ever(directory: Path) -> None:
    journal = await Journal.open(directory, SETTINGS, purpose="production")
    while True:
        for _ in range(Random(journal.head_seq).randint(1, 30)):
            journal.append("event", body_of(journal.head_seq), source="live")
        await journal.wait_beyond(journal.durable_seq)
        if journal.durable_seq % 40 == 0:
            journal.checkpoint()
            journal.save_snapshot("appender", journal.durable_seq, b"state", 1)
        sys.stdout.write(f"{journal.durable_seq}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(append_for_ever(Path(sys.argv[1])))
