"""Pinned public keys: of collectors, whose receipts count, and of systems that give signed commands."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from gateway.trust.watched import WatchedFile
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
        self.file: WatchedFile[dict[str, Pinned]] = WatchedFile(
            path, parse_keys, {}, error=TrustedKeysError, damaged=damaged,
            advice="move it away and pin the keys again: yaosu keys trust",
        )  # fmt: skip

    def keys(self) -> dict[str, bytes]:
        """Keys of collectors, by id; never raises."""
        return {name: key.public for name, key in self.pinned().items() if key.role == "collector"}

    def pinned(self) -> dict[str, Pinned]:
        """All pinned keys, by id; never raises."""
        return self.file.current()

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
        keys = self.file.read()
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
        keys = dict(self.file.read())
        known = keys.pop(identifier, None)
        if known is None:
            raise TrustedKeysError(f"no key {identifier} is pinned; see: yaosu keys show -c FILE")
        self._write(keys)
        return known

    def _write(self, keys: dict[str, Pinned]) -> None:
        self.file.write(
            {
                identifier: key.public.hex()
                if key.role == "collector"
                else {"public": key.public.hex(), "role": key.role, "name": key.name}
                for identifier, key in keys.items()
            }
        )


def parse_keys(content: dict[str, Any]) -> dict[str, Pinned]:
    """Read the file's content.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is none.
    """
    found = {name: _pinned(key) for name, key in content.items()}
    if any(len(key.public) != KEY_BYTES or key_id(key.public) != name for name, key in found.items()):
        raise ValueError("a key does not fit its id")
    return found


def _pinned(entry: str | dict[str, str]) -> Pinned:
    if isinstance(entry, str):
        return Pinned(bytes.fromhex(entry), "collector")
    role = entry["role"]
    if role not in get_args(KeyRole):
        raise ValueError(f"unknown role {role}")
    return Pinned(bytes.fromhex(entry["public"]), cast("KeyRole", role), str(entry["name"]))
