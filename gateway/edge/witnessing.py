"""The gateway's side of witnessing: gives proofs, takes cosignatures, records them.

A witness asks with {"key": its vkey, "old": the size that it has cosigned last, "new": the size that it has
heard of}, and, if its key has had others before it, "changes": the notes in which each named its successor.
Changes that are news become records; the new key is heard once a checkpoint covers them. The answer is the
body of `add-checkpoint` of C2SP tlog-witness: the old size, an RFC 6962 consistency proof, the latest
checkpoint. What comes back is that checkpoint with the witness's line below.
"""

from __future__ import annotations

import base64
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.trust.witness_keys import KeyMisused, WitnessKeys
from pipeline.evidence.cosignature import vkey as written
from pipeline.evidence.cosignature import witness_key
from pipeline.journal import JournalFullError
from pipeline.journal.merkle import HashGoneError
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note, verify
from pipeline.journal.succession import WITNESS_KIND, read_succession
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.edge.recorder import Recorder
    from gateway.trust.history import TrustHistory
    from pipeline.evidence.policy import Key
    from pipeline.records import Record

LOG = logging.getLogger(__name__)
RECENT_MAX = 64
"""Cosignatures remembered, so that one that comes twice is recorded once."""


@dataclass(slots=True)
class WitnessHealth:
    """What the status page says of one witness."""

    operator: str
    size: int = 0
    """Records that it has cosigned last, as far as this run knows."""
    t_s: int = 0
    """When, by its own clock."""


class Witnessing:
    """Answers witnesses. Proofs are made off the loop by the journal; one question at a time.

    Args:
        recorder: takes `cosignature` records.
        latest: the latest durable checkpoint record.
        proof: consistency proof between two sizes; raises HashGoneError or ValueError.
        pinned: witnesses that a person pinned, vkey to key and operator.
        history: the changes of their keys that were recorded.
    """

    def __init__(
        self, recorder: Recorder, latest: Callable[[], Record | None],
        proof: Callable[[int, int], Awaitable[list[bytes]]],
        pinned: Callable[[], Mapping[str, tuple[Key, str]]], history: TrustHistory,
    ) -> None:  # fmt: skip
        self._recorder = recorder
        self._latest = latest
        self._proof = proof
        self._history = history
        self._keys = WitnessKeys(pinned, history)
        self._recent: dict[tuple[str, int, int], None] = {}
        self._told: dict[tuple[str, str], None] = {}
        self.health: dict[str, WitnessHealth] = {}

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer a question, or take a cosignature; whatever is neither is refused in words."""
        if payload.startswith(b"{"):
            return await self._answer_question(payload)
        try:
            await self._take(payload.decode())
        except KeyMisused as misused:
            self._tell(misused)
        except (MalformedNote, UnicodeDecodeError, JournalFullError) as error:
            LOG.warning("a cosignature was refused: %s", error)
        return None

    def _tell(self, misused: KeyMisused) -> None:
        """Record that a witness's key may have been stolen: once a run, whoever repeats it."""
        LOG.error("%s", misused)
        identity = (misused.witness, misused.reason)
        if identity not in self._told and len(self._told) < RECENT_MAX:
            body = event_body("witness-key-misused", witness=misused.witness, reason=misused.reason)
            with suppress(JournalFullError):
                self._recorder.append("event", body)
                self._told[identity] = None

    def _since(self, vkey: str, notes: list[str]) -> int | None:
        """Return the seq behind which the key of a witness that asks is heard; records how it came.

        Raises:
            KeyMisused: it was given up, or is the second successor of one.
            MalformedNote: a change is not signed by both keys.
            JournalFullError: there is no room to record it now.
        """
        for note in self._keys.news(notes):
            name, old, new = read_succession(note)
            self._history.see(self._recorder.append(WITNESS_KIND, {"note": note}))
            vkeys = [written(witness_key(name, public)) for public in (old, new)]
            told = event_body("witness-key-changed", witness=name, old=vkeys[0], new=vkeys[1])
            self._recorder.append("event", told)
        return self._keys.since(vkey)

    async def _answer_question(self, payload: bytes) -> bytes:
        try:
            asked = orjson.loads(payload)
            vkey, old = str(asked["key"]), int(asked["old"])
            notes = [str(note) for note in asked.get("changes", ())]
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            return _refusal(f"not a question of a witness: {error}")
        try:
            since = self._since(vkey, notes)
        except KeyMisused as misused:
            self._tell(misused)
            return _refusal(str(misused))
        except (MalformedNote, JournalFullError) as error:
            return _refusal(f"the change of the witness's key: {error}")
        if since is None:
            return _refusal("this gateway does not know the witness's key; pin it: yaosu keys trust")
        latest = self._latest()
        if latest is None:
            return _refusal("nothing has been sealed since the start; ask again in 10 s")
        size = int(latest.body["size"])
        if size <= since:
            return _refusal("the change of the witness's key is not sealed yet; ask again in 10 s")
        try:
            # A witness that has seen more than there is gets the checkpoint all the same: its alarm is right.
            proof = await self._proof(old, size) if 0 < old < size else []
        except (HashGoneError, ValueError) as error:
            return _refusal(f"no proof from {old} to {size}: {error}")
        # It may sign what it is told now and be away for longer than the records are kept.
        await self._recorder.journal.upkeep.promised.told(vkey, old, size)
        lines = "".join(f"{base64.b64encode(digest).decode()}\n" for digest in proof)
        return f"old {old}\n{lines}\n{latest.body['note']}".encode()

    async def _take(self, note: str) -> None:
        """Record a cosigned checkpoint of this log. Raises MalformedNote, KeyMisused, JournalFullError."""
        journal = self._recorder.journal
        size = read_checkpoint(split_note(note)[0]).size
        checkpoint = read_checkpoint(verify(note, journal.origin, journal.keys.chain.at(size)))
        key, operator, t_s = self._keys.take(note, size)
        identity = (written(key), checkpoint.size, t_s)
        if identity in self._recent:
            return
        body = {
            "note": note, "size": checkpoint.size, "root": checkpoint.root, "witness": key.name,
            "operator": operator, "t_s": t_s,
        }  # fmt: skip
        self._recorder.append("cosignature", body)
        self._recent[identity] = None
        while len(self._recent) > RECENT_MAX:
            del self._recent[next(iter(self._recent))]
        self.health[key.name] = WitnessHealth(operator, checkpoint.size, t_s)
        await journal.upkeep.promised.signed(written(key), checkpoint.size)


def _refusal(reason: str) -> bytes:
    return orjson.dumps({"error": reason})
