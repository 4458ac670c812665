"""Whose word counts: keys as C2SP signed-note writes them, and a trust policy as C2SP tlog-policy does.

A policy is a text file: the keys of logs and of witnesses, groups of witnesses (the operators), and how many
of them must have seen a checkpoint:

    log yaosu/lab-1/weighing-room+1f0c9b1d+AZ...
    witness metrology-1 witness.metrology.example/w1+5a2e77b0+BC...
    witness university witness.university.example/w1+93cc04fe+BD...
    group two-operators 2 metrology-1 university
    quorum two-operators
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOG, WITNESS = 1, 4
"""Signature types of C2SP signed-note: Ed25519; timestamped Ed25519 cosignature."""
_WORDS_MAX = {"log": 3, "witness": 4, "quorum": 2}
"""Words of a line; the last of a log or a witness is its address, which nothing here asks for."""


class Key(NamedTuple):
    """A public key as a vkey gives it: `name+hash+base64(type || key)`."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """First 4 bytes of SHA-256(name, newline, type, public key)."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]

    def signed(self, signature: bytes, message: bytes) -> bool:
        """Whether the 64-byte Ed25519 signature of the message was made with this key."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def read_key(vkey: str, kind: int) -> Key:
    """Read a vkey of one signature type. Raises ValueError."""
    name, digest, encoded = [*vkey.split("+", 2), "", ""][:3]
    raw = base64.b64decode(encoded, validate=True)
    key = Key(name, kind, raw[1:])
    if not name or len(raw) != 33 or raw[0] != kind or key.id.hex() != digest:
        raise ValueError(f"{vkey!r} is not a whole key of signature type {kind}")
    return key


@dataclass
class Policy:
    """Whose word counts: logs, witnesses by the name that the policy gives them, and the quorum of groups."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = ""

    def satisfied(self, cosigners: set[str], name: str | None = None) -> bool:
        """Whether these witnesses are enough."""
        name = self.quorum if name is None else name
        if name in self.groups:
            threshold, members = self.groups[name]
            return sum(self.satisfied(cosigners, member) for member in members) >= threshold
        return name == "none" or name in cosigners


def read_policy(text: str) -> Policy:
    """Read a C2SP tlog-policy. Raises ValueError with the number of the line that is wrong."""
    policy, used = Policy(), set[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if words and not words[0].startswith("#"):
            try:
                _read_line(policy, used, words)
            except (ValueError, IndexError) as error:
                raise ValueError(f"line {number} of the policy: {error}") from error
    keys = [key.public for key in (*policy.logs, *policy.witnesses.values())]
    if not policy.quorum or not policy.logs or len(set(keys)) != len(keys):
        raise ValueError("a policy has a log, one quorum line ('quorum none' for no witness), no key twice")
    return policy


def _read_line(policy: Policy, used: set[str], words: list[str]) -> None:
    known = {*policy.witnesses, *policy.groups}
    word, name = words[0], words[1]
    if len(words) > _WORDS_MAX.get(word, len(words)):
        raise ValueError(f"{words[_WORDS_MAX[word]]!r} is too much: nothing follows there")
    if word == "log":
        policy.logs.append(read_key(name, LOG))
    elif word == "witness" and name not in known | {"none"}:
        policy.witnesses[name] = read_key(words[2], WITNESS)
    elif word == "group" and name not in known | {"none"}:
        members = words[3:]
        threshold = {"any": 1, "all": len(members)}.get(words[2]) or int(words[2])
        if not set(members) <= known - used or not 1 <= threshold <= len(set(members)) == len(members):
            raise ValueError("a member is not defined above or used twice, or the number does not fit")
        used.update(members)
        policy.groups[name] = threshold, members
    elif word == "quorum" and not policy.quorum and name in known | {"none"}:
        policy.quorum = name
    else:
        raise ValueError(f"'{' '.join(words[:2])}' is unknown, or given twice")
