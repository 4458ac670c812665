"""Where a gateway keeps what it must not lose, under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pipeline.records.signing import key_id

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
    def persons(self) -> Path:
        """Lab-side directory of persons."""
        return self.root / "persons.json"

    @property
    def trusted_keys(self) -> Path:
        """Pinned collector keys."""
        return self.root / "trusted-keys.json"

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


class TrustedKeys:
    """Collector keys whose receipts count: id to 32 public bytes, read again when the file changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at = -1
        self._keys: dict[str, bytes] = {}

    def keys(self) -> dict[str, bytes]:
        """All pinned keys; a missing file pins none."""
        try:
            changed = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if changed != self._read_at:
            self._keys = {
                name: bytes.fromhex(key) for name, key in orjson.loads(self._path.read_bytes()).items()
            }
            self._read_at = changed
        return self._keys

    def trust(self, public: bytes) -> str:
        """Pin a key; returns its id. Raises ValueError for bytes that are no Ed25519 key."""
        if len(public) != 32:
            raise ValueError(
                "a collector's public key is 64 hexadecimal digits; see: yaosu keys show -c FILE"
            )
        name = key_id(public)
        keys = {**self.keys(), name: public}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_bytes(orjson.dumps({n: k.hex() for n, k in keys.items()}, option=orjson.OPT_INDENT_2))
        temporary.replace(self._path)
        return name
