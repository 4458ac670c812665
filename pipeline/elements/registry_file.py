"""Read registry files, TOML or CSV: records without names, and names for the lab-side directory."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from config.errors import ConfigInvalid, Finding, Report
from config.loader import load_toml
from pipeline.elements.codec import to_body
from pipeline.elements.registry_base import EntrySettings, to_ns
from pipeline.elements.registry_csv import TABLES, read_csv
from pipeline.elements.registry_settings import RegistrySettings
from pipeline.elements.vocabulary import RegistryType
from pipeline.records.units import same_unit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from config.toml_positions import Positions, TomlPath

TYPES: tuple[RegistryType, ...] = (
    "person", "equipment", "material", "method", "environment", "correction",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched:
    """A channel of an environment, and where the file says how old its reading may be."""

    environment: str
    target: str
    """instrument.channel."""
    staleness_s: float
    rate_window_s: float | None
    """None where no rate is limited."""
    file: str
    line: int
    col: int


@dataclass(frozen=True, slots=True)
class RegistryImport:
    """Registry files that may be imported."""

    records: list[dict[str, Any]]
    """For the command `registry.import`: {type, id, valid_from_ns | None, valid_to_ns | None, data,
    received_on_import}; no name of a person or customer in it. What has its default is left out of `data`."""
    directory: list[dict[str, str]]
    """For the lab-side directory only: {id, kind: person | customer, name}."""
    warnings: tuple[Finding, ...]
    """What a person should look at, such as certificates that are overdue."""
    places: tuple[tuple[str, int], ...] = ()
    """File and line of each record."""
    watched: tuple[Watched, ...] = ()
    """What the environments say of channels that are read."""


def read_registry(path: Path, now_utc_ns: int | None = None) -> RegistryImport:
    """Read a file by its ending, `.toml` or `.csv`.

    Args:
        path: the file.
        now_utc_ns: with it, certificates and materials that have expired are warned of.

    Raises:
        ConfigInvalid: every finding with file and line; unknown keys are refused.
    """
    if path.suffix.lower() == ".csv":
        settings, report, positions = read_csv(path)
        _check(settings, report, now_utc_ns)
        if any(found.severity == "error" for found in report.findings):
            raise ConfigInvalid(report.findings)
        return _collect(settings, report.findings, path, positions)
    if not path.exists():
        hint = "check the path; an empty one to fill in: yaosu registry template TYPE"
        raise ConfigInvalid([Finding("E001", "error", str(path), None, None, "there is no such file", hint)])
    loaded = load_toml(path, RegistrySettings, [lambda value, report: _check(value, report, now_utc_ns)])
    return _collect(loaded.value, loaded.warnings, path, loaded.positions)


def read_registries(paths: Sequence[Path], now_utc_ns: int | None = None) -> RegistryImport:
    """Read several files as one import: all of them can be taken, or none is.

    Raises:
        ConfigInvalid: the findings of every file, and entries that stand in two of them.
    """
    read = list[RegistryImport]()
    wrong = list[Finding]()
    for path in paths:
        try:
            read.append(read_registry(path, now_utc_ns))
        except ConfigInvalid as invalid:
            wrong += invalid.findings
    wrong += _doubled(read)
    if any(found.severity == "error" for found in wrong):
        raise ConfigInvalid(wrong)
    return RegistryImport(
        [record for one in read for record in one.records],
        [entry for one in read for entry in one.directory],
        tuple(found for one in read for found in one.warnings),
        tuple(place for one in read for place in one.places),
        tuple(watched for one in read for watched in one.watched),
    )


def _doubled(read: list[RegistryImport]) -> Iterator[Finding]:
    """Find entries that an earlier file has for the same time; within a file the file's own check does."""
    seen: dict[tuple[Any, ...], tuple[str, int]] = {}
    for one in read:
        for record, (file, line) in zip(one.records, one.places, strict=True):
            key = record["type"], record["id"], record["valid_from_ns"]
            if key in seen and seen[key][0] != file:
                message = f"{record['type']} '{record['id']}' stands in {seen[key][0]}:{seen[key][1]} too"
                yield Finding("E021", "error", file, line, 1, message, "leave it in one of the two")
            seen.setdefault(key, (file, line))


def _entries(settings: RegistrySettings) -> Iterator[tuple[RegistryType, int, EntrySettings]]:
    for name in TYPES:
        for position, entry in enumerate(getattr(settings, name)):
            yield name, position, entry


def _collect(
    settings: RegistrySettings, warnings: tuple[Finding, ...], path: Path, positions: Positions
) -> RegistryImport:
    records, places = [], []
    for name, position, entry in _entries(settings):
        shaped: Any = entry
        records.append({
            "type": name,
            "id": entry.id,
            "valid_from_ns": to_ns(entry.valid_from or settings.valid_from),
            "valid_to_ns": to_ns(entry.valid_to),
            "data": _without_defaults(shaped.shape()),
            "received_on_import": bool(getattr(entry, "received_on_import", False)),
        })  # fmt: skip
        places.append((str(path), positions.value((name, position)).line))
    directory = [{"id": person.id, "kind": "person", "name": person.name} for person in settings.person]
    directory += [{"id": one.id, "kind": "customer", "name": one.name} for one in settings.customer]
    watched = tuple(_watched(settings, path, positions))
    return RegistryImport(records, directory, warnings, tuple(places), watched)


