"""The registry with its history: what was valid at an instant, as known then (at a seq) and as known now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgpack

from pipeline.corrections import Correction
from pipeline.elements.codec import MalformedBody, from_body
from pipeline.elements.registry_shapes import (
    SHAPES,
    Data,
    Environment,
    EnvironmentChannel,
    Equipment,
    Material,
    Method,
    Person,
    RegistryRecord,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.elements.vocabulary import RegistryType
    from pipeline.records.envelope import Body

D = TypeVar("D", Person, Equipment, Material, Method, Environment, Correction)


@dataclass(frozen=True, slots=True)
class Version:
    """One registry record, with the seq under which it became known."""

    seq: int
    record: RegistryRecord
    data: Data
    packed: bytes
    """The record's body in msgpack, made once: snapshots of a large registry must not hold anything up."""

    def covers(self, t_utc_ns: int) -> bool:
        """Tell whether this version speaks of an instant."""
        end_ns = self.record.valid_to_ns
        return self.record.valid_from_ns <= t_utc_ns and (end_ns is None or t_utc_ns < end_ns)


@dataclass(slots=True)
class Registry:
    """Every registry record consumed so far. Grows with the registry, not with time; thread-safe: no."""

    _versions: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    _by_instrument: dict[str, list[str]] = field(default_factory=dict)
    _by_badge: dict[str, list[str]] = field(default_factory=dict)
    _corrections: dict[str, list[str]] = field(default_factory=dict)
    """Asset to the corrections that were ever registered for it."""
    changes: int = 0
    """Records of equipment and corrections so far: what is in force for readings may change with each."""
    _air: dict[str, dict[str, EnvironmentChannel]] = field(default_factory=dict)
    _air_targets: dict[str, list[str]] = field(default_factory=dict)

    def add(self, seq: int, body: Body) -> RegistryRecord:
        """Take a record in.

        Raises:
            MalformedBody: the body, or the data in it, is not of its shape; nothing was taken in.
        """
        record = from_body(RegistryRecord, body)
        data = from_body(SHAPES[record.type], record.data)
        problem = data.problem() if isinstance(data, Correction) else None
        if problem is not None:
            raise MalformedBody(f"correction {record.id}: {problem}")
        self._versions.setdefault((record.type, record.id), []).append(
            Version(seq, record, data, msgpack.packb(body, use_bin_type=True))
        )
        if isinstance(data, Environment):
            self._watch_air(record.id, data)
        if isinstance(data, Equipment | Correction):
            self.changes += 1
        if isinstance(data, Correction):
            _note(self._corrections, data.equipment, record.id)
        elif isinstance(data, Equipment):
            _note(self._by_instrument, data.instrument, record.id)
        elif isinstance(data, Person) and data.badge is not None:
            _note(self._by_badge, data.badge, record.id)
        return record

    def at(
        self, cls: type[D], entry_id: str, t_utc_ns: int, known_at_seq: int | None = None
    ) -> tuple[D, Version] | None:
        """Give an entry as it was at an instant; of versions that speak of it, the latest known counts."""
        for version in reversed(self._versions.get((_TYPES[cls], entry_id), ())):
            if (known_at_seq is None or version.seq <= known_at_seq) and version.covers(t_utc_ns):
                return (version.data, version) if isinstance(version.data, cls) else None
        return None

    def knows(self, entry_type: RegistryType, entry_id: str) -> bool:
        """Tell whether there is any record of an entry, valid now or not."""
        return (entry_type, entry_id) in self._versions

    def instants(
        self, entry_type: RegistryType, entry_id: str, from_utc_ns: int, to_utc_ns: int
    ) -> list[int]:
        """List the instants of a window at which an entry may change: its ends and borders of validity."""
        borders = {from_utc_ns, to_utc_ns}
        for version in self._versions.get((entry_type, entry_id), ()):
            for border_ns in (version.record.valid_from_ns, version.record.valid_to_ns):
                if border_ns is not None and from_utc_ns < border_ns < to_utc_ns:
                    borders.add(border_ns)
        return sorted(borders)

    def equipment_of(self, instrument: str, t_utc_ns: int) -> tuple[str, Equipment, Version] | None:
        """Find the asset that is this instrument of the gateway at an instant."""
        for entry_id in reversed(self._by_instrument.get(instrument, ())):
            found = self.at(Equipment, entry_id, t_utc_ns)
            if found is not None and found[0].instrument == instrument:
                return entry_id, found[0], found[1]
        return None

    def equipment_instants(self, instrument: str, from_utc_ns: int, to_utc_ns: int) -> list[int]:
        """List the instants of a window at which the asset behind an instrument may change."""
        borders = {from_utc_ns, to_utc_ns}
        for entry_id in self._by_instrument.get(instrument, ()):
            borders.update(self.instants("equipment", entry_id, from_utc_ns, to_utc_ns))
        return sorted(borders)

    def corrections_of(self, instrument: str) -> list[str]:
        """List the corrections ever registered for the assets that were this instrument at any time."""
        assets = self._by_instrument.get(instrument, ())
        return [entry_id for asset in assets for entry_id in self._corrections.get(asset, ())]

    def instruments_of(self, asset: str) -> set[str]:
        """List the instruments of the gateway that an asset ever was."""
        versions = self._versions.get(("equipment", asset), ())
        return {version.data.instrument for version in versions if isinstance(version.data, Equipment)}

    def _watch_air(self, environment: str, data: Environment) -> None:
        for target in self._air_targets.get(environment, ()):
            self._air.get(target.partition(".")[0], {}).pop(target, None)
        self._air_targets[environment] = [channel.target for channel in data.channels]
        for channel in data.channels:
            self._air.setdefault(channel.target.partition(".")[0], {})[channel.target] = channel

    def air_of(self, instrument: str) -> dict[str, EnvironmentChannel]:
        """Give the environment channels that an instrument reads, with the limits known last."""
        return self._air.get(instrument, _NOTHING)

    def person_of_badge(self, badge: str, t_utc_ns: int) -> str | None:
        """Find whose badge this is at an instant."""
        for entry_id in reversed(self._by_badge.get(badge, ())):
            found = self.at(Person, entry_id, t_utc_ns)
            if found is not None and found[0].badge == badge:
                return entry_id
        return None

    def ids(self, entry_type: RegistryType) -> list[str]:
        """List the ids of one type, sorted."""
        return sorted(entry_id for kind, entry_id in self._versions if kind == entry_type)

    def history(self, entry_type: RegistryType, entry_id: str) -> list[Version]:
        """List every version of an entry in the order in which they became known."""
        return list(self._versions.get((entry_type, entry_id), ()))

    def versions(self) -> Iterator[Version]:
        """Iterate over every version of every entry."""
        for versions in self._versions.values():
            yield from versions


_NOTHING: dict[str, EnvironmentChannel] = {}
_TYPES: dict[type[Data], RegistryType] = {shape: name for name, shape in SHAPES.items()}


def _note(index: dict[str, list[str]], key: str, entry_id: str) -> None:
    known = index.setdefault(key, [])
    if entry_id in known:
        known.remove(entry_id)
    known.append(entry_id)  # the latest recorded is looked at first
