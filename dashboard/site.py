"""What the newest `config` record says of the site: instruments, channels, units, limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.store.door import LedgerRow

STALE_INTERVALS = 3
STALE_S_MIN = 10.0
"""Data is stale after three intervals, and never sooner than this: a row is on its way for about a second."""

LIMIT_KEYS = ("fail_low", "suspect_low", "suspect_high", "fail_high")


@dataclass(frozen=True, slots=True)
class ChannelInfo:
    """One channel as configured."""

    name: str
    unit: str = ""
    decimals: int | None = None
    limits: dict[str, float] = field(default_factory=dict)
    """Those of `LIMIT_KEYS` that the gross-range rule has, in `unit`."""
    rules: tuple[str, ...] = ()
    """Tables of the rules that are on."""
    interval_s: float | None = None
    """Time between two readings, of a channel that is read more rarely than its instrument."""


@dataclass(frozen=True, slots=True)
class InstrumentInfo:
    """One instrument as configured."""

    id: str
    driver: str = ""
    interval_s: float | None = None
    """Poll interval; None for an instrument that sends by itself."""
    channels: dict[str, ChannelInfo] = field(default_factory=dict)

    @property
    def stale_after_s(self) -> float:
        """Age of the newest row above which it is stale."""
        return max(STALE_INTERVALS * (self.interval_s or 0.0), STALE_S_MIN)

    def channel_interval_s(self, channel: str) -> float | None:
        """Return the time between two readings of a channel; None where it is not known."""
        known = self.channels.get(channel)
        return self.interval_s if known is None or known.interval_s is None else known.interval_s

    def channel_stale_after_s(self, channel: str) -> float:
        """Age of a channel's newest reading above which it is stale."""
        return max(STALE_INTERVALS * (self.channel_interval_s(channel) or 0.0), STALE_S_MIN)


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """The site as configured; all empty when no `config` record is stored yet."""

    title: str = ""
    purpose: str = ""
    sha256: str = ""
    instruments: dict[str, InstrumentInfo] = field(default_factory=dict)

    def instrument(self, name: str) -> InstrumentInfo:
        """Return an instrument; one that is not configured any more is known by its id only."""
        return self.instruments.get(name) or InstrumentInfo(name)


def _channel(entry: dict[str, Any]) -> ChannelInfo:
    tables = entry.get("qc") or {}
    gross_range = tables.get("range") or {}
    limits = {key: float(gross_range[key]) for key in LIMIT_KEYS if gross_range.get(key) is not None}
    on = tuple(name for name, table in tables.items() if isinstance(table, dict))
    return ChannelInfo(
        entry["name"],
        entry.get("unit") or "",
        entry.get("decimals"),
        limits,
        on,
        entry.get("poll_interval_s"),
    )


def _instrument(entry: dict[str, Any]) -> InstrumentInfo:
    channels = {channel["name"]: _channel(channel) for channel in entry.get("channels", ())}
    return InstrumentInfo(entry["id"], entry.get("driver") or "", entry.get("poll_interval_s"), channels)


def site_of(configs: Iterable[LedgerRow]) -> SiteInfo:
    """Read the newest of some `config` records, newest first, that describes the site."""
    for row in configs:
        site = row.body.get("site")
        if site:
            instruments = {entry["id"]: _instrument(entry) for entry in site.get("instruments", ())}
            return SiteInfo(
                site.get("title") or "", site.get("purpose") or "", row.body.get("sha256") or "", instruments
            )
    return SiteInfo()
