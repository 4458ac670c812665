"""Checks of sense over the whole site: what no single table can see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from config.errors import Report
from config.validation import report_validation_errors
from drivers.compose import find_conflicts
from pipeline.qc import ChannelQc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.toml_positions import TomlPath
    from gateway.site.model import SiteSettings


def check_instruments(site: SiteSettings, report: Report) -> None:
    """Ids are unique, and instruments that share a line agree on how it is used."""
    for conflict in find_conflicts(site.instrument):
        report.error(
            conflict.code, ("instrument", conflict.position, conflict.key), conflict.message, conflict.hint
        )


def check_purpose(site: SiteSettings, report: Report) -> None:
    """A production journal takes no simulated or replayed source, a rehearsal no live one."""
    for index, instrument in enumerate(site.instrument):
        live = instrument.source == "live"
        if live != (site.site.purpose == "production"):
            report.error(
                "E020", ("instrument", index, "source"),
                f"source '{instrument.source}' of '{instrument.id}' does not belong into a "
                f"{site.site.purpose} journal",
                "set site.purpose to 'rehearsal' for simulators, or the instrument's source to 'live'",
            )  # fmt: skip


def check_ports(site: SiteSettings, report: Report) -> None:
    """Web pages and broker do not claim one port."""
    if site.web.port == site.mqtt.port and site.web.host == site.mqtt.host:
        report.error(
            "E027",
            ("web", "port"),
            f"port {site.web.port} is also the broker's",
            "choose another: [web] port",
        )


class _Within(Report):
    """Reports findings of a nested table at its place in the file."""

    def __init__(self, outer: Report, prefix: TomlPath) -> None:
        self._outer, self._prefix = outer, prefix

    def error(self, code: str, path: Sequence[str | int], message: str, hint: str | None = None) -> None:
        self._outer.error(code, (*self._prefix, *path), message, hint)

    def error_at_key(self, code: str, path: TomlPath, message: str, hint: str | None = None) -> None:
        self._outer.error_at_key(code, (*self._prefix, *path), message, hint)


def channel_qc(table: dict[str, Any]) -> ChannelQc:
    """Read one channel's `qc` table. Raises pydantic.ValidationError; `check_qc` reports it by place."""
    return ChannelQc.model_validate(table)


def check_qc(site: SiteSettings, report: Report) -> None:
    """Every channel's `qc` table names known rules with possible limits."""
    for index, instrument in enumerate(site.instrument):
        for position, channel in enumerate(instrument.channels):
            try:
                channel_qc(channel.qc)
            except ValidationError as error:
                within = _Within(report, ("instrument", index, "channels", position, "qc"))
                report_validation_errors(error, ChannelQc, channel.qc, within)


CHECKS = (check_instruments, check_purpose, check_ports, check_qc)
