"""The gateway's side of witnessing: gives proofs, takes cosignatures, records them.

A witness asks with {"key": its vkey, "old": the size that it has cosigned last, "new": the size that it has
heard of}. The answer is the body of `add-checkpoint` of C2SP tlog-witness: the old size, an RFC 6962
consistency proof, the latest checkpoint. What comes back is that checkpoint with the witness's line below.
"""

from __future__ import annotations

import base64
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from pipeline.evidence.cosignature import cosigned_at
from pipeline.journal import JournalFullError
from pipeline.journal.merkle import HashGoneError
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note, verify

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.edge.recorder import Recorder
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
        trusted: pinned witnesses, vkey to key and operator.
    """

    def __init__(
        self, recorder: Recorder, latest: Callable[[], Record | None],
        proof: Callable[[int, int], Awaitable[list[bytes]]],
        trusted: Callable[[], Mapping[str, tuple[Key, str]]],
    ) -> None:  # fmt: skip
        self._recorder = recorder
        self._latest = latest
        self._proof = proof
        self._trusted = trusted
        self._recent: dict[tuple[str, int, int], None] = {}
        self.health: dict[str, WitnessHealth] = {}

    async def answer(self, payload: bytes) -> bytes | None:
        """Answer a question, or take a cosignature; whatever is neither is refused in words."""
        if payload.startswith(b"{"):
            return await self._answer_question(payload)
        try:
            await self._take(payload.decode())
        except (MalformedNote, UnicodeDecodeError, JournalFullError) as error:
            LOG.warning("a cosignature was refused: %s", error)
        return None

    async def _answer_question(self, payload: bytes) -> bytes:
        try:
            asked = orjson.loads(payload)
            vkey, old = str(asked["key"]), int(asked["old"])
        except (ValueError, TypeError, LookupError) as error:
            return _refusal(f"not a question of a witness: {error}")
        if vkey not in self._trusted():
            return _refusal("this gateway does not know the witness's key; pin it: yaosu keys trust")
        latest = self._latest()
        if latest is None:
            return _refusal("nothing has been sealed since the start; ask again in 10 s")
        size = int(latest.body["size"])
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
        """Record a cosigned checkpoint of this log. Raises MalformedNote, JournalFullError."""
        journal = self._recorder.journal
        size = read_checkpoint(split_note(note)[0]).size
        checkpoint = read_checkpoint(verify(note, journal.origin, journal.keys.chain.at(size)))
        for vkey, (key, operator) in self._trusted().items():
            if f"\n\u2014 {key.name} " not in note:
                continue
            t_s = cosigned_at(note, key)
            identity = (vkey, checkpoint.size, t_s)
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
            await journal.upkeep.promised.signed(vkey, checkpoint.size)
            return
        raise MalformedNote("it is of a witness whose key is not pinned; see: yaosu keys trust")


def _refusal(reason: str) -> bytes:
    return orjson.dumps({"error": reason})
