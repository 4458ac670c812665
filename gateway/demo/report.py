"""What a demonstration did, counted: from the drivers' side and from the store's own content."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from pipeline.elements.detectors.evidence import PREFIX
from pipeline.qc import RULES
from pipeline.records import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.store import Store
    from pipeline.store.door import Counts, Origin

EVER_NS = 2**62


async def count(store: Store, origin: Origin) -> dict[str, Any]:
    """Count readings, flags and verdicts in the store."""
    counts = await store.counts(origin, 0, EVER_NS)
    return {
        "readings_stored": sum(c.readings for c in counts.values()),
        "rows_stored": sum(c.rows for c in counts.values()),
        "duplicated": sum(c.duplicates for c in counts.values()),
        "flags": _flags(counts),
        "rules": _rules(counts),
        "elements": await _elements(store, origin),
        "evidence": await _evidence(store, origin),
    }


def _flags(counts: Mapping[str, Counts]) -> dict[str, int]:
    total: Counter[str] = Counter({flag.name.lower(): 0 for flag in Flag})
    for one in counts.values():
        total.update({Flag(flag).name.lower(): n for flag, n in one.flags.items()})
    return dict(total)


def _rules(counts: Mapping[str, Counts]) -> dict[str, int]:
    names = {rule.bit: rule.name for rule in RULES}
    total: Counter[str] = Counter()
    for one in counts.values():
        total.update({names.get(bit, f"bit {bit}"): n for bit, n in one.reasons.items()})
        total.update(one.rules)
    return dict(total)


async def _elements(store: Store, origin: Origin) -> dict[str, dict[str, int]]:
    """Newest verdict of each element of each task, counted by status."""
    newest: dict[tuple[str, str], str] = {}
    for row in await store.ledger(origin, "verdict", limit=100_000, newest_first=False):
        newest[row.body["task"], row.body["element"]] = row.body["status"]
    total: dict[str, Counter[str]] = {}
    for (_, element), status in newest.items():
        total.setdefault(element, Counter())[status] += 1
    return {element: dict(statuses) for element, statuses in total.items()}


async def _evidence(store: Store, origin: Origin) -> list[dict[str, Any]]:
    """What the detectors have told: code, case and the records that show it, in their order."""
    rows = await store.ledger(origin, "event", limit=100_000, newest_first=False)
    return [
        {"code": row.body["code"], **{key: row.body["args"][key] for key in ("case", "task", "seqs")}}
        for row in rows
        if row.body["code"].startswith(PREFIX)
    ]
