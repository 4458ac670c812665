"""The blocking part of opening a journal: lock, key, meta, recovery, boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.journal import snapshots
from pipeline.journal.receipts import RECEIPTS_NAME, read_receipts
from pipeline.journal.recovery import Quarantined, Recovery, recover
from pipeline.journal.segments import LEDGER_DIRECTORY, QUARANTINE_DIRECTORY
from pipeline.journal.start import (
    KEY_NAME,
    Meta,
    StartInfo,
    begin_boot,
    load_key,
    load_meta,
    os_boot_id,
    settle_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.records import Clock
    from pipeline.records.envelope import Purpose
    from pipeline.records.ranges import RangeSet
    from pipeline.records.signing import SigningKey

LOCK_NAME = "journal.lock"


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What the start had to repair; the daemon writes a `quarantine` event for each entry."""

    quarantined: tuple[Quarantined, ...]
    torn_bytes: int
    """Length of a torn tail that was cut: never promised to anybody."""
    meta_rebuilt: bool
    """The journal's own description was damaged and was written anew."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A directory, read back and ready for appends."""

    meta: Meta
    key: SigningKey
    key_path: Path
    found: Recovery
    report: RecoveryReport
    start: StartInfo
    receipted: RangeSet


def open_directory(
    disk: Disk, directory: Path, purpose: Purpose, base: Clock, boot_id: str | None, key_path: Path | None
) -> Opened:  # fmt: skip
    """Lock a directory and read it back. The lock is released again when this fails.

    Raises:
        JournalBusyError, WrongPurposeError, ForeignKeyError, OSError
    """
    for folder in (directory, directory / LEDGER_DIRECTORY, directory / QUARANTINE_DIRECTORY):
        disk.make_directory(folder)
    disk.lock(directory / LOCK_NAME)
    try:
        key_path = key_path or directory / KEY_NAME
        key = load_key(disk, directory, key_path)
        meta, public, rebuilt = load_meta(disk, directory, key, purpose, base.utc_ns())
        receipted = read_receipts(disk, directory / RECEIPTS_NAME)
        floor = max([last for _, last in receipted], default=-1)
        floor = max(floor, snapshots.seq_max(disk, directory))
        found = recover(disk, directory, meta.id, floor)
        key = settle_key(disk, directory, key_path, meta, public, found.fold.successions)
        start = begin_boot(disk, directory, found.fold, base, os_boot_id() if boot_id is None else boot_id)
    except BaseException:
        disk.unlock(directory / LOCK_NAME)
        raise
    report = RecoveryReport(tuple(found.quarantined), found.torn_bytes, rebuilt)
    return Opened(meta, key, key_path, found, report, start, receipted)
