"""A disk that forgets and tears what was not synced, and a clock that is set by hand."""

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

from pipeline.records.clock import ClockState

SECTOR_BYTES = 512
STYLES = ("none", "all", "prefix", "sectors", "torn")
"""What of the unsynced writes of a file reaches the medium."""


class PowerCut(BaseException):
    """The machine went away in the middle of an operation."""


@dataclass
class ManualClock:
    """UTC and boot-time that move only when told."""

    utc: int = 1_800_000_000 * 10**9
    run: int = 5_000 * 10**9
    synchronised: bool = True

    def utc_ns(self) -> int:
        return self.utc

    def run_ns(self) -> int:
        return self.run

    def state(self) -> ClockState:
        return ClockState(self.synchronised, 1000)

    def advance(self, ns: int) -> None:
        self.utc += ns
        self.run += ns


class Write(NamedTuple):
    """Bytes written since the last sync."""

    offset: int
    data: bytes


class Resize(NamedTuple):
    """A new size since the last sync: cut, or grown by zeros."""

    size: int


@dataclass
class _Content:
    """Bytes of a file; what was allocated and never written is not held."""

    data: bytearray = field(default_factory=bytearray)
    size: int = 0

    def write(self, offset: int, data: bytes) -> None:
        if len(self.data) < offset:
            self.data.extend(bytes(offset - len(self.data)))
        self.data[offset : offset + len(data)] = data
        self.size = max(self.size, len(self.data))

    def resize(self, size: int) -> None:
        del self.data[size:]
        self.size = size

    def apply(self, change: Write | Resize) -> None:
        if isinstance(change, Write):
            self.write(*change)
        else:
            self.resize(change.size)

    def read(self, offset: int, count: int | None) -> bytes:
        end = self.size if count is None else min(self.size, offset + count)
        return bytes(self.data[offset:end]).ljust(max(0, end - offset), b"\0")

    def copy(self) -> "_Content":
        return _Content(bytearray(self.data), self.size)


@dataclass
class _File:
    durable: _Content = field(default_factory=_Content)
    now: _Content = field(default_factory=_Content)
    pending: list[Write | Resize] = field(default_factory=list)

    def change(self, change: Write | Resize) -> None:
        self.pending.append(change)
        self.now.apply(change)

    def sync(self) -> None:
        for change in self.pending:
            self.durable.apply(change)
        self.pending = []


