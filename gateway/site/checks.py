"""Checks of sense over the whole site: what no single table can see.

Each check takes only the parts that it needs, so that a mistake in one table does not hide those of others.
`check_site` runs them over a site of the right shape, `gateway.site.hidden` over what is sound of another.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

from pydantic import ValidationError

from config.errors import Report
from config.validation import report_validation_errors
from drivers.compose import find_conflicts, line_loads
from gateway.site.model import REHEARSAL_SUFFIX
from pipeline.qc import ChannelQc
from pipeline.qc.crossing import problems
from pipeline.qc.table import check_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from config.toml_positions import TomlPath
    from dashboard.settings import WebSettings
    from drivers.settings import InstrumentSettings, PolledSettings
    from gateway.site.model import SiteSettings
    from pipeline.mqtt import MqttSettings

LOAD_MAX = 0.7
"""Share of its time beyond which a line has no room for repeated requests."""
Placed = tuple[int, "PolledSettings"]
"""Position of an instrument in the file, and its settings."""


class Within(Report):
    """Reports findings of a nested table at its place in the file."""

    def __init__(self, outer: Report, prefix: TomlPath, *, skip: frozenset[TomlPath] = frozenset()) -> None:
        """Report into `outer` under `prefix`; findings at the paths of `skip` are dropped."""
        self._outer, self._prefix, self._skip = outer, prefix, skip

    def error(self, code: str, path: Sequence[str | int], message: str, hint: str | None = None) -> None:
        """Report an error of the nested table."""
        if tuple(path) not in self._skip:
            self._outer.error(code, (*self._prefix, *path), message, hint)

    def error_at_key(self, code: str, path: TomlPath, message: str, hint: str | None = None) -> None:
        """Report an error of a key of the nested table."""
        if tuple(path) not in self._skip:
            self._outer.error_at_key(code, (*self._prefix, *path), message, hint)


def check_instruments(instruments: Sequence[Placed], report: Report) -> None:
    """Ids are unique, and instruments that share a line agree on how it is used."""
    for conflict in find_conflicts([instrument for _, instrument in instruments]):
        place = ("instrument", instruments[conflict.position][0], conflict.key)
        report.error(conflict.code, place, conflict.message, conflict.hint)


def check_loads(instruments: Sequence[Placed], report: Report) -> None:
    """No line is asked for more than it can carry."""
    for load in line_loads([instrument for _, instrument in instruments]):
        if not load.timed or load.share <= LOAD_MAX:
            continue
        place = ("instrument", instruments[load.positions[-1]][0], "poll_interval_s")
        hint = "poll less often, read fewer values, raise the baud rate, or use a second line"
        if load.share > 1:
            report.error("E040", place, f"the line cannot carry this plan: {load}", hint)
        else:
            report.warning("E040", place, f"the line is nearly full: {load}", hint)


def check_busiest(instruments: Sequence[Placed], report: Report) -> None:
    """Every poll ends before the next one is due, the one with the most rare values too."""
    for index, instrument in instruments:
        if not (instrument.timed_line and instrument.rarer_s):
            continue
        busiest_s, interval_s = instrument.busiest_s, instrument.poll_interval_s
        if busiest_s > interval_s:
            report.error(
                "E040", ("instrument", index, "poll_interval_s"),
                f"the busiest poll of '{instrument.id}' takes {busiest_s:.3g} s of {interval_s:g} s, with "
                "the values that are read more rarely",
                "poll less often, or give the values more different intervals",
            )  # fmt: skip


def check_purpose(purpose: str, instruments: Sequence[Placed], report: Report) -> None:
    """A production journal takes no simulated or replayed source, a rehearsal no live one."""
    for index, instrument in instruments:
        if (instrument.source == "live") != (purpose == "production"):
            hint = (
                'write source = "simulated" in this instrument, or purpose = "production" in [site]'
                if instrument.source == "live"
                else 'write purpose = "rehearsal" in [site]; for a real instrument, leave its source out'
            )
            report.error(
                "E020", ("instrument", index, "source"),
                f"source '{instrument.source}' of '{instrument.id}' does not belong into a {purpose} journal",
                hint,
            )  # fmt: skip


def check_name(gateway: str, report: Report) -> None:
    """No gateway has a name under which another one publishes its rehearsal journal."""
    if gateway.endswith(REHEARSAL_SUFFIX):
        of = gateway.removesuffix(REHEARSAL_SUFFIX)
        report.error(
            "E020", ("site", "gateway"),
            f"a name ending in '{REHEARSAL_SUFFIX}' is that of the rehearsal journal beside gateway '{of}'",
            "choose another name",
        )  # fmt: skip


def check_ports(web: WebSettings, mqtt: MqttSettings, report: Report) -> None:
    """Web pages and broker do not claim one port."""
    if web.port == mqtt.port and web.host == mqtt.host:
        report.error(
            "E027", ("web", "port"), f"port {web.port} is also the broker's", "choose another: [web] port"
        )


def channel_qc(table: Mapping[str, Any]) -> ChannelQc:
    """Read one channel's `qc` table. Raises pydantic.ValidationError; `check_qc` reports it by place."""
    return ChannelQc.model_validate(table)


