"""`qc explain`: which rule, inputs, limits and configuration made the flags of a recorded frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import numpy as np
import typer
from pydantic import ValidationError

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    ConfigOption,
    JsonOption,
    fail,
    local_time,
    print_json,
    site_of,
)
from pipeline.journal.readonly import JournalReader
from pipeline.qc import RULES, ChannelQc, explain_row
from pipeline.records import Flag, Frame, Status
from pipeline.records.block import concatenate
from pipeline.records.flags import worst
from pipeline.records.frame import decode_flags, decode_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.records.events import Language

NEIGHBOURS_MAX = 500
"""Data records that are looked at on either side for the instrument's neighbouring frame."""
LATER_MAX = 100_000
"""Flags records behind the frame that are looked at for verdicts on its rows."""
FUTURE = tuple(rule for rule in RULES if rule.later)

_WORDS = {
    "en": {
        "frame": "record {seq}: {instrument}, rows {first} to {last}, {begin} to {end}",
        "config": "configuration: record {seq}, {name}, sha256 {sha256}, in force since {since}",
        "none": "configuration: no record of one in front of this frame; limits are not known",
        "limits": "limits of {channel}: {limits}",
        "reading": "{channel}  n {n}  {time}  {value}  {flag}",
        "later": "decided later, in record {seq}: {rule} {flag}",
        "pending": "{rule}: not decided yet for rows from {n} on",
        "good": "every reading passed",
        "more": "… and {count} more readings (--limit)",
        "unknown": "the rules of {channel} in that record are not understood by this version: {error}",
        "no value": "no value",
        Flag.PASS: "pass", Flag.NOT_EVALUATED: "not evaluated", Flag.SUSPECT: "suspect",
        Flag.FAIL: "fail", Flag.MISSING: "missing",
    },
    "zh": {
        "frame": "记录 {seq}：{instrument}，第 {first} 至 {last} 行，{begin} 至 {end}",
        "config": "配置：记录 {seq}，{name}，sha256 {sha256}，自 {since} 起生效",
        "none": "配置：此帧之前没有配置记录，限值未知",
        "limits": "{channel} 的限值：{limits}",
        "reading": "{channel}  n {n}  {time}  {value}  {flag}",
        "later": "事后判定，见记录 {seq}：{rule} {flag}",
        "pending": "{rule}：自第 {n} 行起尚未判定",
        "good": "所有读数均通过",
        "more": "……另有 {count} 个读数（--limit）",
        "unknown": "本版本无法识别该记录中 {channel} 的规则：{error}",
        "no value": "无数值",
        Flag.PASS: "通过", Flag.NOT_EVALUATED: "未评价", Flag.SUSPECT: "可疑",
        Flag.FAIL: "失败", Flag.MISSING: "缺失",
    },
}  # fmt: skip


class Later(NamedTuple):
    """A verdict of a rule that needed later readings."""

    seq: int
    rule: str
    flag: int


@dataclass(frozen=True, slots=True)
class Found:
    """What the journal says of one frame."""

    record: Record
    frame: Frame
    around: Frame
    """The frame with its neighbours, so that the inputs of its first and last rows are at hand."""
    offset: int
    """Position of the frame's first row in `around`."""
    config: Record | None
    rules: dict[str, ChannelQc]
    refused: dict[str, str]
    """Channel to why its recorded rules are not understood."""
    later: dict[tuple[int, str], list[Later]]
    """(ordinal, channel) to verdicts."""
    decided_through: dict[str, int]
    """Future rule to the last ordinal that it has decided."""


def explain(
    seq: Annotated[int, typer.Argument(help="Number of a data record.", min=0)],
    config: ConfigOption = DEFAULT_CONFIG,
    lang: Annotated[str, typer.Option("--lang", help="en or zh.")] = "en",
    channel: Annotated[str, typer.Option(help="Only this channel.")] = "",
    limit: Annotated[int, typer.Option(help="Most readings that are shown.", min=1, max=100_000)] = 100,
    as_json: JsonOption = False,
) -> None:
    """Say which rule, inputs, limits and configuration made the flags of a data record, and what came later.

    Reads the journal on disk, also while the daemon runs.
    """
    if lang not in _WORDS:
        fail(Exit.USAGE, f"no language '{lang}'; there are: en, zh")
    language: Language = "zh" if lang == "zh" else "en"
    folder = site_of(config).state.journal
    if not folder.is_dir():
        fail(Exit.UNAVAILABLE, f"there is no journal at {folder}; make one: yaosu init -c {config}")
    found = find(JournalReader(folder), seq, folder)
    names = [one.name for one in found.frame.block.layout.channels]
    if channel and channel not in names:
        fail(Exit.USAGE, f"no channel '{channel}' in record {seq}; there are: {', '.join(names)}")
    readings = [_reading(found, *place, language) for place in _flagged(found, channel)]
    if as_json:
        print_json(_as_json(found, readings[:limit], len(readings), language))
    else:
        _show(found, readings, limit, language)


