"""Where a gateway keeps what it must not lose, under one folder."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

import orjson

from gateway.durable import write_durably
from pipeline.records.signing import key_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
KEY_BYTES = 32
KeyRole = Literal["collector", "lims", "regulator"]
SERVICE_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
"""Names of services stand in records where the ids of persons do."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths under the site's state folder; a role makes those that it needs."""

    root: Path

    @property
    def journal(self) -> Path:
        """Folder of the journal."""
        return self.root / "journal"

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


@dataclass(frozen=True, slots=True)
class Pinned:
    """A public key that this gateway trusts for one thing."""

    public: bytes
    """32 bytes."""
    role: KeyRole
    name: str = ""
    """Who holds it, as records name them; empty for collectors."""


class TrustedKeysError(ValueError):
    """The file of pinned keys, or a key, does not do; the message says what to do."""


class TrustedKeys:
    """Keys of collectors, whose receipts count, and of others, whose signed commands are carried out.

    The file is read again when it changes. In it a collector's key is its hexadecimal digits, any other key
    a table {public, role, name}.

    Args:
        path: the file; a missing one pins no key.
        damaged: told once, in words, when a file that was changed cannot be read. The keys known before stay
            in force: to forget them would stop the retirement of everything that is stored already.
    """

    def __init__(self, path: Path, damaged: Callable[[str], None] = LOG.error) -> None:
        self._path = path
        self._damaged = damaged
        self._read_at: tuple[int, ...] = ()
        self._keys: dict[str, Pinned] = {}

    def keys(self) -> dict[str, bytes]:
        """Keys of collectors, by id; never raises."""
        return {name: key.public for name, key in self.pinned().items() if key.role == "collector"}

    def pinned(self) -> dict[str, Pinned]:
        """All pinned keys, by id; never raises."""
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

    def _read(self) -> dict[str, Pinned]:
        try:
            found = {name: _pinned(key) for name, key in orjson.loads(self._path.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise TrustedKeysError(
                f"{self._path} is damaged ({error}); move it away and pin the keys again: yaosu keys trust"
            ) from error
        if any(len(key.public) != KEY_BYTES or key_id(key.public) != name for name, key in found.items()):
            raise TrustedKeysError(
                f"{self._path} is damaged (a key does not fit its id); move it away and pin the keys again: "
                "yaosu keys trust"
            )
        return found

    def trust(self, public: bytes, role: KeyRole = "collector", name: str = "") -> str:
        """Pin a key, with what it is trusted for; returns its id.

        Raises:
            TrustedKeysError: the bytes are no Ed25519 key, the key is pinned for something else, the name is
                missing, or the file is damaged: nothing was changed.
        """
        if len(public) != KEY_BYTES:
            raise TrustedKeysError("a public key is 64 hexadecimal digits; see: yaosu keys show -c FILE")
        if role != "collector" and not SERVICE_NAME.fullmatch(name):
            raise TrustedKeysError(
                f"say who holds a key of role {role}: a name of lower-case letters, digits and hyphens"
            )
        identifier = key_id(public)
        keys = self._read() if self._path.exists() else {}
        known = keys.get(identifier)
        if known is not None and known.role != role:
            raise TrustedKeysError(
                f"this key is pinned as {known.role} already; one key has one role: use another key, or let "
                f"this one go first: yaosu keys distrust {identifier}"
            )
        self._write({**keys, identifier: Pinned(public, role, "" if role == "collector" else name)})
        return identifier

    def distrust(self, identifier: str) -> Pinned:
        """Let a key go.

        Raises:
            TrustedKeysError: no such key is pinned, or the file is damaged: nothing was changed.
        """
        keys = self._read() if self._path.exists() else {}
        known = keys.pop(identifier, None)
        if known is None:
            raise TrustedKeysError(f"no key {identifier} is pinned; see: yaosu keys show -c FILE")
        self._write(keys)
        return known

    def _write(self, keys: dict[str, Pinned]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            identifier: key.public.hex()
            if key.role == "collector"
            else {"public": key.public.hex(), "role": key.role, "name": key.name}
            for identifier, key in keys.items()
        }
        write_durably(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2), mode=0o640)


def _pinned(entry: str | dict[str, str]) -> Pinned:
    if isinstance(entry, str):
        return Pinned(bytes.fromhex(entry), "collector")
    role = entry["role"]
    if role not in get_args(KeyRole):
        raise ValueError(f"unknown role {role}")
    return Pinned(bytes.fromhex(entry["public"]), cast("KeyRole", role), str(entry["name"]))
