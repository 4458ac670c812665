"""The journal: every record of the gateway, durable before it leaves the process."""

from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.errors import (
    CommitFailedError,
    ForeignKeyError,
    JournalBusyError,
    JournalError,
    JournalFullError,
    WrongPurposeError,
)
from pipeline.journal.journal import Journal, Notice
from pipeline.journal.offline import stat, verify
from pipeline.journal.receipts import Receipts
from pipeline.journal.settings import JournalSettings
from pipeline.journal.start import Downtime, StartInfo
from pipeline.journal.stats import JournalStats

__all__ = [
    "CommitFailedError", "Disk", "Downtime", "ForeignKeyError", "Journal", "JournalBusyError", "JournalError",
    "JournalFullError", "JournalSettings", "JournalStats", "Notice", "RealDisk", "Receipts", "StartInfo",
    "WrongPurposeError", "stat", "verify",
]  # fmt: skip
