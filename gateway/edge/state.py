"""Where a gateway keeps what it must not lose, under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths under the site's state folder; a role makes those that it needs."""

    root: Path

    @property
    def journal(self) -> Path:
        """Folder of the journal."""
        return self.root / "journal"

    @property
    def beside(self) -> StateFolder:
        """Folder of the rehearsal journal beside a production one; made when it is first wanted."""
        return StateFolder(self.root / "rehearsal")

    @property
    def wire(self) -> Path:
        """Recordings of what went over the lines."""
        return self.root / "wire"

    @property
    def persons(self) -> Path:
        """Lab-side directory of persons."""
        return self.root / "persons.json"

    @property
    def trusted_keys(self) -> Path:
        """Pinned collector keys."""
        return self.root / "trusted-keys.json"

    @property
    def trusted_witnesses(self) -> Path:
        """Pinned witness keys with their operators."""
        return self.root / "trusted-witnesses.json"

    @property
    def witness_key(self) -> Path:
        """Signing key of the witness."""
        return self.root / "witness.key"

    @property
    def witness_state(self) -> Path:
        """What the witness has cosigned last, of each log."""
        return self.root / "witness.json"

    @property
    def witness_keys(self) -> Path:
        """Notes in which each key of the witness named its successor."""
        return self.root / "witness-keys.json"

    @property
    def witness_alarms(self) -> Path:
        """What the witness has refused, with the notes that prove it."""
        return self.root / "witness-alarms.jsonl"

    @property
    def dead_letters(self) -> Path:
        """What no store takes."""
        return self.root / "dead-letters.jsonl"

    @property
    def ledger_index(self) -> Path:
        """Index over the journal's ledger; may be deleted while the daemon is stopped."""
        return self.root / "ledger.sqlite"

    @property
    def service_tokens(self) -> Path:
        """Hashes of the tokens of services."""
        return self.root / "service-tokens.json"

    @property
    def command_counters(self) -> Path:
        """Counters of keys whose signed commands were taken."""
        return self.root / "command-counters.json"

    @property
    def archive(self) -> Path:
        """Folder of the collector's archive."""
        return self.root / "archive"

    @property
    def collector_key(self) -> Path:
        """Signing key of the collector."""
        return self.root / "collector.key"

    @property
    def last_run(self) -> Path:
        """What the daemon counted, written when it ends in order."""
        return self.root / "last-run.json"

    def socket(self, role: str) -> Path:
        """Unix socket of a role."""
        return self.root / f"{role}.sock"
