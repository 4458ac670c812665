"""Who was believed as the record tells it last, and which changes somebody has signed: a fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.journal.succession import WITNESS_KIND, read_succession

if TYPE_CHECKING:
    from pipeline.records import Record

FOUND, CHANGED, UNSIGNED, SIGNED = "trust-found", "trust-changed", "trust-changed-unsigned", "trust-signed"
CODES = frozenset({FOUND, CHANGED, UNSIGNED})
"""Events that tell who is believed from now on."""


@dataclass(slots=True)
class TrustHistory:
    """Bounded by the number of files and of those believed in them."""

    known: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """File to the hash of its content and to those believed, each with what for."""
    signed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """File to the hash that it is about to have and the person who signed that."""

    witness_keys: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    """Name of a witness to the seqs and notes in which its key named a successor."""

    def see(self, record: Record) -> None:
        """Take one record; only events about trust and changes of a witness's key matter."""
        if record.kind == WITNESS_KIND:
            note = str(record.body["note"])
            self.witness_keys.setdefault(read_succession(note).name, []).append((record.seq, note))
        if record.kind != "event":
            return
        code, args = record.body.get("code"), record.body.get("args") or {}
        if code in CODES:
            self.known[str(args["file"])] = str(args["after"]), dict(args["believed"])
            self.signed.pop(str(args["file"]), None)
        elif code == SIGNED:
            self.signed[str(args["file"])] = str(args["after"]), str(args["by"])

    def snapshot(self) -> list[Any]:
        """State for the next start, as plain values."""
        return [{name: list(one) for name, one in self.known.items()},
                {name: list(one) for name, one in self.signed.items()},
                {name: [list(one) for one in told] for name, told in self.witness_keys.items()}]  # fmt: skip

    def restore(self, state: list[Any]) -> None:
        """Take up a snapshot; one from before witnesses could change their keys has no such changes."""
        known, signed, witness_keys = [*state, {}][:3]
        self.known = {name: (after, dict(believed)) for name, (after, believed) in known.items()}
        self.signed = {name: (after, by) for name, (after, by) in signed.items()}
        self.witness_keys = {
            name: [(seq, note) for seq, note in pairs] for name, pairs in witness_keys.items()
        }
