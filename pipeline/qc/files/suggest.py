"""Limits proposed from a clean stretch of data. A proposal is a place to begin: a person decides.

Noise is estimated as 1.4826 * MAD of the differences of neighbours / sqrt(2), which a trend or a step does
not inflate (1.4826 makes the MAD consistent for a normal distribution: Rousseeuw and Croux 1993).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.qc.files.evaluation import evaluate
from pipeline.qc.files.report import count_flags
from pipeline.qc.files.suggest_windows import Learnt, learn, tables_for
from pipeline.qc.settings import ChannelQc, FlatLineQc, GapQc, RangeQc, RateQc, SpikeQc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from numpy.typing import NDArray

    from pipeline.qc.files.readings import Readings

READINGS_MIN = 50
"""Fewer valid readings say nothing about limits."""
PIECES = 40
"""The data are looked at in so many pieces; the clean stretch is the longest run of quiet ones."""
MAD_TO_SD = 1.4826
QUANTILE = 0.001
"""Share of the clean stretch beyond each end of the span that the range is built on."""
_QUIET_NOISE = 3.0
_QUIET_JUMP_SD = 8.0
_QUIET_MISSING = 0.02
_QUIET_REPEATS = 4
_SLACK = 1e-9
"""Of a digit: 0.30000000000000004 is 0.3 when a limit is put to two digits."""


class Stretch(NamedTuple):
    """What the clean stretch of one channel shows."""

    first_ns: int
    last_ns: int
    readings: int
    cadence_s: float
    """Median interval."""
    longest_interval_s: float
    low: float
    """Quantile `QUANTILE`."""
    high: float
    noise_sd: float
    resolution: float
    """Smallest step between two different neighbours; 0 when all are equal."""
    fastest_per_s: float
    """Quantile 1 - `QUANTILE` of |difference| / interval."""
    longest_repeat_s: float
    """Longest time at one value."""
    learnt: Learnt | None
    """For the rules with memory."""


class Proposal(NamedTuple):
    """Proposed rules of one channel."""

    channel: str
    stretch: Stretch | None
    """None when the channel holds too little to say anything."""
    rules: ChannelQc
    flagged: dict[str, dict[str, int]]
    """Rule to number of each flag on all the data."""
    first_ns: dict[str, int]
    """Rule to the time of the first reading that it would have flagged."""


def propose(readings: Readings) -> Iterator[Proposal]:
    """Propose rules for each channel of a file and try them on the same data."""
    t_ns = readings.t_ns[readings.timed]
    for name, row in zip(readings.channels, readings.values[:, readings.timed], strict=True):
        stretch = clean_stretch(t_ns, row)
        if stretch is None:
            yield Proposal(name, None, ChannelQc(), {}, {})
            continue
        rules = _rules_for(stretch)
        found = evaluate(t_ns, row, rules, per_rule=True).by_rule or {}
        bad = {rule: np.flatnonzero(np.isin(flags, (3, 4, 9))) for rule, flags in found.items()}
        flagged = {rule: count_flags(flags) for rule, flags in found.items()}
        yield Proposal(
            name, stretch, rules, flagged, {rule: int(t_ns[at[0]]) for rule, at in bad.items() if len(at)}
        )


def clean_stretch(t_ns: NDArray[np.int64], values: NDArray[np.float64]) -> Stretch | None:
    """Find the longest quiet run of pieces and describe it; None when there are too few valid readings.

    A piece is quiet when it has hardly a missing value, its noise is at most `_QUIET_NOISE` times that of the
    median piece, nothing in it jumps beyond `_QUIET_JUMP_SD` standard deviations of the noise, and it never
    stays at one value `_QUIET_REPEATS` times as long as the median piece.
    """
    valid = np.isfinite(values)
    if int(valid.sum()) < READINGS_MIN:
        return None
    edges = np.linspace(0, len(values), min(PIECES, len(values) // 10) + 1).astype(int)
    pieces = [slice(first, last) for first, last in pairwise(edges)]
    noises = [_noise(values[piece][valid[piece]]) for piece in pieces]
    usual = max(float(np.median(noises)), _smallest_step(values[valid]) / 2)
    repeats = [_most_repeats(values[piece][valid[piece]]) for piece in pieces]
    repeats_max = _QUIET_REPEATS * max(float(np.median(repeats)), 2.0)
    quiet = [
        noise <= _QUIET_NOISE * usual
        and repeated <= repeats_max
        and _is_calm(values[piece], valid[piece], usual)
        for piece, noise, repeated in zip(pieces, noises, repeats, strict=True)
    ]
    first, last = _longest_run(quiet)
    cut = slice(edges[first], edges[last])
    if int(valid[cut].sum()) < READINGS_MIN:
        cut = slice(0, len(values))
    return _describe(t_ns[cut][valid[cut]], values[cut][valid[cut]])


def _noise(values: NDArray[np.float64]) -> float:
    steps = np.diff(values)
    if not len(steps):
        return 0.0
    return MAD_TO_SD * float(np.median(np.abs(steps - np.median(steps)))) / math.sqrt(2)


def _smallest_step(values: NDArray[np.float64]) -> float:
    steps = np.abs(np.diff(values))
    steps = steps[steps > 0]
    # The quantile passes over steps that are mere rounding of binary fractions.
    return float(np.quantile(steps, 0.01)) if len(steps) else 0.0


def _is_calm(values: NDArray[np.float64], valid: NDArray[np.bool_], noise: float) -> bool:
    if np.mean(~valid) > _QUIET_MISSING:
        return False
    steps = np.abs(np.diff(values[valid]))
    return not len(steps) or float(steps.max()) <= _QUIET_JUMP_SD * math.sqrt(2) * noise


def _longest_run(quiet: Sequence[bool]) -> tuple[int, int]:
    """Return first and end of the longest run of true; everything when none is."""
    best, start = (0, 0), None
    for position, one in enumerate([*quiet, False]):
        if one and start is None:
            start = position
        if not one and start is not None:
            best = max(best, (start, position), key=lambda run: run[1] - run[0])
            start = None
    return best if best[1] > best[0] else (0, len(quiet))


def _describe(t_ns: NDArray[np.int64], values: NDArray[np.float64]) -> Stretch:
    intervals_s = np.diff(t_ns) / 1e9
    forward = intervals_s > 0
    intervals_s, steps = intervals_s[forward], np.abs(np.diff(values))[forward]
    rates = steps / intervals_s
    low, high = np.quantile(values, (QUANTILE, 1 - QUANTILE))
    return Stretch(
        first_ns=int(t_ns[0]),
        last_ns=int(t_ns[-1]),
        readings=len(values),
        cadence_s=float(np.median(intervals_s)) if len(intervals_s) else 0.0,
        longest_interval_s=float(np.quantile(intervals_s, 1 - QUANTILE)) if len(intervals_s) else 0.0,
        low=float(low),
        high=float(high),
        noise_sd=_noise(values),
        resolution=_smallest_step(values),
        fastest_per_s=float(np.quantile(rates, 1 - QUANTILE)) if len(rates) else 0.0,
        longest_repeat_s=_longest_repeat_s(t_ns, values),
        learnt=learn(values, _most_repeats(values)),
    )


def _most_repeats(values: NDArray[np.float64]) -> int:
    """Count the readings of the longest run of equal values."""
    if not len(values):
        return 0
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1], [True])))
    return int(np.diff(starts).max())


def _longest_repeat_s(t_ns: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
    ends = np.concatenate((starts[1:] - 1, [len(values) - 1]))
    return float((t_ns[ends] - t_ns[starts]).max()) / 1e9


def _rules_for(stretch: Stretch) -> ChannelQc:
    span = max(stretch.high - stretch.low, 6 * stretch.noise_sd, 10 * stretch.resolution)
    cadence_s = stretch.cadence_s
    if span == 0 or cadence_s == 0:
        return ChannelQc()  # it never changes, or has no cadence: nothing to learn limits from
    noise = max(stretch.noise_sd, stretch.resolution / 2)
    spike = 6 * math.sqrt(1.5) * noise  # of white noise, x - (a + b) / 2 has the variance 1.5 s^2
    rate = max(2 * stretch.fastest_per_s, 4 * stretch.resolution / cadence_s)
    gap_s = max(3 * cadence_s, 1.5 * stretch.longest_interval_s)
    duration_s = (stretch.last_ns - stretch.first_ns) / 1e9
    flat_s = max(20 * cadence_s, 3 * stretch.longest_repeat_s)
    learnt = 4 * stretch.longest_repeat_s < duration_s
    more = {}
    if learnt and stretch.learnt is not None:
        more = tables_for(stretch.learnt, cadence_s, _digits(max(60.0, gap_s)), _digits)
    return ChannelQc(
        range=RangeQc(
            fail_low=_down(stretch.low - span, span), suspect_low=_down(stretch.low - span / 4, span),
            suspect_high=_up(stretch.high + span / 4, span), fail_high=_up(stretch.high + span, span),
        ),
        rate=RateQc(suspect=_digits(rate), fail=_digits(2.5 * rate), max_gap_s=_digits(5 * cadence_s)),
        spike=SpikeQc(suspect=_digits(spike), fail=_digits(2 * spike), max_gap_s=_digits(5 * cadence_s)),
        flat_line=FlatLineQc(
            suspect_s=_digits(flat_s), fail_s=_digits(3 * flat_s), max_gap_s=_digits(max(60.0, gap_s))
        ) if learnt else None,
        gap=GapQc(interval_s=_digits(gap_s)),
        **more,
    )  # fmt: skip


def _grain(span: float) -> float:
    """Return the power of ten that is two digits below a span: finer digits of a limit mean nothing."""
    return float(10.0 ** (math.floor(math.log10(span)) - 1))


def _down(limit: float, span: float) -> float:
    grain = _grain(span)
    return float(f"{math.floor(limit / grain + _SLACK) * grain:.12g}")


def _up(limit: float, span: float) -> float:
    grain = _grain(span)
    return float(f"{math.ceil(limit / grain - _SLACK) * grain:.12g}")


def _digits(limit: float) -> float:
    """Round a proposed limit up to two digits, so that it reads as what it is: an estimate."""
    return _up(limit, limit) if limit > 0 else limit


def moment(t_ns: int) -> str:
    """Write a time for people, UTC, to the millisecond."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=t_ns // 1000)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


