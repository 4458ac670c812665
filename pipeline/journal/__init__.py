"""The journal: every record of the gateway, durable before it leaves the process."""

from pipeline.journal.errors import (
    CommitFailedError,
    ForeignKeyError,
    JournalBusyError,
    JournalError,
    JournalFullError,
    WrongPurposeError,
)
from pipeline.journal.journal import Journal
from pipeline.journal.offline import stat, verify
from pipeline.journal.settings import JournalSettings

__all__ = [
    "CommitFailedError", "ForeignKeyError", "Journal", "JournalBusyError", "JournalError", "JournalFullError",
    "JournalSettings", "WrongPurposeError", "stat", "verify",
]  # fmt: skip
