"""Room kept ready: the background thread that makes files and the commit thread that takes them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from pipeline.journal import JournalSettings
from pipeline.journal.disk import RealDisk
from pipeline.journal.space import PREPARED_NAME, Space

SETTINGS = JournalSettings(segment_bytes=64 * 1024)


class WatchedDisk(RealDisk):
    """A disk that lets the other thread go on in the middle of a call."""

    def __init__(self) -> None:
        super().__init__()
        self.space: Space | None = None
        self.allocating = Event()

    def replace(self, source: Path, target: Path) -> None:
        if self.space is not None:
            self.space.prepare()
        super().replace(source, target)

    def allocate(self, path: Path, size: int) -> None:
        if path.name == PREPARED_NAME:
            self.allocating.set()
        super().allocate(path, size)


def test_a_file_that_is_being_taken_is_not_made_anew_under_the_hands(tmp_path: Path) -> None:
    disk = WatchedDisk()
    disk.space = space = Space(disk, tmp_path, SETTINGS)
    space.prepare()
    assert space.claim(tmp_path / "first.seg")
    assert (tmp_path / "first.seg").stat().st_size == SETTINGS.file_bytes
    assert not space.claim(tmp_path / "second.seg"), "the next one is made by the next turn"
    space.prepare()
    assert space.claim(tmp_path / "second.seg")


def test_what_a_full_disk_gave_up_is_not_counted_on(tmp_path: Path) -> None:
    disk = WatchedDisk()
    space = Space(disk, tmp_path, SETTINGS)
    with ThreadPoolExecutor(2) as threads:
        made = threads.submit(space.prepare)
        disk.allocating.wait(timeout=30)
        assert threads.submit(space.use_reserve).result()
        made.result()
    assert space.reserve == "used"
    assert not space.claim(tmp_path / "first.seg")
    assert sorted(path.name for path in tmp_path.iterdir()) == []