def rules_of(instruments: Iterable[InstrumentSettings]) -> dict[str, dict[str, ChannelQc]]:
    """Read the rules of channels, by instrument and channel: equal tables once, shared channels once.

    Raises:
        pydantic.ValidationError: a table is none; `check_qc` reports it by place.
    """
    read: dict[str, ChannelQc] = {}
    kinds: dict[int, dict[str, ChannelQc]] = {}
    found: dict[str, dict[str, ChannelQc]] = {}
    for instrument in instruments:
        kind = id(instrument.channels)
        if kind not in kinds:
            mine = kinds[kind] = {}
            for channel in instrument.channels:
                written = repr(channel.qc)
                if written not in read:
                    read[written] = channel_qc(channel.qc)
                mine[channel.name] = read[written]
        found[instrument.id] = kinds[kind]
    return found


def check_qc(table: dict[str, Any], interval_s: float | None, place: TomlPath, report: Report) -> None:
    """A channel's `qc` table names known rules, with limits and durations that its polls can satisfy.

    Args:
        table: as it stands in the file.
        interval_s: poll interval of the instrument, None where the file does not say a usable one.
        place: path of the table.
        report: takes the findings.
    """
    try:
        qc = channel_qc(table)
    except ValidationError as error:
        report_validation_errors(error, ChannelQc, table, Within(report, place))
        return
    if interval_s is None:
        return
    try:
        check_windows(qc, interval_s)
    except ValueError as error:
        report.error("E023", place, str(error))
    for rule, key, value, what in _too_short(qc, interval_s):
        report.warning(
            "E020", (*place, rule, key),
            f"{key} of '{rule}' ({value:g} s) is shorter than the poll interval of {interval_s:g} s: {what}",
            f"make {key} longer than the interval, several times as a rule",
        )  # fmt: skip


_TOO_SHORT = {
    "max_gap_s": "the rule could never be evaluated",
    "window_s": "a window would never hold two readings",
    "duration_s": "two readings would be enough",
    "suspect_s": "two readings would be enough",
    "fail_s": "two readings would be enough",
    "interval_s": "every reading would be missing or late",
}
"""Durations of rules, and what comes of one below the poll interval."""


def _too_short(qc: ChannelQc, interval_s: float) -> Iterator[tuple[str, str, float, str]]:
    """Find durations below the poll interval: (rule, key, its value, what comes of it)."""
    for rule in type(qc).model_fields:
        settings = getattr(qc, rule)
        for key, what in _TOO_SHORT.items():
            value = getattr(settings, key, None)
            if value is not None and value < interval_s:
                yield rule, key, value, what


