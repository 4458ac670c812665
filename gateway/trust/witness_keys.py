"""Which key each witness signs with now: the pinned one, or what has followed it by its own word."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pipeline.evidence.cosignature import cosigned_at, vkey
from pipeline.evidence.policy import WITNESS, Key
from pipeline.journal.note import MalformedNote
from pipeline.journal.succession import KeyChain, read_succession

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.trust.history import TrustHistory

NOTES_MAX = 64
"""Changes of key that a witness may show at once."""


class KeyMisused(Exception):  # noqa: N818 - what has happened
    """A key that was given up signs, or one has named two successors: it may have been stolen."""

    def __init__(self, witness: str, reason: str) -> None:
        super().__init__(f"{witness}: {reason}")
        self.witness = witness
        self.reason = reason


class Taken(NamedTuple):
    """A cosignature that counts."""

    key: Key
    operator: str
    t_s: int


class WitnessKeys:
    """Follows each pinned witness from key to key, as the record tells it.

    A change counts from the record on in which it stands: about up to as many records as its seq the old key
    speaks, about more the new one. The record has one chain for each name of a witness.

    Args:
        pinned: vkey to key and operator, as a person pinned them.
        history: the changes that were recorded.
    """

    def __init__(
        self, pinned: Callable[[], Mapping[str, tuple[Key, str]]], history: TrustHistory
    ) -> None:  # fmt: skip
        self._pinned = pinned
        self._history = history

    def _chain(self, pinned: Key) -> KeyChain:
        notes = self._history.witness_keys.get(pinned.name, ())
        try:
            return KeyChain(pinned.public, notes)
        except MalformedNote:  # pinned beside a chain of this name, of which it is no part
            return KeyChain(pinned.public)

    def since(self, text: str) -> int | None:
        """Return the seq behind which a key (vkey) speaks, -1 from the beginning; None: it is not believed.

        Raises:
            KeyMisused: it was given up.
        """
        for pinned, _ in self._pinned().values():
            chain = self._chain(pinned)
            vkeys = [vkey(Key(pinned.name, WITNESS, public)) for public in chain.publics]
            if text == vkeys[-1]:
                return chain.since
            if text in vkeys:
                raise KeyMisused(pinned.name, f"{text} was given up, and somebody asks with it")
        return None

    def news(self, notes: list[str]) -> list[str]:
        """Return the changes of a believed witness's key that are to be recorded now, in order.

        Raises:
            MalformedNote: one is not signed by both keys, or cannot follow; the message says which.
            KeyMisused: the key has named another successor before.
        """
        fresh: list[str] = []
        for note in notes[-NOTES_MAX:]:
            name, old, new = read_succession(note)
            pinned = {key.public for key, _ in self._pinned().values() if key.name == name}
            recorded = [one for _, one in self._history.witness_keys.get(name, ())]
            links = [read_succession(one) for one in (*recorded, *fresh)]
            had = [*(link.old for link in links[:1]), *(link.new for link in links)]
            if not pinned & {*had, old} or (old, new) in pairwise(had):
                continue  # nobody whom we know, or known already
            if old in had[:-1]:
                raise KeyMisused(name, "its key has named two successors, of which the first counts")
            if (had and old != had[-1]) or new in had:
                raise MalformedNote(
                    f"{name} has had other keys before; a witness that begins anew takes a new name"
                )
            fresh.append(note)
        return fresh

    def take(self, note: str, size: int) -> Taken:
        """Find the witness that has cosigned a note about `size` records with the key that speaks there.

        Raises:
            MalformedNote: nobody who is believed has.
            KeyMisused: a witness has, with a key that does not speak about so many.
        """
        late: KeyMisused | None = None
        for pinned, operator in self._pinned().values():
            chain = self._chain(pinned)
            for public in chain.publics if f"\n\u2014 {pinned.name} " in note else ():
                key = Key(pinned.name, WITNESS, public)
                try:
                    t_s = cosigned_at(note, key)
                except MalformedNote:
                    continue
                if public == chain.at(size):
                    return Taken(key, operator, t_s)
                late = KeyMisused(key.name, f"{vkey(key)}, not in force there, signs {size} records")
        raise late or MalformedNote("it is not cosigned by a witness that is pinned; see: yaosu keys trust")
