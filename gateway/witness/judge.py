"""The judgement of a witness: what it may cosign. Pure, but for the state that it keeps first."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.witness.state import Seen
from pipeline.evidence.cosignature import cosign
from pipeline.journal.merkle import verify_consistency
from pipeline.journal.note import MalformedNote, read_checkpoint, split_note, verify
from pipeline.journal.succession import KeyChain

if TYPE_CHECKING:
    from gateway.witness.state import WitnessState
    from pipeline.evidence.policy import Key
    from pipeline.journal.note import Checkpoint
    from pipeline.records.signing import SigningKey

PROOF_LINES_MAX = 63
"""As C2SP tlog-witness limits it."""


class RefusedError(Exception):
    """A checkpoint that is not cosigned. `kind` is `fork`, `rollback` or `malformed`; `note` proves it."""

    def __init__(self, kind: str, reason: str, note: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.note = note


@dataclass(frozen=True, slots=True)
class Answer:
    """What a gateway answered: the body of `add-checkpoint` of C2SP tlog-witness."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str


def read_answer(payload: bytes) -> Answer:
    """Read an answer. Raises RefusedError (malformed)."""
    try:
        head, separator, note = payload.decode().partition("\n\n")
        first, *lines = head.split("\n")
        word, _, number = first.partition(" ")
        if word != "old" or not separator or len(lines) > PROOF_LINES_MAX or not number.isdecimal():
            raise ValueError("neither an old size nor a checkpoint")  # noqa: TRY301 - one handler for all
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        return Answer(int(number), proof, note)
    except (ValueError, binascii.Error) as error:
        raise RefusedError("malformed", f"an answer that cannot be read: {error}", "") from error


class Witness:
    """One witness with its key and memory.

    Args:
        name: of its key.
        key: signs.
        state: what it has signed.
    """

    def __init__(self, name: str, key: SigningKey, state: WitnessState) -> None:
        self._name = name
        self._key = key
        self._state = state
        self._chains: dict[str, KeyChain] = {}
        """Log to the keys that it has had, where it has changed them."""

    def last(self, log: Key) -> Seen:
        """What was cosigned last of a log."""
        return self._state.last(log.name)

    def follow(self, log: Key, payload: bytes) -> None:
        """Take the changes of a log's key: each is signed by the key before it.

        Raises:
            RefusedError: malformed, or one is not; the key that was believed stays.
        """
        try:
            notes = [(int(seq), str(note)) for seq, note in orjson.loads(payload)]
            chain = KeyChain(log.public, notes)
            if any(f"\n{log.name}+" not in note for _, note in notes):
                raise MalformedNote("it is of another log")
        except (ValueError, TypeError) as error:
            raise RefusedError("malformed", f"the change of the log's key: {error}", "") from error
        self._chains[log.name] = chain

    def _signer(self, log: Key, size: int) -> bytes:
        """The key that must have signed a checkpoint: never one before the last that was seen at work."""
        chain, last = self._chains.get(log.name) or KeyChain(log.public), self._state.last(log.name).key
        public, known = chain.at(size), chain.publics
        if last and last not in known:
            raise MalformedNote("its key was changed since, and the change is not shown any more")
        return max(public, last or public, key=known.index)

    def read(self, log: Key, note: str) -> Checkpoint:
        """Check a checkpoint's own signature and origin. Raises RefusedError (malformed)."""
        try:
            public = self._signer(log, read_checkpoint(split_note(note)[0]).size)
            checkpoint = read_checkpoint(verify(note, log.name, public))
        except MalformedNote as error:
            raise RefusedError("malformed", str(error), note) from error
        if checkpoint.origin != log.name:
            raise RefusedError("malformed", f"a checkpoint of another log: {checkpoint.origin!r}", note)
        return checkpoint

    def compare(self, log: Key, note: str) -> Checkpoint:
        """Compare a checkpoint with what was seen without any proof: a fork of the same size shows at once.

        Raises:
            RefusedError: not signed by the log, or another tree of the size that was cosigned.
        """
        checkpoint, last = self.read(log, note), self._state.last(log.name)
        if checkpoint.size == last.size and checkpoint.root != last.root:
            raise RefusedError(
                "fork",
                f"two trees of {last.size} records are signed by {log.name}: history was rewritten",
                note,
            )
        return checkpoint

    def cosign(self, log: Key, answer: Answer, now_s: int) -> str:
        """Check an answer and return the note with our signature, after remembering it durably.

        Raises:
            RefusedError: it must not be signed.
            OSError: it could not be remembered, so it was not signed.
        """
        checkpoint, last = self.compare(log, answer.note), self._state.last(log.name)
        if checkpoint.size < last.size:
            raise RefusedError(
                "rollback",
                f"{log.name} shows {checkpoint.size} records and has shown {last.size}: some were taken away",
                answer.note,
            )
        if last.size and answer.old_size != last.size:
            raise RefusedError("malformed", f"a proof from {answer.old_size}, not {last.size}", answer.note)
        if last.size and not verify_consistency(
            last.size, checkpoint.size, last.root, checkpoint.root, answer.proof
        ):
            raise RefusedError(
                "fork",
                f"{log.name} does not prove that its {checkpoint.size} records begin with the {last.size}"
                " that were cosigned: history was rewritten, or the proof is wrong",
                answer.note,
            )
        t_s = max(now_s, last.t_s)  # a clock that went back must not make a later word look earlier
        signer = self._signer(log, checkpoint.size)
        self._state.note(log.name, Seen(checkpoint.size, checkpoint.root, t_s, signer))
        text = answer.note.rpartition("\n\n")[0] + "\n"
        return answer.note + cosign(text, self._name, self._key, t_s)
