"""Where a gateway keeps what it must not lose, under one folder."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably
from pipeline.records.signing import key_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
KEY_BYTES = 32


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
    def ledger_index(self) -> Path:
        """Index over the journal's ledger; may be deleted while the daemon is stopped."""
        return self.root / "ledger.sqlite"

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


class TrustedKeysError(ValueError):
    """The file of pinned keys, or a key, does not do; the message says what to do."""


class TrustedKeys:
    """Collector keys whose receipts count: id to 32 public bytes, read again when the file changes.

    Args:
        path: the file; a missing one pins no key.
        damaged: told once, in words, when a file that was changed cannot be read. The keys known before stay
            in force: to forget them would stop the retirement of everything that is stored already.
    """

    def __init__(self, path: Path, damaged: Callable[[str], None] = LOG.error) -> None:
        self._path = path
        self._damaged = damaged
        self._read_at: tuple[int, ...] = ()
        self._keys: dict[str, bytes] = {}

    def keys(self) -> dict[str, bytes]:
        """All pinned keys; never raises."""
        version: tuple[int, ...]
        try:
            status = self._path.stat()
            version = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            self._read_at, self._keys = (), {}
            return {}
        except OSError as error:
            version = (-1,)
            if version != self._read_at:
                self._damaged(f"{self._path} cannot be read: {error}")
        else:
            if version != self._read_at:
                try:
                    self._keys = self._read()
                except TrustedKeysError as error:
                    self._damaged(str(error))
        self._read_at = version
        return self._keys

    def _read(self) -> dict[str, bytes]:
        try:
            found = {name: bytes.fromhex(key) for name, key in orjson.loads(self._path.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise TrustedKeysError(
                f"{self._path} is damaged ({error}); move it away and pin the keys again: yaosu keys trust"
            ) from error
        if any(len(key) != KEY_BYTES or key_id(key) != name for name, key in found.items()):
            raise TrustedKeysError(
                f"{self._path} is damaged (a key does not fit its id); move it away and pin the keys again: "
                "yaosu keys trust"
            )
        return found

    def trust(self, public: bytes) -> str:
        """Pin a key; returns its id.

        Raises:
            TrustedKeysError: the bytes are no Ed25519 key, or the file is damaged: nothing was changed.
        """
        if len(public) != KEY_BYTES:
            raise TrustedKeysError(
                "a collector's public key is 64 hexadecimal digits; see: yaosu keys show -c FILE"
            )
        name = key_id(public)
        keys = {**(self._read() if self._path.exists() else {}), name: public}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = orjson.dumps({n: k.hex() for n, k in keys.items()}, option=orjson.OPT_INDENT_2)
        write_durably(self._path, content, mode=0o640)
        return name