HEAD = """\
# Proposed by `yaosu qc suggest` from {file}.
# This is a proposal: it knows what the instrument did, not what the method allows. A person decides. Look at
# every limit, set it from the method, the certificate or the range of the instrument, and take out what does
# not apply. Then: yaosu qc run {file} --rules THIS_FILE
"""


def proposal_toml(file: str, proposals: Sequence[Proposal]) -> str:
    """Write proposals as a commented file of rules."""
    return "\n".join([HEAD.format(file=file), *(_channel_toml(one) for one in proposals)])


def _channel_toml(proposal: Proposal) -> str:
    key = f"channel.{_key(proposal.channel)}"
    stretch = proposal.stretch
    if stretch is None:
        return (
            f"# Column '{_plain(proposal.channel)}': fewer than {READINGS_MIN} valid readings; "
            "missing values only.\n"
            f"[{key}]\n"
        )
    lines = [*_learnt(proposal.channel, stretch).splitlines(), f"[{key}]"]
    lines.insert(-1, f"# Missing on all the data: {proposal.flagged['missing']['missing']}.")
    found = proposal.rules.model_dump(exclude_none=True, exclude_unset=True)
    tables = {name: table for name, table in found.items() if isinstance(table, dict)}
    if not tables:
        lines.append("# It never changes, or its time stamps do not: there is nothing to learn limits from.")
    elif "flat_line" not in tables:
        lines.append("# No flat_line: the channel rests at one value for long by nature.")
    for table, settings in tables.items():
        lines += ["", f"[{key}.{table}]", *_table_toml(table, settings, proposal)]
    return "\n".join(lines) + "\n"


