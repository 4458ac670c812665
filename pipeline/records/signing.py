"""Ed25519 keys of journals and collectors: made once, kept in 0600 files, named by their id."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

if TYPE_CHECKING:
    from pathlib import Path

ALGORITHM = "ed25519"


def key_id(public: bytes) -> str:
    """First 16 hex digits of SHA-256(algorithm name, newline, 32-byte public key)."""
    return hashlib.sha256(ALGORITHM.encode() + b"\n" + public).hexdigest()[:16]


class SigningKey:
    """A private key with its public half."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        """Wrap a private key."""
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()
        """32 bytes"""
        self.id: str = key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return self._private.sign(message)

    @classmethod
    def load_or_create(cls, path: Path) -> SigningKey:
        """Read the 32-byte seed at `path`, or make one there with mode 0600, durable before it is used.

        Raises:
            PermissionError: the file can be read by others than its owner.
            ValueError: the file is not a 32-byte seed.
        """
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise PermissionError(f"{path} can be read by others; run: chmod 600 {path}")
        seed = path.read_bytes()
        if len(seed) != 32:
            raise ValueError(
                f"{path} is not a key of 32 bytes; restore it from a backup, do not make a new one"
            )
        return cls(Ed25519PrivateKey.from_private_bytes(seed))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, Ed25519PrivateKey.generate().private_bytes_raw())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _rename(temporary, path)


def _rename(source: Path, path: Path) -> None:
    source.rename(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def next_key_path(path: Path) -> Path:
    """Where the key lies that is to take the place of the one at `path`."""
    return path.with_name(path.name + ".next")


def take_over(path: Path) -> None:
    """Put the next key, if there is one, in its place: durable on return, and the old key is gone."""
    if next_key_path(path).exists():
        _rename(next_key_path(path), path)


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether `signature` of `message` was made by the key whose 32 public bytes are given."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
