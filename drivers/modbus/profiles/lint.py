"""Everything that is wrong or doubtful in a profile, at once, each finding at its line and column."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from config.errors import ConfigInvalid, Report
from config.loader import load_toml
from config.toml_positions import Position, Positions, TomlPath
from config.validation import report_validation_errors
from drivers.modbus.profiles.example import ExampleError, lies_in, mistakes, request_of
from drivers.modbus.profiles.file import Profile
from drivers.registry import DRIVERS

if TYPE_CHECKING:
    from pathlib import Path

    from config.errors import Finding
    from drivers.modbus.channel import ModbusChannel

_INTEGERS = frozenset({"int16", "uint16"})
_NUMBERED = {"input": range(30001, 40000), "holding": range(40001, 50000)}
"""Register numbers by the old convention, by table; protocol addresses of these values are rare."""
_ONE_BASED_MIN = 3
"""Fewer values at odd addresses are no pattern."""


def lint_profile(path: Path) -> tuple[Finding, ...]:
    """Return all findings of a file, in its order."""
    try:
        return load_toml(path, Profile, [lint]).warnings
    except ConfigInvalid as invalid:
        return invalid.findings


def lint(profile: Profile, report: Report) -> None:
    """Report what is wrong with a profile of the right shape."""
    if not profile.profile.source.strip():
        report.error(
            "E062", ("profile", "source"),
            f"'{profile.profile.name}' does not say where its registers are from",
            "name the document, its edition and page; 'typical, not of a product' where there is none",
        )  # fmt: skip
    _check_line(profile, report)
    _check_overlaps(profile, report)
    _check_addresses(profile, report)
    _check_sentinels(profile, report)
    _check_examples(profile, report)


def instrument_of(profile: Profile) -> dict[str, Any]:
    """Return the profile as an `[[instrument]]` table with stand-ins for what only the site knows."""
    table: dict[str, Any] = {"id": profile.profile.name, **profile.line.given()}
    if profile.line.driver in {"modbus-rtu", "modbus-ascii"}:
        table["port"] = "/dev/null"
    else:
        table.setdefault("host", "localhost")
        table.setdefault("port", 502)
    table["channels"] = [channel.model_dump(exclude_unset=True) for channel in profile.channels]
    return table


class _LinePositions(Positions):
    """The positions of a profile for findings about the instrument that is made of it."""

    def __init__(self, whole: Positions) -> None:
        self._whole = whole

    def value(self, path: TomlPath) -> Position:
        """Give the position of the value in the profile."""
        return self._whole.value(self._moved(path))

    def key(self, path: TomlPath) -> Position:
        """Give the position of the key in the profile."""
        return self._whole.key(self._moved(path))

    @staticmethod
    def _moved(path: TomlPath) -> TomlPath:
        return path if path and path[0] in {"channels", "line"} else ("line", *path)


def _check_line(profile: Profile, report: Report) -> None:
    """Let the settings class of the driver judge line and channels."""
    data = instrument_of(profile)
    kind = DRIVERS[profile.line.driver].settings
    try:
        kind.model_validate(data)
    except ValidationError as error:
        report_validation_errors(error, kind, data, report.elsewhere(_LinePositions))


def _check_overlaps(profile: Profile, report: Report) -> None:
    """Find values that share registers in part, and values that are the same one."""
    spans = sorted(
        (channel.table, channel.address, channel.address + channel.registers, position)
        for position, channel in enumerate(profile.channels)
        if channel.bit is None and channel.bits is None and channel.byte is None
    )
    for (table, _, stop, earlier), (next_table, start, _, later) in pairwise(spans):
        if table == next_table and start < stop:
            one, two = profile.channels[earlier], profile.channels[later]
            report.error(
                "E063", ("channels", later, "address"),
                f"'{two.name}' at {two.address} takes registers of '{one.name}', a {one.type} at "
                f"{one.address}",
                f"is the next value at {stop}?",
            )  # fmt: skip


def _check_addresses(profile: Profile, report: Report) -> None:
    """Find addresses that look like register numbers; an example of their table proves how they count."""
    proven = {channel.table for channel in profile.channels if _is_proven(channel, profile)}
    doubtful = [(at, c) for at, c in enumerate(profile.channels) if c.table not in proven]
    numbered = [(at, c) for at, c in doubtful if c.address in _NUMBERED.get(c.table, ())]
    for position, channel in numbered[:1]:
        others = f" and {len(numbered) - 1} more" if len(numbered) > 1 else ""
        first = _NUMBERED[channel.table][0]
        report.warning(
            "E061", ("channels", position, "address"),
            f"{channel.address} of '{channel.name}'{others} looks like a register number",
            f"then its address is {channel.address - first}; an example with the request's bytes settles it",
        )  # fmt: skip
    wide = [(at, c) for at, c in doubtful if c.registers % 2 == 0 and not c.bitwise]
    if len(wide) >= _ONE_BASED_MIN and len(wide) == len(doubtful) and all(c.address % 2 for _, c in wide):
        position, channel = wide[0]
        report.warning(
            "E061", ("channels", position, "address"),
            f"all values lie at odd addresses, '{channel.name}' at {channel.address}: counted from 1?",
            "then subtract 1 from each; an example with the request's bytes settles it",
        )  # fmt: skip


def _is_proven(channel: ModbusChannel, profile: Profile) -> bool:
    for example in profile.examples:
        try:
            block, _ = request_of(example)
        except ExampleError:
            continue
        if lies_in(channel, block):
            return True
    return False


def _check_sentinels(profile: Profile, report: Report) -> None:
    """Find 16-bit numbers that may be 0 and have no code for 'no value'."""
    for position, channel in enumerate(profile.channels):
        may_be_zero = not ((channel.low or 0.0) > 0.0 or (channel.high is not None and channel.high < 0.0))
        told_apart = channel.sentinels or channel.labels or channel.bits is not None
        if channel.type in _INTEGERS and may_be_zero and not told_apart:
            report.warning(
                "E064", ("channels", position), f"'{channel.name}': a failed sensor may read as 0",
                "give sentinels if the document names such a code; else put a flat-line rule on it",
            )  # fmt: skip


def _check_examples(profile: Profile, report: Report) -> None:
    if not profile.examples:
        report.warning(
            "E060", ("channels",), "no example proves this register map",
            "add one [[examples]] table: the bytes of a request and its answer, and the values in it",
        )  # fmt: skip
    for position, example in enumerate(profile.examples):
        for path, message in mistakes(profile.channels, example):
            report.error("E060", ("examples", position, *path), message)