def check_reach(channel_place: TomlPath, low: Any, high: Any, table: dict[str, Any], report: Report) -> None:
    """The limits of the range rule leave something of the channel's measuring range."""
    limits = table.get("range")
    if not isinstance(limits, dict):
        return
    for key, beyond in _limits_out_of_reach(limits, low, high):
        report.error(
            "E023", (*channel_place, "qc", "range", key),
            f"{key} = {limits[key]} leaves nothing of the measuring range, {beyond}",
            "correct the limit, or low and high of the channel",
        )  # fmt: skip


def _limits_out_of_reach(limits: dict[str, Any], low: Any, high: Any) -> Iterator[tuple[str, str]]:
    for key in ("fail_low", "suspect_low"):
        if is_number(limits.get(key)) and is_number(high) and limits[key] > high:
            yield key, f"which ends at high = {high}"
    for key in ("fail_high", "suspect_high"):
        if is_number(limits.get(key)) and is_number(low) and limits[key] < low:
            yield key, f"which begins at low = {low}"


def is_number(value: Any) -> TypeGuard[float]:
    """Tell whether a value of a TOML file is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def intervals_s(instruments: Iterable[PolledSettings]) -> dict[str, float]:
    """Poll interval of each instrument, and of each channel (`instrument.channel`) that has its own."""
    found: dict[str, float] = {}
    for instrument in instruments:
        found[instrument.id] = instrument.poll_interval_s
        found |= {f"{instrument.id}.{name}": own_s for name, own_s in instrument.rarer_s.items()}
    return found


def interval_of(intervals: Mapping[str, float], instrument: str, channel: str) -> float:
    """Look up the interval between two readings of a channel in what `intervals_s` gave."""
    return intervals.get(f"{instrument}.{channel}", intervals[instrument])


def check_channels(instrument: PolledSettings, index: int, report: Report) -> None:
    """Check the rules of every channel of an instrument."""
    rarer_s = instrument.rarer_s
    for position, channel in enumerate(instrument.channels):
        place = ("instrument", index, "channels", position)
        interval_s = rarer_s.get(channel.name, instrument.poll_interval_s)
        check_qc(channel.qc, interval_s, (*place, "qc"), report)
        check_reach(place, channel.low, channel.high, channel.qc, report)


def check_comparisons(instruments: Sequence[Placed], report: Report) -> None:
    """Channels that are compared with others name channels that are there, with durations that suit both."""
    try:
        config = rules_of(instrument for _, instrument in instruments)
    except ValidationError:
        return  # told by `check_qc`, at its place
    intervals = intervals_s(instrument for _, instrument in instruments)
    indices = {instrument.id: index for index, instrument in instruments}
    positions = {one: list(channels) for one, channels in config.items()}
    for link, key, what, advice in problems(config, partial(interval_of, intervals)):
        channel = positions[link.instrument].index(link.channel)
        place = ("instrument", indices[link.instrument], "channels", channel, "qc", link.rule, key)
        report.error("E023", place, f"'{link.rule}' of channel '{link.channel}': {what}", advice)


def _check_all_channels(instruments: Sequence[Placed], report: Report) -> None:
    """Check the rules of every channel; of instruments that share sound channels, those of the first."""
    sound: set[tuple[int, float]] = set()
    for index, instrument in instruments:
        kind = id(instrument.channels), instrument.poll_interval_s
        if kind not in sound:
            told = len(report.findings)
            check_channels(instrument, index, report)
            if len(report.findings) == told:
                sound.add(kind)


def check_site(site: SiteSettings, report: Report) -> None:
    """Run every check over a site of the right shape."""
    placed: list[Placed] = list(enumerate(site.instrument))
    check_instruments(placed, report)
    check_loads(placed, report)
    check_busiest(placed, report)
    check_purpose(site.site.purpose, placed, report)
    check_name(site.site.gateway, report)
    check_ports(site.web, site.mqtt, report)
    _check_all_channels(placed, report)
    check_comparisons(placed, report)