def find(reader: JournalReader, seq: int, folder: Path) -> Found:
    """Gather what the journal says of the frame in one record; leaves when it is none."""
    record = reader.record(seq)
    if record is None:
        fail(
            Exit.USAGE,
            f"the journal in {folder} has no readable record {seq}: not yet, or its data were retired; "
            "see its range: yaosu journal stat",
        )
    if record.kind != "data":
        _leave_other_kind(record)
    frame = decode_frame(record.body)
    config = next((one for one in reader.before(seq, {"config"}) if "site" in one.body), None)
    rules, refused = _rules(config, frame.block.instrument)
    around, offset = _around(reader, seq, frame)
    later, through = _later(reader, seq, frame, rules)
    return Found(record, frame, around, offset, config, rules, refused, later, through)


def _leave_other_kind(record: Record) -> NoReturn:
    fail(
        Exit.USAGE,
        f"record {record.seq} is of kind '{record.kind}' and holds no readings; "
        "give the number of a data record",
    )


def _rules(config: Record | None, instrument: str) -> tuple[dict[str, ChannelQc], dict[str, str]]:
    """Read the rules of an instrument's channels from a `config` record."""
    rules: dict[str, ChannelQc] = {}
    refused: dict[str, str] = {}
    instruments = [] if config is None else config.body["site"].get("instruments", [])
    for channel in (c for one in instruments if one["id"] == instrument for c in one["channels"]):
        try:
            rules[channel["name"]] = ChannelQc.model_validate(channel.get("qc") or {}, strict=False)
        except ValidationError as error:
            refused[channel["name"]] = "; ".join(str(one["msg"]) for one in error.errors())
    return rules, refused


def _around(reader: JournalReader, seq: int, frame: Frame) -> tuple[Frame, int]:
    """Join a frame with the instrument's frames right before and after it, where the layout is the same."""
    first, end = frame.n_first, frame.n_first + len(frame.block)
    before = _neighbour(reader.before(seq, {"data"}), frame)
    before = before if before is not None and before.n_first + len(before.block) == first else None
    after = _neighbour(reader.after(seq, {"data"}), frame)
    after = after if after is not None and after.n_first == end else None
    parts = [one for one in (before, frame, after) if one is not None]
    joined = Frame(
        block=concatenate([one.block for one in parts]),
        n_first=parts[0].n_first,
        flag=np.concatenate([one.flag for one in parts], axis=1),
        reason=np.concatenate([one.reason for one in parts], axis=1),
        unevaluated=np.concatenate([one.unevaluated for one in parts], axis=1),
    )
    return joined, frame.n_first - joined.n_first


def _neighbour(records: Iterator[Record], frame: Frame) -> Frame | None:
    """Return the instrument's next frame in the order of `records`; None when its layout is another."""
    for _, record in zip(range(NEIGHBOURS_MAX), records, strict=False):
        if record.body.get("instrument") == frame.block.instrument:
            found = decode_frame(record.body)
            return found if found.block.layout == frame.block.layout else None
    return None


def _later(
    reader: JournalReader, seq: int, frame: Frame, rules: dict[str, ChannelQc]
) -> tuple[dict[tuple[int, str], list[Later]], dict[str, int]]:
    """Collect later verdicts on the frame's rows until every rule that needs the future has decided them."""
    first, last = frame.n_first, frame.n_first + len(frame.block) - 1
    open_ = {rule.name for rule in FUTURE if any(rule.waits(rule.settings_of(qc)) for qc in rules.values())}
    through = dict.fromkeys(open_, first - 1)
    later: dict[tuple[int, str], list[Later]] = {}
    records = (one for one in reader.after(seq, {"flags"}) if open_)
    for _, record in zip(range(LATER_MAX), records, strict=False):
        if record.body.get("instrument") != frame.block.instrument:
            continue
        flags = decode_flags(record.body)
        for n, channel, flag in zip(flags.n.tolist(), flags.channel, flags.flag.tolist(), strict=True):
            if first <= n <= last:
                later.setdefault((n, channel), []).append(Later(record.seq, flags.rule, flag))
        through[flags.rule] = max(through.get(flags.rule, -1), flags.decided_through_n)
        if flags.decided_through_n >= last:
            open_.discard(flags.rule)
        if not open_:
            break
    return later, through


def _flagged(found: Found, channel: str) -> Iterable[tuple[int, int]]:
    """Go through the readings with another flag than pass, row by row: position of channel and row."""
    layout, first = found.frame.block.layout, found.frame.n_first
    marked = found.frame.flag != Flag.PASS
    for n, name in found.later:
        # Only what makes the reading worse than pass: a rule that is not required may leave it open.
        marked[layout.index[name], n - first] |= _final(found, layout.index[name], n - first) != Flag.PASS
    for row, position in np.argwhere(marked.T):
        if not channel or layout.channels[position].name == channel:
            yield int(position), int(row)


