"""What an entry of an import would change: nothing, an entry that is there, or one that is not yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.elements.codec import from_body, to_body
from pipeline.elements.registry_shapes import SHAPES, Data, Equipment, Material, RegistryRecord

if TYPE_CHECKING:
    from pipeline.elements.registry import Registry, Version

Kind = Literal["new", "changed", "same"]


class Change(NamedTuple):
    """An entry held against what is known now."""

    kind: Kind
    record: RegistryRecord
    """As it would be recorded."""
    keys: tuple[str, ...] = ()
    """What differs, `metrology.due` for a key within a table."""


def change_of(registry: Registry, record: RegistryRecord, *, dated: bool) -> Change:
    """Hold an entry against the version that counts for its time.

    What was recorded at the bench since (receipt, hand-overs, opening, a withdrawn certificate) stays where
    the entry says nothing of it: importing a file a second time must not undo it.

    Args:
        registry: as known now.
        record: the entry.
        dated: it says itself from when it holds; else that is the time of the import.
    """
    version = _counting(registry, record)
    if version is None:
        return Change("new", record)
    data = _keep_recorded(version.data, from_body(SHAPES[record.type], record.data))
    body: dict[str, Any] = to_body(data)
    record = replace(record, data=body)
    keys = tuple(_differing(to_body(version.data), body, ""))
    if version.record.valid_to_ns != record.valid_to_ns:
        keys += ("valid_to",)
    if dated and version.record.valid_from_ns != record.valid_from_ns:
        keys += ("valid_from",)
    return Change("changed" if keys else "same", record, keys)


def _counting(registry: Registry, record: RegistryRecord) -> Version | None:
    history = registry.history(record.type, record.id)
    covering = (one for one in reversed(history) if one.covers(record.valid_from_ns))
    return next(covering, history[-1] if history else None)


def _keep_recorded(known: Data, given: Data) -> Data:
    if isinstance(known, Material) and isinstance(given, Material):
        same = known.certificate is not None and known.certificate == given.certificate
        return replace(
            given,
            received_at_ns=known.received_at_ns if given.received_at_ns is None else given.received_at_ns,
            opened_at_ns=known.opened_at_ns if given.opened_at_ns is None else given.opened_at_ns,
            custody=given.custody or known.custody,
            withdrawn=given.withdrawn or (same and known.withdrawn),
        )
    if isinstance(known, Equipment) and isinstance(given, Equipment):
        before, after = known.metrology, given.metrology
        if before is not None and after is not None and before.certificate == after.certificate:
            withdrawn = after.withdrawn or before.withdrawn
            return replace(given, metrology=replace(after, withdrawn=withdrawn))
    return given


def _differing(before: Any, after: Any, where: str) -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            key
            for name in sorted(before.keys() | after.keys())
            for key in _differing(before.get(name), after.get(name), f"{where}.{name}" if where else name)
        ]
    return [] if before == after else [where]
