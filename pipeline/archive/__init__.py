"""The archive at the centre: record bytes as they were received, append-only, for as long as the law asks."""

from pipeline.archive.archive import (
    Appended,
    Archive,
    ArchiveBusyError,
    Archived,
    ArchiveError,
    Finding,
)
from pipeline.archive.reading import archived_records
from pipeline.archive.settings import ArchiveSettings

__all__ = [
    "Appended", "Archive", "ArchiveBusyError", "ArchiveError", "ArchiveSettings", "Archived", "Finding",
    "archived_records",
]  # fmt: skip