def _learnt(channel: str, stretch: Stretch) -> str:
    return (
        f"# Column '{_plain(channel)}', learnt from {stretch.readings} valid readings, "
        f"{moment(stretch.first_ns)} to {moment(stretch.last_ns)}:\n"
        f"# a reading every {stretch.cadence_s:g} s; 99.8 % between {stretch.low:.6g} and "
        f"{stretch.high:.6g}; noise (standard deviation) {stretch.noise_sd:.3g};\n"
        f"# smallest step {stretch.resolution:.3g}; fastest {stretch.fastest_per_s:.3g} per s; "
        f"longest at one value {stretch.longest_repeat_s:g} s."
    )


def _table_toml(table: str, settings: dict[str, Any], proposal: Proposal) -> list[str]:
    names = [rule for rule in proposal.flagged if rule == table or (table == "gap" and rule in _STAMP_RULES)]
    said = []
    for name in names:
        counts, total = proposal.flagged[name], sum(proposal.flagged[name].values())
        bad = counts["suspect"] + counts["fail"]
        when = f", the first at {moment(proposal.first_ns[name])}" if bad else ""
        said.append(
            f"# {name} would have flagged {bad} of {total} ({counts['suspect']} suspect, {counts['fail']} "
            f"fail{when})."
        )
    return [*said, *(f"{name} = {_value(value)}" for name, value in settings.items() if name not in _DEFAULT)]


_STAMP_RULES = ("order", "duplicate")
_DEFAULT = ("required", "method", "per")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, int | float) else f'"{value}"'


def _plain(text: str) -> str:
    return " ".join(text.split())


def _key(name: str) -> str:
    if name and all(char.isascii() and (char.isalnum() or char in "_-") for char in name):
        return name
    escaped = "".join(
        f"\\u{ord(char):04x}" if char < " " or char == "\x7f" else "\\" * (char in '"\\') + char
        for char in name
    )
    return f'"{escaped}"'
