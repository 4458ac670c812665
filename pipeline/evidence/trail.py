"""The trail of cosignatures in a journal or an archive: each one checked, from key to key of its witness."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

from pipeline.evidence.findings import Checked, Cosigned, Refused
from pipeline.evidence.notes import read_changes
from pipeline.evidence.story import CHANGING
from pipeline.evidence.verify import check_note, taken_over, told

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pipeline.evidence.policy import Policy
    from pipeline.records import Record

ROOTS_MAX = 4096
"""Latest checkpoints with which a cosignature is compared: it comes a minute after its own."""


class Ledger(Protocol):
    """Ledger records of one journal, wherever they are kept."""

    journal: bytes

    def after(self, seq: int, kinds: Collection[str]) -> Iterator[Record]:
        """Go through the records of some kinds behind `seq`, in order."""
        ...


def check_trail(ledger: Ledger, policy: Policy) -> Checked:
    """Check every cosignature that was recorded; of each witness the latest stays in `cosigned`.

    That the records have the roots that were signed is checked with the records, not here.
    """
    checked = Checked(journal=ledger.journal.hex())
    try:
        chains = read_changes([(one.seq, str(one.body.get("note"))) for one in ledger.after(-1, CHANGING)])
    except Refused as refused:
        checked.add(str(refused), refused.seq)
        return checked
    roots: OrderedDict[int, bytes] = OrderedDict()
    latest: dict[str, Cosigned] = {}
    for record in ledger.after(-1, {"checkpoint", "cosignature"}):
        one = Checked()
        try:
            size, root = check_note(str(record.body.get("note")), policy, chains, one)
        except Refused as refused:
            one.add(str(refused))
        else:
            if roots.setdefault(size, root) != root:
                one.add(f"two trees of {size} records are signed")
            if len(roots) > ROOTS_MAX:
                roots.popitem(last=False)
        for problem in one.problems:
            checked.add(problem, record.seq)
        checked.origin = one.origin or checked.origin
        latest.update({cosigned.witness: cosigned for cosigned in one.cosigned})
        checked.ignored = sorted({*checked.ignored, *one.ignored})
    checked.cosigned = [
        one for one in latest.values() if one.size > taken_over(policy.witnesses[one.witness], chains)
    ]
    checked.changes = [text for name, chain in chains.items() for text in told(name, chain, checked.origin)]
    return checked
