"""Explanations: why a reading has its flag, in both languages, with the limits in force."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline.qc.describe import Evidence, Sample, quantity
from pipeline.qc.memory import WARMING_BIT
from pipeline.qc.table import BY_NAME, MISSING_MASK, RULES
from pipeline.records.flags import Flag, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Block
    from pipeline.records.events import Language
    from pipeline.records.frame import Frame

_NOT_EVALUATED = ("{title} not evaluated: {why}", "{title}未评价：{why}")
_NO_NUMBER = ("the reading is not a finite number", "读数不是有限数值")
_WARMING = ("the rules were still being loaded", "规则仍在加载")
_SINCE = ("{text}, since {time}", "{text}，自 {time} 起")
_SINCE_OR_EARLIER = ("{text}, since {time} or earlier", "{text}，自 {time} 或更早起")
_NOT_CONFIGURED = ("{title}: the rule is not configured any more", "{title}：该规则已不在配置中")


def utc_time(t_utc_ns: int) -> str:
    """Write a time of day, to the second."""
    return f"{datetime.fromtimestamp(t_utc_ns // 10**9, UTC):%H:%M:%S} UTC"


def explain_reading(rule: str, qc: ChannelQc | None, evidence: Evidence, language: Language) -> str:
    """Explain why a rule fired.

    Args:
        rule: name of a rule that fired.
        qc: rules of the channel that were in force.
        evidence: the reading and what is at hand around it.
        language: "en" or "zh".

    Raises:
        KeyError: there is no rule of that name.
    """
    entry, k = BY_NAME[rule], _column(language)
    settings = entry.settings_of(qc)
    if settings is None and entry.table:
        return _NOT_CONFIGURED[k].format(title=entry.title[k])
    case = entry.describe(settings, evidence)
    return entry.texts[case.name][k].format(**{name: pair[k] for name, pair in case.values.items()})


def explain_unevaluated(rule: str, qc: ChannelQc | None, evidence: Evidence, language: Language) -> str:
    """Explain why a rule could not be evaluated. Arguments and errors as of `explain_reading`."""
    entry, k = BY_NAME[rule], _column(language)
    settings = entry.settings_of(qc)
    if settings is None:
        return _NOT_CONFIGURED[k].format(title=entry.title[k])
    why = entry.texts["unevaluated"][k].format(**_lacking(settings))
    if not math.isfinite(evidence.value):
        why = _NO_NUMBER[k]
    return _NOT_EVALUATED[k].format(title=entry.title[k], why=why)


def explain_row(
    frame: Frame,
    row: int,
    channel: str,
    qc: ChannelQc | None,
    language: Language,
    *,
    decided: Collection[str] = (),
    time_text: Callable[[int], str] = utc_time,
) -> list[str]:
    """Explain all that the rules said about one reading of a frame, in the order of the table.

    Neighbours are looked for in the frame; a rule whose neighbour lies in another frame is explained by its
    limits alone. A rule that had fired on the readings before as well tells since when.

    Args:
        frame: the frame that holds the reading.
        row: its position in the frame.
        channel: its channel.
        qc: rules of the channel that were in force.
        language: "en" or "zh".
        decided: names of future rules that flagged the reading later.
        time_text: writes a time stamp, UTC in ns.
    """
    position = frame.block.layout.index[channel]
    reason, unevaluated = int(frame.reason[position, row]), int(frame.unevaluated[position, row])
    evidence = gather(frame.block, row, channel, int(frame.flag[position, row]))
    lines = [
        _with_onset(explain_reading(rule.name, qc, evidence, language), found, language, time_text)
        for rule in RULES
        for found in [_onset(frame, position, row, rule.bit)]
        if reason >> rule.bit & 1 or rule.name in decided
    ]
    if unevaluated >> WARMING_BIT & 1:
        return [*lines, _WARMING[_column(language)]]
    open_rules = [rule.name for rule in RULES if unevaluated >> rule.bit & 1]
    return lines + [explain_unevaluated(name, qc, evidence, language) for name in open_rules]


def _onset(frame: Frame, position: int, row: int, bit: int) -> tuple[int, bool] | None:
    """Find since when a rule has fired without a break; rows without a reading are no break.

    Returns:
        UTC of the first such row in the frame (ns), and whether nothing at hand was before it; None when the
        rule begins to fire at this row, and for missing values, whose cause may be another each time.
    """
    if MISSING_MASK >> bit & 1:
        return None
    reasons = frame.reason[position].tolist()
    first, k = row, row - 1
    while k >= 0 and (reasons[k] >> bit & 1 or reasons[k] & MISSING_MASK):
        first = k if reasons[k] >> bit & 1 else first
        k -= 1
    return None if first == row else (int(frame.block.t_utc_ns[first]), k < 0)


def _with_onset(
    text: str, onset: tuple[int, bool] | None, language: Language, time_text: Callable[[int], str]
) -> str:
    if onset is None:
        return text
    since_utc_ns, open_end = onset
    return (_SINCE_OR_EARLIER if open_end else _SINCE)[_column(language)].format(
        text=text, time=time_text(since_utc_ns)
    )


def gather(block: Block, row: int, channel: str, flag: int = Flag.SUSPECT) -> Evidence:
    """Collect what a block knows about one reading and its valid neighbours."""
    position = block.layout.index[channel]
    values = block.numeric()[position]
    valid = [
        k for k in range(len(block)) if block.status[position, k] == Status.GOOD and math.isfinite(values[k])
    ]  # fmt: skip
    before = [k for k in valid if k < row]
    after = [k for k in valid if k > row]
    return Evidence(
        value=float(values[row]),
        status=int(block.status[position, row]),
        t_run_ns=int(block.t_run_ns[row]),
        t_utc_ns=int(block.t_utc_ns[row]),
        unit=block.layout.channels[position].unit,
        previous=_sample(block, values, before[-1]) if before else None,
        following=_sample(block, values, after[0]) if after else None,
        history=tuple(_sample(block, values, k) for k in valid if k <= row),
        flag=flag,
    )


def _sample(block: Block, values: Any, k: int) -> Sample:
    return Sample(float(values[k]), int(block.t_run_ns[k]), int(block.t_utc_ns[k]))


def _column(language: Language) -> int:
    return 0 if language == "en" else 1


def _lacking(settings: Any) -> dict[str, str]:
    """Give the settings that say what a rule needs, under the names that the texts use."""
    values = {}
    for name, key in (("max_gap", "max_gap_s"), ("window", "window_s"), ("duration", "duration_s")):
        if hasattr(settings, key):
            values[name] = quantity(getattr(settings, key), "s")
    for name, low, high, unit in (
        ("duration", "suspect_s", "fail_s", "s"), ("count", "suspect_n", "fail_n", ""),
    ):  # fmt: skip
        both = [getattr(settings, key, None) for key in (low, high)]
        given = [limit for limit in both if limit is not None]
        if given:
            values[name] = quantity(min(given), unit)
    for name, key in (("count", "count_min"), ("readings", "readings"), ("partner", "partner_name")):
        if hasattr(settings, key):
            values[name] = str(getattr(settings, key))
    return values