def _final(found: Found, position: int, row: int) -> Flag:
    """Worst flag of a reading; a later "not evaluated" counts only where its rule is required."""
    name, qc = found.frame.block.layout.channels[position].name, None
    flags, qc = [int(found.frame.flag[position, row])], found.rules.get(name)
    for one in found.later.get((found.frame.n_first + row, name), ()):
        settings = next((rule.settings_of(qc) for rule in FUTURE if rule.name == one.rule), None)
        if one.flag != Flag.NOT_EVALUATED or (settings is not None and settings.required):
            flags.append(one.flag)
    return worst(flags)


def _reading(found: Found, position: int, row: int, language: Language) -> dict[str, Any]:
    """Explain one reading."""
    block, n = found.frame.block, found.frame.n_first + row
    channel = block.layout.channels[position]
    value, good = block.column(channel.name)[row], block.status[position, row] == Status.GOOD
    qc, at = found.rules.get(channel.name), found.offset + row
    later = found.later.get((n, channel.name), [])
    fired = {one.rule for one in later if one.flag != Flag.NOT_EVALUATED}
    return {
        "channel": channel.name,
        "n": n,
        "t_utc_ns": int(block.t_utc_ns[row]),
        "value": getattr(value, "item", lambda: value)() if good else None,
        "unit": channel.unit,
        "flag": int(_final(found, position, row)),
        "explanations": explain_row(
            found.around, at, channel.name, qc, language, decided=fired, time_text=local_time
        ),
        "later": [one._asdict() for one in later],
    }  # fmt: skip


def _limits(qc: ChannelQc) -> dict[str, Any]:
    return qc.model_dump(exclude_none=True)


def _as_json(found: Found, readings: list[dict[str, Any]], count: int, language: Language) -> dict[str, Any]:
    config = found.config
    return {
        "seq": found.record.seq,
        "instrument": found.frame.block.instrument,
        "n_first": found.frame.n_first,
        "rows": len(found.frame.block),
        "config": None if config is None else {
            "seq": config.seq, "path_name": config.body.get("path_name"), "sha256": config.body.get("sha256"),
        },
        "limits": {name: _limits(qc) for name, qc in found.rules.items()},
        "not_understood": found.refused,
        "decided_through": found.decided_through,
        "language": language,
        "flagged": count,
        "readings": readings,
    }  # fmt: skip


def _show(found: Found, readings: list[dict[str, Any]], limit: int, language: Language) -> None:
    words, block = _WORDS[language], found.frame.block
    times, first = block.t_utc_ns.tolist(), found.frame.n_first
    lines = [words["frame"].format(
        seq=found.record.seq, instrument=block.instrument, first=first, last=first + len(times) - 1,
        begin=local_time(times[0]), end=local_time(times[-1]),
    )]  # fmt: skip
    lines.append(_config_line(found.config, words))
    for name, reason in found.refused.items():
        lines.append(words["unknown"].format(channel=name, error=reason))
    lines += [
        words["limits"].format(channel=name, limits=_limits_text(found.rules[name]))
        for name in dict.fromkeys(one["channel"] for one in readings[:limit])
        if name in found.rules
    ]
    for one in readings[:limit]:
        lines += _reading_lines(one, words)
    if len(readings) > limit:
        lines.append(words["more"].format(count=len(readings) - limit))
    for rule, through in sorted(found.decided_through.items()):
        if through < first + len(times) - 1:
            lines.append(words["pending"].format(rule=rule, n=through + 1))
    for line in lines if readings else [*lines, words["good"]]:
        OUT.print(line, markup=False)


def _config_line(config: Record | None, words: dict[Any, str]) -> str:
    if config is None:
        return words["none"]
    body = config.body
    return words["config"].format(
        seq=config.seq, name=body.get("path_name", ""), sha256=str(body.get("sha256", ""))[:16],
        since=local_time(config.t_utc_ns),
    )  # fmt: skip


def _limits_text(qc: ChannelQc) -> str:
    tables = {name: keys for name, keys in _limits(qc).items() if isinstance(keys, dict)}
    keys_of = {name: [f"{key} = {value}" for key, value in keys.items()] for name, keys in tables.items()}
    return "; ".join(f"{name} ({', '.join(keys)})" for name, keys in keys_of.items()) or "-"


def _reading_lines(one: dict[str, Any], words: dict[Any, str]) -> list[str]:
    value = words["no value"] if one["value"] is None else f"{one['value']!r} {one['unit']}".rstrip()
    head = words["reading"].format(
        channel=one["channel"], n=one["n"], time=local_time(one["t_utc_ns"]), value=value,
        flag=words[Flag(one["flag"])],
    )  # fmt: skip
    later = (
        words["later"].format(seq=each["seq"], rule=each["rule"], flag=words[Flag(each["flag"])])
        for each in one["later"]
    )
    return [head, *(f"    {line}" for line in (*one["explanations"], *later))]
