"""Read a site file and resolve what depends on where it lies."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgpack

from config import ConfigInvalid, Finding, load_toml
from gateway.edge.state import StateFolder
from gateway.site.checks import check_site, interval_of, intervals_s, rules_of
from gateway.site.hidden import hidden_findings
from gateway.site.model import SiteSettings
from pipeline.journal.framing import RECORD_BYTES_MAX
from pipeline.qc.crossing import Crossings
from pipeline.qc.table import window_bytes
from pipeline.store import EmbeddedStoreSettings

if TYPE_CHECKING:
    from pathlib import Path

    from config import Loaded
    from drivers.settings import PolledSettings
    from pipeline.qc import ChannelQc
    from pipeline.records.envelope import Body
    from pipeline.store import StoreSettings

SMALL_BYTES = 4 * 2**20
"""What a file below this size says fits into one record of the journal."""
ENVELOPE_BYTES = 1024
"""Room for what the record of a start says beside the site."""
UNREADABLE = frozenset({"E001", "E002", "E003"})
"""Findings of a file that is no TOML: there is nothing more to find."""


def recorded_rules(table: Any) -> Any:
    """Give the rules of a channel as a record can hold them: points in time as text (ISO 8601)."""
    if isinstance(table, dict):
        return {key: recorded_rules(value) for key, value in table.items()}
    return table.isoformat() if isinstance(table, datetime) else table


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A site file that may be used."""

    settings: SiteSettings
    sha256: str
    path: Path
    warnings: tuple[Finding, ...]

    @property
    def state(self) -> StateFolder:
        """The state folder; a relative one counts from the file's folder."""
        return StateFolder((self.path.parent / self.settings.site.state_dir).resolve())

    @property
    def store(self) -> StoreSettings:
        """The store; embedded in the state folder when the file names none, relative paths as above."""
        store = self.settings.store
        if store is None:
            return EmbeddedStoreSettings(kind="embedded", path=self.state.root / "store.sqlite")
        if isinstance(store, EmbeddedStoreSettings):
            return store.model_copy(update={"path": (self.path.parent / store.path).resolve()})
        return store

    def qc(self) -> dict[str, dict[str, ChannelQc]]:
        """Rules by instrument and channel; instruments that share their channels share these too."""
        return rules_of(self.settings.instrument)

    def intervals_s(self) -> dict[str, float]:
        """Poll interval of each instrument, and of each channel (`instrument.channel`) that has its own."""
        return intervals_s(self.settings.instrument)

    def windows_bytes(self) -> int:
        """Most memory that windows of rules and readings held for comparisons may take."""
        rules, intervals_s = self.qc(), self.intervals_s()
        windows = sum(
            window_bytes(qc, interval_of(intervals_s, instrument, name))
            for instrument, channels in rules.items()
            for name, qc in channels.items()
        )
        return windows + Crossings(rules, partial(interval_of, intervals_s)).memory_bytes()

    def summary(self) -> Body:
        """What the `config` record says of the site: instruments, channels, units, limits; never a secret."""
        intervals_s = self.intervals_s()
        kinds: dict[tuple[int, float], list[Body]] = {}

        def channels(instrument: PolledSettings) -> list[Body]:
            """Describe an instrument's channels; instruments that share them share what is said of them."""
            kind = id(instrument.channels), instrument.poll_interval_s
            if kind not in kinds:
                kinds[kind] = _channels(instrument)
            return kinds[kind]

        return {
            "lab": self.settings.site.lab,
            "gateway": self.settings.site.gateway,
            "title": self.settings.site.title,
            "purpose": self.settings.site.purpose,
            # So that whoever has the records can count with the weights that were in force.
            "risk": self.settings.elements.risk.model_dump(mode="json"),
            "instruments": [
                {
                    "id": instrument.id,
                    "driver": instrument.driver,
                    "source": instrument.source,
                    "asset": instrument.asset,
                    "serial_number": instrument.serial_number,
                    "poll_interval_s": intervals_s[instrument.id],
                    "channels": channels(instrument),
                }
                for instrument in self.settings.instrument
            ],
        }


def _channels(instrument: PolledSettings) -> list[Body]:
    """What the `config` record says of the channels: only what is stated, so that 100,000 find room in it."""
    rarer_s = instrument.rarer_s
    return [
        {
            "name": c.name,
            "unit": c.unit,
            **{
                key: value
                for key, value in (
                    ("decimals", c.decimals), ("low", c.low), ("high", c.high),
                    ("poll_interval_s", rarer_s.get(c.name)),
                )
                if value is not None
            },
            "qc": recorded_rules(c.qc),
        }
        for c in instrument.channels
    ]  # fmt: skip


def _check_record(loaded: Loaded[SiteSettings]) -> None:
    """Find a site that is too large for the `config` record of its start. Raises config.ConfigInvalid."""
    if loaded.path.stat().st_size < SMALL_BYTES:
        return
    site = LoadedSite(loaded.value, loaded.sha256, loaded.path, loaded.warnings)
    size = len(msgpack.packb(site.summary()))
    room = RECORD_BYTES_MAX - ENVELOPE_BYTES
    if size > room:
        channels = sum(len(instrument.channels) for instrument in loaded.value.instrument)
        message = (
            f"what is recorded at a start of these {channels:,} channels takes {size / 2**20:.1f} MiB, "
            f"a record holds at most {RECORD_BYTES_MAX / 2**20:g}"
        )
        hint = f"about {channels * room // size:,} like these fit: divide the instruments among "
        hint += f"{-(-size // room)} gateways"
        raise ConfigInvalid([Finding("E013", "error", str(loaded.path), None, None, message, hint)])


def load_site(path: Path) -> LoadedSite:
    """Read and check a site file. Raises config.ConfigInvalid with every finding, of shape and of sense."""
    try:
        loaded = load_toml(path, SiteSettings, [check_site])
    except ConfigInvalid as invalid:
        if any(finding.code in UNREADABLE for finding in invalid.findings):
            raise
        # One mistake is told once, in the words of the loader, which knows the whole file.
        told = {(found.code, found.line, found.col) for found in invalid.findings}
        more = [f for f in hidden_findings(path) if (f.code, f.line, f.col) not in told]
        raise ConfigInvalid([*invalid.findings, *dict.fromkeys(more)]) from None
    _check_record(loaded)
    packed, sha256, warnings = pickle.dumps(loaded.value), loaded.sha256, loaded.warnings
    # What stays was allocated among what reading a long file left behind, and would keep most of its memory
    # from the system: it is let go of whole, and made again in one place.
    del loaded
    settings: SiteSettings = pickle.loads(packed)  # noqa: S301 - made five lines above
    return LoadedSite(settings, sha256, path, warnings)
