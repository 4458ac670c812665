"""The archive at the centre: record bytes as they were received, append-only, for as long as the law asks."""

from pipeline.archive.archive import (
    Appended,
    Archive,
    ArchiveBusyError,
    Archived,
    ArchiveError,
    Merged,
)
from pipeline.archive.check import Checker, Finding
from pipeline.archive.holds import Hold, Holds, HoldsError
from pipeline.archive.reading import archived_records
from pipeline.archive.settings import ArchiveSettings

__all__ = [
    "Appended", "Archive", "ArchiveBusyError", "ArchiveError", "ArchiveSettings", "Archived", "Checker",
    "Finding", "Hold", "Holds", "HoldsError", "Merged", "archived_records",
]  # fmt: skip
