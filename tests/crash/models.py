"""A disk that forgets and tears what was not synced, and a clock that is set by hand."""

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from pipeline.records.clock import ClockState

SECTOR_BYTES = 512


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


@dataclass
class _File:
    durable: bytes = b""
    data: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    """(offset, bytes) of a write, (size, None) of a truncation, since the last sync."""


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
        return sorted(path.name for path in self.files if path.parent == directory)

    def size(self, path: Path) -> int:
        return len(self.files[path].data) if path in self.files else -1

    def read(self, path: Path, offset: int = 0, count: int | None = None) -> bytes:
        data = self._existing(path).data
        return bytes(data[offset:] if count is None else data[offset : offset + count])

    def create(self, path: Path) -> None:
        self._step()
        file = _File()
        self._rename_log(path.parent, lambda names: names.__setitem__(path, file))

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        file = self._existing(path)
        file.pending.append((offset, bytes(data)))
        _write(file.data, offset, data)
        self._step()

    def sync(self, path: Path) -> None:
        self._step()
        file = self._existing(path)
        file.durable, file.pending = bytes(file.data), []

    def close(self, path: Path) -> None:
        pass

    def allocate(self, path: Path, size: int) -> None:
        file = self._existing(path)
        self._step()
        grown = bytes(max(0, size - len(file.data)))
        file.pending.append((len(file.data), grown))
        file.data += grown

    def free_bytes(self, directory: Path) -> int:
        return self.room_bytes

    def truncate(self, path: Path, size: int) -> None:
        file = self._existing(path)
        file.pending.append((size, None))
        del file.data[size:]
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
        file = self.files[path]
        file.data[offset] ^= 1 << bit
        file.durable = bytes(file.data)

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
        style = random.choice(["none", "all", "prefix", "sectors", "torn"])
        for path, file in names.items():
            data = _after_crash(file, style, random)
            survivor.files[path] = _File(bytes(data), data)
        survivor._durable_names = dict(survivor.files)
        return survivor


def _write(target: bytearray, offset: int, data: bytes) -> None:
    if len(target) < offset:
        target.extend(bytes(offset - len(target)))
    target[offset : offset + len(data)] = data


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes]]:
    pieces = []
    position = 0
    while position < len(data):
        room = SECTOR_BYTES - (offset + position) % SECTOR_BYTES
        pieces.append((offset + position, data[position : position + room]))
        position += room
    return pieces


def _after_crash(file: _File, style: str, random: Random) -> bytearray:
    data = bytearray(file.durable)
    if style == "none":
        return data
    share = random.random()
    cut = random.randint(0, len(file.pending))
    for number, (offset, piece) in enumerate(file.pending):
        if piece is None:
            if random.random() < 0.5:
                del data[offset:]
            continue
        if style == "prefix" and number >= cut:
            break
        for at, sector in _sectors(offset, piece):
            if style in {"all", "prefix"} or random.random() < share:
                _write(data, at, sector)
            elif style == "torn":
                _write(data, at, sector[: random.randint(0, len(sector))])
            elif random.random() < 0.5:  # the size reached the medium, the bytes did not
                _write(
                    data, at, bytes(len(sector)) if at >= len(data) else bytes(data[at : at + len(sector)])
                )
    return data
