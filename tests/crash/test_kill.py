"""A real process, killed at random moments: what it said was durable is there."""

import asyncio
import os
import sys
from pathlib import Path
from random import Random

import pytest

from pipeline.journal import Journal, verify
from pipeline.records import Record
from tests.crash.appender import SETTINGS, body_of

KILLS = int(os.environ.get("YAOSU_KILLS", "10"))
ROOT = Path(__file__).parents[2]


async def append_until_killed(directory: Path, commits: int) -> int:
    """Let the process commit some times, kill it while it goes on; return the last seq that it promised."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "tests" / "crash" / "appender.py"), str(directory),
        stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout is not None
    said = -1
    for _ in range(commits):
        line = await process.stdout.readline()
        assert line, "the process ended by itself"
        said = int(line)
    process.kill()
    rest = (await process.stdout.read()).decode().split("\n")
    await process.wait()
    return max([said, *(int(line) for line in rest[:-1])])


async def read_all(directory: Path) -> list[Record]:
    journal = await Journal.open(directory, SETTINGS, purpose="production")
    try:
        assert not journal.recovery.quarantined
        assert not journal.holes
        found: list[Record] = []
        while more := await journal.read(len(found), bytes_max=2**20):
            found += more
        assert len(found) == journal.head_seq
        return found
    finally:
        await journal.close()


@pytest.mark.timeout(120)
async def test_what_a_killed_process_promised_is_there(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    random = Random(str(pytestconfig.getoption("--hypothesis-seed")))
    before: list[Record] = []
    for _ in range(KILLS):
        said = await append_until_killed(tmp_path / "journal", random.randint(1, 40))
        found = await read_all(tmp_path / "journal")
        assert len(found) > said
        assert found[: len(before)] == before, "what was there once stays"
        for record in found:
            assert record.kind == "checkpoint" or record.body == body_of(record.seq)
        before = found
    result = verify(tmp_path / "journal")
    assert result.sound, result.problems
    assert result.next_seq == len(before)
