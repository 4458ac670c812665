"""What only the embedded store promises: readers of other processes and users, durability, clear errors."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.store import EmbeddedStoreSettings, StoreMisconfigured, StoreUnavailable, open_store
from pipeline.store.embedded import database
from tests.support.stored import ORIGIN, S_NS, T0_NS, data, frame, record

ROOT = Path(__file__).parents[2]
FIRST = data(frame("ph", {("ph", "f8"): [7.0]}), 0)
SECOND = data(frame("ph", {("ph", "f8"): [7.5]}, n_first=1, t_ns=[T0_NS + S_NS]), 1)

READER = """
import os, sys
from pathlib import Path
from pipeline.store.door import Origin
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
def read(path):
    core = EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=Path(path)))
    rows = core.rows(Origin("food-lab", "gw-1"), "ph", n_from=0, n_to=10, era=None)
    return [row.values["ph"] for row in rows]
read("/nonexistent")  # everything is imported before the rights are dropped
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print("ready", flush=True)
for line in sys.stdin:
    print(read(line.strip()), flush=True)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder that every user may read and only this one may write."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


class OtherUser:
    """A process that reads the store without the right to write in its folder."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def read(self, path: Path) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        if os.geteuid() != 0:  # not root: take the right away from ourselves instead
            path.parent.chmod(0o555)
        try:
            return self._line()
        finally:
            path.parent.chmod(0o755)

    def end(self) -> None:
        self._process.communicate()


async def test_a_reader_under_another_user_reads_beside_a_writer_and_after_it_has_closed(
    folder: Path,
) -> None:
    path = folder / "yaosu.db"
    settings = EmbeddedStoreSettings(kind="embedded", path=path)
    reader = OtherUser()
    try:
        assert reader.read(path) == "[]"
        async with open_store(settings) as store:
            await store.write(ORIGIN, [FIRST])
            assert reader.read(path) == "[7.0]"
        assert not path.with_name("yaosu.db-wal").exists()
        assert reader.read(path) == "[7.0]"
        async with open_store(settings) as store:
            await store.write(ORIGIN, [SECOND])
            assert reader.read(path) == "[7.0, 7.5]"
        assert reader.read(path) == "[7.0, 7.5]"
    finally:
        reader.end()


WRITER = """
import os, sys
from pathlib import Path
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from tests.support.stored import ORIGIN, data, frame
core = EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=Path(sys.argv[1])))
core.send(core.encode(ORIGIN, [data(frame("ph", {("ph", "f8"): [7.0]}), 0)]))
os.kill(os.getpid(), 9)
"""


def write_and_die(path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, check=False)
    assert ended.returncode == -signal.SIGKILL


async def test_what_was_reported_as_stored_survives_sigkill_of_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "yaosu.db"
    write_and_die(path)
    assert path.with_name("yaosu.db-wal").exists()
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=path)) as store:
        assert [row.values for row in await store.rows(ORIGIN, "ph", n_from=0, n_to=9)] == [{"ph": 7.0}]
        await store.write(ORIGIN, [SECOND])
        assert len(await store.rows(ORIGIN, "ph", n_from=0, n_to=9)) == 2


async def test_a_reader_under_another_user_reads_what_a_killed_writer_left(folder: Path) -> None:
    path = folder / "yaosu.db"
    write_and_die(path)
    reader = OtherUser()
    try:
        assert reader.read(path) == "[7.0]"
    finally:
        reader.end()


CRAMPED = """
import resource, sys
from pathlib import Path
from pipeline.store.door import StoreUnavailable
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from tests.support.stored import ORIGIN, S_NS, T0_NS, data, frame
core = EmbeddedCore(EmbeddedStoreSettings(kind="embedded", path=Path(sys.argv[1])))
def batch(first):
    return core.encode(ORIGIN, [
        data(frame("ph", {("ph", "f8"): [7.1 * n]}, n_first=n, t_ns=[T0_NS + n * S_NS]), n)
        for n in range(first, first + 50)
    ])