def _watched(settings: RegistrySettings, path: Path, positions: Positions) -> Iterator[Watched]:
    for at, environment in enumerate(settings.environment):
        for number, one in enumerate(environment.channels):
            place = positions.value(("environment", at, "channels", number, "staleness_s"))
            yield Watched(
                environment.id, one.target, one.staleness_s,
                one.rate_window_s if one.rate_max_per_h is not None else None,
                str(path), place.line, place.col,
            )  # fmt: skip


def _without_defaults(value: Any) -> Any:
    """Give the body of a shape without what has its default: 10,000 entries must fit into one command."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _without_defaults(getattr(value, field.name))
            for field in fields(value)
            if field.default is MISSING or getattr(value, field.name) != field.default
        }
    if isinstance(value, tuple):
        return [_without_defaults(item) for item in value]
    return to_body(value)


def _check(settings: RegistrySettings, report: Report, now_utc_ns: int | None) -> None:
    """Look for contradictions that no single table can see."""
    _check_ids(settings, report)
    for name, position, entry in _entries(settings):
        path: TomlPath = (name, position)
        valid_from = entry.valid_from or settings.valid_from
        if valid_from is not None and entry.valid_to is not None and entry.valid_to <= valid_from:
            report.error("E024", (*path, "valid_to"), "it ends before it begins", "is the year right?")
        _check_limits(entry, path, report)
    for position, material in enumerate(settings.material):
        if material.received_on_import and material.received_at is not None:
            where = ("material", position, "received_on_import")
            report.error("E020", where, "received_at is given too", "give one of the two")
    _check_corrections(settings, report)
    if now_utc_ns is not None:
        _check_expired(settings, report, now_utc_ns)


def _check_corrections(settings: RegistrySettings, report: Report) -> None:
    """Hold corrections against the certificates of assets in the same file; others stand in the registry."""
    certificates = {one.id: one.metrology for one in settings.equipment if one.metrology is not None}
    for position, one in enumerate(settings.correction):
        metrology = certificates.get(one.equipment)
        if metrology is None:
            continue
        if metrology.certificate != one.certificate:
            told = f"the certificate of '{one.equipment}' is {metrology.certificate}, not {one.certificate}"
            hint = "a correction goes with its certificate: nothing would be corrected"
            report.error("E020", ("correction", position, "certificate"), told, hint)
            continue
        stated = next((c.unit for c in metrology.channels if c.channel == one.channel and c.unit), one.unit)
        if not same_unit(stated, one.unit):
            told = f"the channel '{one.channel}' is in '{stated}', the correction in '{one.unit}'"
            hint = "write its figures in the unit of the readings: nothing else would be corrected"
            report.error("E020", ("correction", position, "unit"), told, hint)
        elif not any((c.channel, c.correction) == (one.channel, one.id) for c in metrology.channels):
            told = f"channel '{one.channel}' of '{one.equipment}' does not name '{one.id}': it is not applied"
            report.warning("E025", ("correction", position, "id"), told)


def _check_ids(settings: RegistrySettings, report: Report) -> None:
    for name in TABLES:
        seen: set[tuple[str, object]] = set()
        for position, entry in enumerate(getattr(settings, name)):
            # One id may stand several times for spans of time that follow one another.
            key = (entry.id, getattr(entry, "valid_from", None))
            if key in seen:
                report.error("E021", (name, position, "id"), f"{name} '{entry.id}' is there already")
            seen.add(key)


def _check_limits(table: BaseModel, path: TomlPath, report: Report) -> None:
    """Find every low above its high, however deep."""
    low, high = getattr(table, "low", None), getattr(table, "high", None)
    if low is not None and high is not None and low > high:
        report.error("E023", (*path, "low"), f"low {low} is above high {high}", "swap them")
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            _check_limits(value, (*path, name), report)
        elif isinstance(value, tuple):
            for position, item in enumerate(value):
                if isinstance(item, BaseModel):
                    _check_limits(item, (*path, name, position), report)


def _check_expired(settings: RegistrySettings, report: Report, now_utc_ns: int) -> None:
    for position, equipment in enumerate(settings.equipment):
        due_ns = None if equipment.metrology is None else to_ns(equipment.metrology.due)
        if due_ns is not None and due_ns < now_utc_ns:
            where = ("equipment", position, "metrology", "due")
            report.warning("E024", where, f"the certificate of '{equipment.id}' is overdue")
    for position, material in enumerate(settings.material):
        expiry_ns = to_ns(material.expiry)
        if expiry_ns is not None and expiry_ns <= now_utc_ns:
            report.warning("E024", ("material", position, "expiry"), f"'{material.id}' has expired")
