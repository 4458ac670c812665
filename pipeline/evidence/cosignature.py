"""Cosignatures of checkpoints (C2SP tlog-cosignature, Ed25519): what a witness signs, and its check."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING

from pipeline.evidence.policy import WITNESS, Key
from pipeline.journal.note import MalformedNote, split_note

if TYPE_CHECKING:
    from pipeline.records.signing import SigningKey

_TIME = struct.Struct(">Q")
_KEY_ID_BYTES = 4


def witness_key(name: str, public: bytes) -> Key:
    """Return a witness's public key under its name."""
    return Key(name, WITNESS, public)


def vkey(key: Key) -> str:
    """Write a public key as `name+hash+key`, the form in which verifiers are given one."""
    return f"{key.name}+{key.id.hex()}+{base64.b64encode(bytes([key.kind]) + key.public).decode()}"


def _message(text: str, t_s: int) -> bytes:
    return f"cosignature/v1\ntime {t_s}\n{text}".encode()


def cosign(text: str, name: str, key: SigningKey, t_s: int) -> str:
    """Make the signature line of a witness under a checkpoint's text, at a POSIX time."""
    signature = witness_key(name, key.public).id + _TIME.pack(t_s) + key.sign(_message(text, t_s))
    return f"\u2014 {name} {base64.b64encode(signature).decode()}\n"


def cosigned_at(note: str, key: Key) -> int:
    """Return the POSIX time at which a witness cosigned a note.

    Raises:
        MalformedNote: it did not, or its signature is not valid.
    """
    text, signatures = split_note(note)
    for name, signature in signatures:
        if (name, signature[:_KEY_ID_BYTES]) == (key.name, key.id) and len(signature) > 12:
            (t_s,) = _TIME.unpack(signature[4:12])
            if not key.signed(signature[12:], _message(text, t_s)):
                raise MalformedNote(f"the cosignature of {key.name} is not valid")
            return int(t_s)
    raise MalformedNote(f"the note is not cosigned by {key.name}")