class ModelDisk:
    """A file system in memory. What is not synced may be there, be lost, be zeros or be torn after a crash.

    Names survive a crash as a prefix of the operations since their directory was last synced, as a
    journalling file system keeps them; sectors of unsynced writes survive each for itself, in any order.
    """

    def __init__(self) -> None:
        self.files: dict[Path, _File] = {}
        self._durable_names: dict[Path, _File] = {}
        self._name_log: list[tuple[Path, Callable[[dict[Path, _File]], object]]] = []
        self.operations_left: int | None = None
        """Cut the power when that many more changes have been made; None: never."""
        self.room_bytes = 10**12
        self.failures: list[int] = []
        """errno of the next changing operations; 0 lets one pass."""

    def _step(self) -> None:
        if self.operations_left is not None:
            self.operations_left -= 1
            if self.operations_left < 0:
                raise PowerCut
        if self.failures and (code := self.failures.pop(0)):
            raise OSError(code, errno.errorcode[code])

    def _rename_log(self, directory: Path, change: Callable[[dict[Path, _File]], object]) -> None:
        change(self.files)
        self._name_log.append((directory, change))

    def _existing(self, path: Path) -> _File:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def make_directory(self, path: Path) -> None:
        pass

    def names(self, directory: Path) -> list[str]:
        start = f"{directory}/"  # comparing text: a Path takes its time
        inside = (str(path).removeprefix(start) for path in self.files if str(path).startswith(start))
        return sorted(name for name in inside if "/" not in name)

    def size(self, path: Path) -> int:
        return self.files[path].now.size if path in self.files else -1

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        return self._existing(path).now.read(offset, count)

    def create(self, path: Path) -> None:
        self._step()
        file = _File()
        self._rename_log(path.parent, lambda names: names.__setitem__(path, file))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        self._existing(path).change(Write(offset, bytes(data)))
        self._step()

    def write_pieces_at(self, path: Path, offset: int, pieces: Sequence[bytes]) -> None:
        self.write_at(path, offset, b"".join(pieces))

    def sync(self, path: Path) -> None:
        self._step()
        self._existing(path).sync()

    def close(self, path: Path) -> None:
        pass

    def allocate(self, path: Path, size: int) -> None:
        file = self._existing(path)
        if size > file.now.size:
            file.change(Resize(size))
        self._step()

    def free_bytes(self, directory: Path) -> int:
        return self.room_bytes

    def truncate(self, path: Path, size: int) -> None:
        self._existing(path).change(Resize(size))
        self._step()

    def replace(self, source: Path, target: Path) -> None:
        self._existing(source)
        self._rename_log(target.parent, lambda names: names.__setitem__(target, names.pop(source)))
        self._step()

    def remove(self, path: Path) -> None:
        self._rename_log(path.parent, lambda names: names.pop(path, None))
        self._step()

    def sync_directory(self, directory: Path) -> None:
        self._step()
        for where, change in self._name_log:
            if where == directory:
                change(self._durable_names)
        self._name_log = [entry for entry in self._name_log if entry[0] != directory]

    def lock(self, path: Path) -> None:
        pass

    def unlock(self, path: Path) -> None:
        pass

    def flip(self, path: Path, offset: int, bit: int = 0) -> None:
        """Rot one bit of the medium."""
        for content in (self.files[path].now, self.files[path].durable):
            content.data[offset] ^= 1 << bit

    def after_power_cut(self, random: Random) -> "ModelDisk":
        """Return one of the disks that a power cut now could leave."""
        survivor = ModelDisk()
        names = dict(self._durable_names)
        kept: dict[Path, int] = {}
        for directory, change in self._name_log:
            if directory not in kept:
                total = sum(where == directory for where, _ in self._name_log)
                kept[directory] = random.randint(0, total)
            if kept[directory] > 0:
                kept[directory] -= 1
                change(names)
        order = random.choice(["one", "each"])
        style = random.choice(STYLES)
        for path, file in names.items():
            if order == "each":  # the device writes the files' sectors back in an order of its own
                style = random.choice(STYLES)
            content = _after_crash(file, style, random)
            survivor.files[path] = _File(content, content.copy())
        survivor._durable_names = dict(survivor.files)
        return survivor


def _sectors(offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        room = SECTOR_BYTES - (offset + position) % SECTOR_BYTES
        yield offset + position, data[position : position + room]
        position += room


def _after_crash(file: _File, style: str, random: Random) -> _Content:
    content = file.durable.copy()
    if style == "none" or not file.pending:
        return content
    share = random.random()
    cut = random.randint(0, len(file.pending))
    for number, change in enumerate(file.pending):
        if style == "prefix" and number >= cut:
            break
        if style in {"all", "prefix"}:
            content.apply(change)
        elif isinstance(change, Resize):
            if random.random() < 0.5:
                content.resize(change.size)
        else:
            _write_some(content, change, share, torn=style == "torn", random=random)
    return content


def _write_some(content: _Content, change: Write, share: float, *, torn: bool, random: Random) -> None:
    """Write each sector for itself: whole, torn, as zeros of which only the size arrived, or not at all."""
    for at, sector in _sectors(*change):
        if random.random() < share:
            content.write(at, sector)
        elif torn:
            content.write(at, sector[: random.randint(0, len(sector))])
        elif random.random() < 0.5 and at >= content.size:
            content.resize(at + len(sector))
