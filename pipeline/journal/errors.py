"""Errors of the journal, typed by what the caller does next."""

from __future__ import annotations


class JournalError(Exception):
    """Base of the journal's errors; `hint` tells the operator what to do."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message} — {hint}")
        self.hint = hint


class JournalBusyError(JournalError):
    """Another process has the journal open: stop it, or use another directory."""


class WrongPurposeError(JournalError):
    """The journal was made for the other purpose: open another directory."""


class ForeignKeyError(JournalError):
    """The key beside the journal is not the one that it was made with: restore the right one."""


class JournalFullError(JournalError):
    """Too many records wait for the disk: the caller drops its record and counts it as a gap."""


class CommitFailedError(JournalError):
    """A write or sync failed; the records stay in memory and are tried again: wait again, promise nothing."""

    def __init__(self, cause: OSError, *, since_utc_ns: int) -> None:
        super().__init__(
            f"the journal cannot be written: {cause}",
            hint="check the disk (space, mount, dmesg); the records wait in memory until it works",
        )
        self.cause = cause
        self.since_utc_ns = since_utc_ns
