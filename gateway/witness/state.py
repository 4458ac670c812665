"""What a witness must never forget: the size and root of each log that it has cosigned last."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple

import orjson

from gateway.durable import write_all, write_durably

if TYPE_CHECKING:
    from pathlib import Path


class WitnessStateError(Exception):
    """The state cannot be trusted: the witness must not sign; the message says what to do."""


class Seen(NamedTuple):
    """The latest cosigned checkpoint of a log."""

    size: int
    root: bytes
    t_s: int
    """When it was cosigned, POSIX seconds."""
    key: bytes = b""
    """The log's public key that had signed it: an older one signs nothing further. Empty: not known."""


NOTHING = Seen(0, b"", 0)


class WitnessState:
    """Log origin to what was seen last; on the disk before anybody is answered. Thread-safe.

    Args:
        path: the file.
        key: the key's file. A key without a state has forgotten what it signed: refused.

    Raises:
        WitnessStateError: the file is damaged, or missing beside a key.
        OSError: it cannot be read or written.
    """

    def __init__(self, path: Path, key: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path.exists():
            self._seen = _read(path)
        elif key.exists():
            raise WitnessStateError(
                f"{path} is missing beside the key {key}: this witness has forgotten what it signed; restore"
                " the file from a backup, or move the key away and begin as a new witness"
            )
        else:
            self._seen = {}
            path.parent.mkdir(parents=True, exist_ok=True)
            self._write(self._seen)

    def last(self, origin: str) -> Seen:
        """What was cosigned last of a log; size 0 when nothing was."""
        return self._seen.get(origin, NOTHING)

    def note(self, origin: str, seen: Seen) -> None:
        """Remember a checkpoint, durably. Raises OSError: then it must not be signed."""
        with self._lock:  # logs are cosigned beside each other: none may write over what another has seen
            changed = {**self._seen, origin: seen}
            self._write(changed)
            self._seen = changed

    def _write(self, seen: dict[str, Seen]) -> None:
        content = {
            origin: {
                "size": one.size, "root": one.root.hex(), "t_s": one.t_s,
                **({"key": one.key.hex()} if one.key else {}),
            }
            for origin, one in seen.items()
        }  # fmt: skip
        write_durably(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2))

    def all(self) -> dict[str, Seen]:
        """Everything that is remembered."""
        return dict(self._seen)


def _read(path: Path) -> dict[str, Seen]:
    try:
        content = orjson.loads(path.read_bytes())
        seen = {
            str(origin): Seen(
                int(one["size"]),
                bytes.fromhex(one["root"]),
                int(one["t_s"]),
                bytes.fromhex(one.get("key", "")),
            )
            for origin, one in content.items()
        }
        whole = all(one.size > 0 and len(one.root) == 32 for one in seen.values())
    except (ValueError, TypeError, LookupError, AttributeError):
        whole, seen = False, {}
    if not whole:
        raise WitnessStateError(
            f"{path} is damaged: this witness no longer knows what it signed; restore the file from a backup"
        )
    return seen


class Alarms:
    """Refusals with the notes that prove them, a JSON object a line; bounded, the log has what is beyond."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._told: set[str] = set()
        lines = path.read_bytes().splitlines() if path.exists() else []
        self.count = len(lines)
        self.last: dict[str, object] | None = None

    def add(self, alarm: dict[str, object]) -> bool:
        """Keep an alarm; False when the same one was told in this run."""
        identity = f"{alarm['kind']} {alarm['origin']} {alarm['note']}"
        if identity in self._told:
            return False
        if len(self._told) < 1000:
            self._told.add(identity)
        self.count += 1
        self.last = alarm
        line = orjson.dumps(alarm) + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            if os.fstat(descriptor).st_size + len(line) <= self._bytes_max:
                write_all(descriptor, line)
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True