def told(first):
    try:
        return [list(seqs) for seqs in core.send(batch(first)).stored.values()]
    except StoreUnavailable as error:
        return "disk" in str(error) and len(core.rows(ORIGIN, "ph", n_from=0, n_to=1000, era=None))
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
print(told(0))
wal = Path(sys.argv[1] + "-wal")
resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, hard))
print(told(50), told(50))
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(told(50), len(core.rows(ORIGIN, "ph", n_from=0, n_to=1000, era=None)))
"""


def test_a_disk_that_is_full_takes_nothing_keeps_what_it_has_and_goes_on_when_there_is_room(
    tmp_path: Path,
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CRAMPED, str(tmp_path / "yaosu.db")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.stdout.splitlines() == ["[[(0, 49)]]", "50 50", "[[(50, 99)]] 100"], ended.stderr


def test_every_commit_is_synced(tmp_path: Path) -> None:
    connection = database.open_writer(tmp_path / "yaosu.db")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


async def test_the_first_content_of_a_seq_stays(tmp_path: Path) -> None:
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=tmp_path / "yaosu.db")) as store:
        await store.write(ORIGIN, [FIRST])
        await store.write(ORIGIN, [data(frame("ph", {("ph", "f8"): [9.0]}), 0)])
        assert [row.values for row in await store.rows(ORIGIN, "ph", n_from=0, n_to=9)] == [{"ph": 7.0}]


async def test_a_file_that_was_moved_away_takes_no_records_and_loses_none(tmp_path: Path) -> None:
    path, away = tmp_path / "yaosu.db", tmp_path / "away.db"
    settings = EmbeddedStoreSettings(kind="embedded", path=path)
    async with open_store(settings) as store:
        await store.write(ORIGIN, [FIRST])
        path.rename(away)
        with pytest.raises(StoreUnavailable, match="put the file back"):
            await store.write(ORIGIN, [SECOND])
    async with open_store(settings) as store:
        with pytest.raises(StoreUnavailable, match="put the file back"):
            await store.write(ORIGIN, [SECOND])
        away.rename(path)
        await store.write(ORIGIN, [SECOND])
        assert [row.n for row in await store.rows(ORIGIN, "ph", n_from=0, n_to=9)] == [0, 1]


async def test_a_second_writer_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_TIMEOUT_S", 0.05)
    path = tmp_path / "yaosu.db"
    other = database.open_writer(path)
    other.execute("BEGIN IMMEDIATE")
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=path)) as store:
        with pytest.raises(StoreUnavailable, match="only one collector"):
            await store.write(ORIGIN, [FIRST])
        assert await store.rows(ORIGIN, "ph", n_from=0, n_to=9) == []
        other.execute("ROLLBACK")
        assert (await store.write(ORIGIN, [FIRST])).dead == []
    other.close()


async def test_a_damaged_file_is_reported_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "yaosu.db"
    path.write_bytes(b"this is no database, and long enough to be looked at " * 200)
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=path)) as store:
        with pytest.raises(StoreUnavailable, match="set it aside"):
            await store.write(ORIGIN, [FIRST])
        with pytest.raises(StoreUnavailable, match="set it aside"):
            await store.sites()
        health = await store.health()
    assert (health.ok, health.kind) == (False, "embedded")


async def test_a_file_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "yaosu.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=path)) as store:
        with pytest.raises(StoreMisconfigured, match="update this program"):
            await store.write(ORIGIN, [FIRST])
        with pytest.raises(StoreMisconfigured, match="update this program"):
            await store.sites()


async def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    settings = EmbeddedStoreSettings(kind="embedded", path=tmp_path / "file" / "yaosu.db")
    async with open_store(settings) as store:
        with pytest.raises(StoreUnavailable, match="rights of the folder"):
            await store.write(ORIGIN, [FIRST])


async def test_a_long_frame_is_found_from_any_part_of_its_span(tmp_path: Path) -> None:
    long = frame(
        "ph", {("ph", "f8"): [1.0, 2.0, 3.0]}, t_ns=[T0_NS, T0_NS + 3600 * S_NS, T0_NS + 7200 * S_NS]
    )
    async with open_store(EmbeddedStoreSettings(kind="embedded", path=tmp_path / "yaosu.db")) as store:
        await store.write(ORIGIN, [data(long, 0), record("tick", {}, 1)])
        for row in range(3):
            start = T0_NS + row * 3600 * S_NS
            assert (await store.window(ORIGIN, "ph", "ph", start, start + 1, 10)).value.tolist() == [
                row + 1.0
            ]
