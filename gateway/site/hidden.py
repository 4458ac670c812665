"""Findings of sense in a file whose shape is wrong, so that one run of `yaosu check` tells them all.

The loader checks sense only once every key and type is right. Here the sound parts of a wrong file are
checked on their own: instruments without the keys that were found wrong, and every channel's rules.
"""

from __future__ import annotations

import copy
import tomllib
from collections import Counter
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from config.errors import Finding, Report
from config.shapes import locate
from config.toml_positions import index_positions
from config.validation import report_validation_errors
from dashboard.settings import WebSettings
from drivers.registry import DRIVERS
from drivers.settings import PolledSettings
from gateway.site import checks
from pipeline.mqtt import MqttSettings
from pipeline.records.envelope import Purpose

if TYPE_CHECKING:
    from pathlib import Path

    from config.model import Settings
    from config.toml_positions import TomlPath
    from gateway.site.checks import Placed

ROUNDS_MAX = 3
"""Taking a wrong key away can uncover another mistake; more than two layers are left for the next run."""


def hidden_findings(path: Path) -> tuple[Finding, ...]:
    """Check what can be checked of a file that was found to be TOML of the wrong shape. Raises OSError."""
    text = path.read_text(encoding="utf-8-sig")
    data = tomllib.loads(text)
    report = Report(str(path), index_positions(text))
    tables = data.get("instrument")
    entries = [
        (index, table)
        for index, table in enumerate(tables if isinstance(tables, list) else ())
        if isinstance(table, dict)
    ]
    placed = [found for index, table in entries for found in _sound(index, table, report)]
    checks.check_instruments(placed, report)
    checks.check_loads(placed, report)
    checks.check_busiest(placed, report)
    site = data.get("site")
    purpose = site.get("purpose", "production") if isinstance(site, dict) else None
    if isinstance(purpose, str) and purpose in get_args(Purpose):
        checks.check_purpose(purpose, placed, report)
    web, mqtt = _table(WebSettings, data, "web"), _table(MqttSettings, data, "mqtt")
    if isinstance(web, WebSettings) and isinstance(mqtt, MqttSettings):
        checks.check_ports(web, mqtt, report)
    for index, table in entries:
        _check_channels(index, table, report)
    return report.findings


def _table(model: type[Settings], data: dict[str, Any], name: str) -> Settings | None:
    try:
        return model.model_validate(data.get(name, {}))
    except ValidationError:
        return None


def _sound(index: int, table: dict[str, Any], report: Report) -> list[Placed]:
    """Take wrong keys out of an instrument until it has the right shape; nothing where that is not enough.

    Mistakes that only then come to light are reported; the first ones the loader has reported.
    """
    kind = DRIVERS.get(str(table.get("driver")))
    if kind is None:
        return []
    model, rest = kind.settings, copy.deepcopy(table)
    taken: set[TomlPath] = set()
    for turn in range(ROUNDS_MAX):
        try:
            settings = model.model_validate(rest)
        except ValidationError as error:
            if turn:
                place = ("instrument", index)
                within = checks.Within(report, place, skip=frozenset(taken))
                report_validation_errors(error, model, rest, within)
            wrong = [
                locate(model, details["loc"]).path
                for details in error.errors()
                if details["type"] != "missing"
            ]
            taken |= {path for path in wrong if _take(rest, path)}
        else:
            return _placed(index, settings)
    # What stands against one another is looked for in the line settings: any one sound channel will do.
    channels = rest.get("channels")
    for channel in channels if isinstance(channels, list) else ():
        try:
            return _placed(index, model.model_validate({**rest, "channels": [channel]}))
        except ValidationError:
            continue
    return []


def _placed(index: int, settings: Settings) -> list[Placed]:
    return [(index, settings)] if isinstance(settings, PolledSettings) else []


def _take(table: dict[str, Any], path: TomlPath) -> bool:
    """Remove the value that a path ends at; an element of an array stays, as others are counted by it."""
    inner: Any = table
    for step in path[:-1]:
        inner = inner[step]
    if not path or not isinstance(inner, dict) or path[-1] not in inner:
        return False
    del inner[path[-1]]
    return True


def _check_channels(index: int, table: dict[str, Any], report: Report) -> None:
    # The default interval is not taken: the key may be there, misspelt.
    given = table.get("poll_interval_s")
    interval_s = float(given) if checks.is_number(given) and given > 0 else None
    tables = table.get("channels")
    channels = [
        (position, channel)
        for position, channel in enumerate(tables if isinstance(tables, list) else ())
        if isinstance(channel, dict)
    ]
    names = [channel["name"] for _, channel in channels if isinstance(channel.get("name"), str)]
    if twice := [name for name, number in Counter(names).items() if number > 1]:
        message = f"channel '{twice[0]}' is defined twice"
        report.error("E021", ("instrument", index, "channels"), message, "rename one of them")
    for position, channel in channels:
        qc = channel.get("qc")
        if isinstance(qc, dict):
            place = ("instrument", index, "channels", position)
            own = channel.get("poll_interval_s")
            seldom_s = float(own) if checks.is_number(own) and own > 0 else interval_s
            checks.check_qc(qc, seldom_s, (*place, "qc"), report)
            checks.check_reach(place, channel.get("low"), channel.get("high"), qc, report)
