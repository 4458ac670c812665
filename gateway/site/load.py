"""Read a site file and resolve what depends on where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from config import ConfigInvalid, load_toml
from gateway.edge.state import StateFolder
from gateway.site.checks import channel_qc, check_site
from gateway.site.hidden import hidden_findings
from gateway.site.model import SiteSettings
from pipeline.qc.crossing import Crossings
from pipeline.qc.table import window_bytes
from pipeline.store import EmbeddedStoreSettings

if TYPE_CHECKING:
    from pathlib import Path

    from config import Finding
    from pipeline.qc import ChannelQc
    from pipeline.records.envelope import Body
    from pipeline.store import StoreSettings

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
        """Rules by instrument and channel; what is equal is shared: of many devices most are alike."""
        read: dict[str, ChannelQc] = {}

        def rules(table: dict[str, Any]) -> ChannelQc:
            written = repr(table)
            if written not in read:
                read[written] = channel_qc(table)
            return read[written]

        found: dict[str, dict[str, ChannelQc]] = {}
        before: dict[str, ChannelQc] = {}
        for instrument in self.settings.instrument:
            mine = {channel.name: rules(channel.qc) for channel in instrument.channels}
            found[instrument.id] = before = before if mine == before else mine
        return found

    def intervals_s(self) -> dict[str, float]:
        """Poll interval of each instrument."""
        return {i.id: i.poll_interval_s for i in self.settings.instrument}

    def windows_bytes(self) -> int:
        """Most memory that windows of rules and readings held for comparisons may take."""
        rules, intervals_s = self.qc(), self.intervals_s()
        windows = sum(
            window_bytes(qc, intervals_s[instrument])
            for instrument, channels in rules.items()
            for qc in channels.values()
        )
        return windows + Crossings(rules, intervals_s.__getitem__).memory_bytes()

    def summary(self) -> Body:
        """What the `config` record says of the site: instruments, channels, units, limits; never a secret."""
        intervals_s = self.intervals_s()
        return {
            "lab": self.settings.site.lab,
            "gateway": self.settings.site.gateway,
            "title": self.settings.site.title,
            "purpose": self.settings.site.purpose,
            "instruments": [
                {
                    "id": instrument.id,
                    "driver": instrument.driver,
                    "source": instrument.source,
                    "asset": instrument.asset,
                    "serial_number": instrument.serial_number,
                    "poll_interval_s": intervals_s[instrument.id],
                    "channels": [
                        {
                            "name": c.name,
                            "unit": c.unit,
                            "decimals": c.decimals,
                            "low": c.low,
                            "high": c.high,
                            "qc": recorded_rules(c.qc),
                        }
                        for c in instrument.channels
                    ],
                }
                for instrument in self.settings.instrument
            ],
        }


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
    return LoadedSite(loaded.value, loaded.sha256, loaded.path, loaded.warnings)
