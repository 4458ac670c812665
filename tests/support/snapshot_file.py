"""A snapshot written at once, where the daemon's writer takes a step at a time beside the loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.journal.snapshots import SnapshotFile, steps

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.journal.disk import Disk
    from pipeline.journal.snapshots import Snapshot


def write_snapshot(disk: Disk, directory: Path, name: str, snapshot: Snapshot) -> None:
    """Write a generation and keep the one before it."""
    file = SnapshotFile(disk, directory, name, snapshot)
    file.begin()
    for pieces in steps(snapshot.state):
        file.add(pieces)
    file.finish()
