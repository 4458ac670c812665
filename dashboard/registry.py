"""The registry as stored, for the scan page: whose badge, which sample, which instrument, which methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.codec import MalformedBody
from pipeline.elements.registry import Registry
from pipeline.elements.registry_shapes import Method

if TYPE_CHECKING:
    from pipeline.elements.shapes import TaskStart
    from pipeline.store.door import LedgerRow, Origin, Store

REGISTRY_LIMIT = 20_000
"""Newest registry records read at most."""


async def load_registry(store: Store, origin: Origin, *, key: str | None = None) -> Registry:
    """Read the registry of an origin, or one entry (`type/id`) of it. Raises StoreUnavailable."""
    rows = await store.ledger(origin, "registry", key=key, limit=REGISTRY_LIMIT)
    return registry_of(rows)


def registry_of(rows: list[LedgerRow]) -> Registry:
    """Build the registry from its records, in any order; a body of a newer shape is passed over."""
    registry = Registry()
    for row in sorted(rows, key=lambda row: (row.journal, row.seq)):
        try:
            registry.add(row.seq, row.body)
        except MalformedBody:
            continue
    return registry


def required_elements(registry: Registry, start: TaskStart) -> tuple[str, ...] | None:
    """Return the elements that a task's method required when the task began; None when that is not known."""
    found = registry.at(Method, start.method, start.at_utc_ns)
    return None if found is None else found[0].required_elements
