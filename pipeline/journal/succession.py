"""One key follows another: a C2SP signed note that both have signed, the key that goes and its successor.

The note's text is a heading and the two public keys as vkeys, a line each. In a log it stands in a record of
kind `key`: a checkpoint of more records than the seq of that record is sealed by the new key, one of up to as
many by the old one.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

from pipeline.journal.note import MalformedNote, sign, verifier_key, verify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.records import Record
    from pipeline.records.signing import SigningKey

KIND = "key"
WITNESS_KIND = "witness-key"
"""The same of a witness: what it cosigns of up to as many records is signed by the old key."""
HEADING = "yaosu key succession"


class Succession(NamedTuple):
    """What a note of succession says, both signatures checked."""

    name: str
    """Name of the key, which both have."""
    old: bytes
    """32 bytes: the public key that goes."""
    new: bytes


def succession_note(name: str, old: SigningKey, new: SigningKey) -> str:
    """Write the note, signed by both."""
    text = f"{HEADING}\n{verifier_key(name, old.public)}\n{verifier_key(name, new.public)}\n"
    return sign(text, name, old) + sign(text, name, new).rpartition("\n\n")[2]


def read_succession(note: str) -> Succession:
    """Read and check a note.

    Raises:
        MalformedNote: it is none, or one of the two keys has not signed it; the message says which.
    """
    lines = note.split("\n")
    if len(lines) < 4 or lines[0] != HEADING or lines[3]:
        raise MalformedNote("this is no note of a key's succession")
    (name, old), (other, new) = _read_vkey(lines[1]), _read_vkey(lines[2])
    if name != other or old == new:
        raise MalformedNote(
            f"a succession is from one key of a name to another, not {lines[1]} to {lines[2]}"
        )
    for which, public in (("old", old), ("new", new)):
        try:
            verify(note, name, public)
        except MalformedNote as error:
            raise MalformedNote(
                f"the succession from {lines[1]} to {lines[2]} is not signed by the {which} key: {error}"
            ) from error
    return Succession(name, old, new)


def _read_vkey(text: str) -> tuple[str, bytes]:
    name, _, encoded = [*text.split("+", 2), "", ""][:3]  # base64 has plus signs of its own
    try:
        public = base64.b64decode(encoded, validate=True)[1:]
    except ValueError as error:
        raise MalformedNote(f"{text!r} is not a public key") from error
    if len(public) != 32 or verifier_key(name, public) != text:
        raise MalformedNote(f"{text!r} is not a public key")
    return name, public


class KeyChain:
    """The keys of one log, one after the other.

    Args:
        known: the 32-byte public key that is believed: any of the chain, or the only one.
        notes: (seq of the record, note) of each succession, by seq.

    Raises:
        MalformedNote: a note is not signed by both keys or does not continue the one before (the message
            names the seq), or the believed key is none of them.
    """

    def __init__(self, known: bytes, notes: Iterable[tuple[int, str]] = ()) -> None:
        self._known = known
        self._links: list[tuple[int, Succession]] = []
        for seq, note in notes:
            try:
                link = read_succession(note)
            except MalformedNote as error:
                raise MalformedNote(f"seq {seq}: {error}") from error
            if self._links and (self._links[-1][1].new, self._links[-1][1].name) != (link.old, link.name):
                raise MalformedNote(f"seq {seq}: the key that is said to go is not the one that had come")
            self._links.append((seq, link))
        if self._links and known not in self.publics:
            raise MalformedNote("the key that is believed is none of those that the log has had")

    @property
    def publics(self) -> list[bytes]:
        """All keys, the first first."""
        if not self._links:
            return [self._known]
        return [self._links[0][1].old, *(link.new for _, link in self._links)]

    @property
    def current(self) -> bytes:
        """The key that seals now."""
        return self.publics[-1]

    @property
    def since(self) -> int:
        """Seq of the record behind which the current key seals; -1: from the beginning."""
        return self._links[-1][0] if self._links else -1

    def at(self, size: int) -> bytes:
        """The key that seals the first `size` records."""
        return next((link.old for seq, link in self._links if size <= seq), self.current)


def chain_of(known: bytes, records: Iterable[Record]) -> KeyChain:
    """Make the chain of `key` records, by seq. Raises MalformedNote."""
    return KeyChain(known, [(record.seq, str(record.body.get("note"))) for record in records])
