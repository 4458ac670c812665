"""Signed notes and checkpoints (Ed25519), as C2SP `signed-note` and `tlog-checkpoint` define them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from pipeline.records.signing import verify as verify_signature

if TYPE_CHECKING:
    from pipeline.records.signing import SigningKey

_ED25519 = b"\x01"
_DASH = "\u2014 "
_KEY_HASH_BYTES = 4
_SIZE = re.compile("0|[1-9][0-9]{0,18}")
"""Below 10^19: a number of thousands of digits is none."""
_SIGNATURES_MAX = 100
"""As many as the reference implementation takes (golang.org/x/mod/sumdb/note)."""


class MalformedNote(ValueError):  # noqa: N818 - a noun that says what it is
    """Text that is not a signed note of the expected key; the message says why."""


class Checkpoint(NamedTuple):
    """The state of a log that a note signs."""

    origin: str
    size: int
    root: bytes


def key_hash(name: str, public: bytes) -> bytes:
    """First 4 bytes of SHA-256(name, newline, 0x01, 32-byte public key)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def verifier_key(name: str, public: bytes) -> str:
    """Write a public key as `name+hash+key`, the form in which verifiers are given one."""
    return f"{name}+{key_hash(name, public).hex()}+{base64.b64encode(_ED25519 + public).decode()}"


def checked_name(name: str) -> str:
    """Return a key name. Raises ValueError when it is empty or holds a space or a plus sign."""
    if not name or "+" in name or any(character.isspace() for character in name):
        raise ValueError(f"{name!r} cannot name a key: no spaces, no '+', not empty")
    return name


def sign(text: str, name: str, key: SigningKey) -> str:
    """Sign a text, which must end with a newline."""
    if not text.endswith("\n"):
        raise ValueError("the text of a note ends with a newline")
    signature = key_hash(checked_name(name), key.public) + key.sign(text.encode())
    return f"{text}\n{_DASH}{name} {base64.b64encode(signature).decode()}\n"


def verify(note: str, name: str, public: bytes) -> str:
    """Return the text of a note that the key signed; signatures of other keys are ignored.

    Raises:
        MalformedNote: no note, or not signed by this key.
    """
    text, signatures = split_note(note)
    ours = [one for signer, one in signatures if signer == name and one[:4] == key_hash(name, public)]
    if not ours:
        raise MalformedNote(f"the note is not signed by {name}")
    if not verify_signature(public, ours[0][4:], text.encode()):
        raise MalformedNote(f"the signature of {name} is not valid")
    return text


def split_note(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Split a note into text and signatures (key name, key hash and signature), none of them checked.

    Raises:
        MalformedNote: no note, or more than 100 signatures.
    """
    text, separator, lines = note.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise MalformedNote("the note has no signature")
    signatures: list[tuple[str, bytes]] = []
    for line in lines.removesuffix("\n").split("\n"):
        signer, _, encoded = line.removeprefix(_DASH).partition(" ")
        try:
            signature = _decoded(encoded)
        except binascii.Error as error:
            raise MalformedNote("the note has a malformed signature line") from error
        if not line.startswith(_DASH) or not signer or len(signature) <= _KEY_HASH_BYTES:
            raise MalformedNote("the note has a malformed signature line")
        signatures.append((signer, signature))
    if len(signatures) > _SIGNATURES_MAX:
        raise MalformedNote(f"the note has {len(signatures)} signatures, more than {_SIGNATURES_MAX}")
    return f"{text}\n", signatures


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Write a checkpoint's text: origin, size, root in base64, a line each."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def read_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint's text; further lines are extensions. Raises MalformedNote."""
    lines = text.split("\n")
    if len(lines) < 4 or not _SIZE.fullmatch(lines[1]):
        raise MalformedNote("the note is not a checkpoint")
    try:
        root = _decoded(lines[2])
    except binascii.Error as error:
        raise MalformedNote("the checkpoint's root is not base64") from error
    if len(root) != 32:
        raise MalformedNote("the checkpoint's root is not 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root)


def _decoded(text: str) -> bytes:
    """Decode base64 in its one form: spare bits of the last character that are not zero say the same bytes.

    Raises:
        binascii.Error: it is none.
    """
    if not text.isascii():
        raise binascii.Error("not ASCII")
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise binascii.Error("spare bits are set")
    return raw
