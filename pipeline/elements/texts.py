"""Reason codes and enumerations in both languages, one literal table each; records carry codes only."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from string import Formatter
from typing import Any, NamedTuple

from pipeline.elements.lookback.texts import CAUSES
from pipeline.elements.reason_texts import REASONS
from pipeline.records.events import Language


class Words(NamedTuple):
    """One expression in both languages."""

    en: str
    zh: str


ENUMERATIONS: dict[str, dict[str, Words]] = {
    "element": {
        "people": Words("people", "人员"),
        "equipment": Words("equipment", "设备"),
        "material": Words("material", "样品与物料"),
        "method": Words("method", "方法"),
        "environment": Words("environment", "环境"),
        "measurement": Words("measurement", "测量"),
    },
    "status": {
        "ok": Words("ok", "符合"),
        "flag": Words("flag", "提示"),
        "hold": Words("hold", "扣留待处置"),
        "not_evaluated": Words("not evaluated", "未评价"),
    },
    "finality": {"provisional": Words("provisional", "暂定"), "final": Words("final", "最终")},
    "purpose": {
        "test": Words("test", "检测"),
        "qc": Words("QC sample", "质控样"),
        "intermediate-check": Words("intermediate check", "期间核查"),
        "calibration": Words("calibration", "校准"),
        "maintenance": Words("maintenance", "维护"),
        "training": Words("training", "培训"),
        "proficiency": Words("proficiency test", "能力验证"),
    },
    "role": {
        "operator": Words("operator", "操作人员"),
        "measurand": Words("measurand", "被测量"),
        "environment": Words("environment", "环境"),
        "reference": Words("reference", "标准物质"),
        "reagent": Words("reagent", "试剂"),
        "storage": Words("storage", "储存"),
    },
    "phase": {
        "running": Words("running", "进行中"),
        "stopped": Words("stopped", "已结束"),
        "aborted": Words("aborted", "已中止"),
    },
    "disposition": {
        "release": Words("release", "放行"),
        "release-with-limitation": Words("release with limitation", "限制放行"),
        "retest": Words("retest", "复测"),
        "resample": Words("resample", "重新取样"),
        "void": Words("void", "作废"),
        "recall": Words("recall", "召回"),
        "amend": Words("amend", "更正"),
    },
    "overall": {
        "provisional": Words("provisional", "暂定"),
        "clear": Words("clear", "无需处置"),
        "held": Words("held", "扣留待处置"),
        "released": Words("released", "已放行"),
        "released-with-limitation": Words("released with limitation", "已限制放行"),
        "released-under-look-back": Words("released, under look-back", "已放行，追溯评价中"),
        "retest": Words("to be retested", "待复测"),
        "resample": Words("to be resampled", "待重新取样"),
        "void": Words("void", "已作废"),
        "recalled": Words("recalled", "已召回"),
        "amended": Words("amended", "已更正"),
        "aborted": Words("aborted", "已中止"),
    },
    "service": {
        "in-use": Words("in use", "在用"),
        "warm-up": Words("warm-up", "预热"),
        "qc": Words("QC", "质控"),
        "intermediate-check": Words("intermediate check", "期间核查"),
        "calibration": Words("calibration", "校准"),
        "maintenance": Words("maintenance", "维护"),
        "fault": Words("fault", "故障"),
        "out-of-service": Words("out of service", "停用"),
    },
    "registry": {
        "person": Words("person", "人员"),
        "equipment": Words("equipment", "设备"),
        "material": Words("material", "样品与物料"),
        "method": Words("method", "方法"),
        "environment": Words("environment", "环境"),
        "correction": Words("correction", "修正"),
    },
    "qc_kind": {
        "sample": Words("sample", "样品"),
        "test": Words("sample", "样品"),
        "qc": Words("control", "质控"),
        "blank": Words("blank", "空白"),
        "duplicate": Words("duplicate", "平行样"),
        "matrix-spike": Words("matrix spike", "加标"),
        "qc-sample": Words("QC sample", "质控样"),
        "blind-sample": Words("blind sample", "盲样"),
        "retained-sample": Words("retained sample", "留样"),
        "person-comparison": Words("comparison of people", "人员比对"),
        "instrument-comparison": Words("comparison of instruments", "仪器比对"),
        "proficiency": Words("proficiency test", "能力验证"),
    },
    "qc_basis": {
        "opening": Words("at the opening of a batch", "批开始时"),
        "every": Words("after every so many samples", "每若干样品"),
        "per-batch": Words("in each batch", "每批"),
        "closing": Words("at the end of a batch", "批结束时"),
        "interval": Words("by interval (s)", "按间隔（秒）"),
    },
    "cause": {cause: Words(*texts) for cause, texts in CAUSES.items()},
    "figure": {
        "value": Words("value", "数值"),
        "chart-z": Words("z on the chart", "控制图 z 值"),
        "difference-percent": Words("difference in per cent", "相对差（%）"),
        "recovery-percent": Words("recovery in per cent", "回收率（%）"),
        "e-n": Words("E_n", "E_n"),
        "z": Words("z", "z"),
        "z-prime": Words("z'", "z'"),
    },
}
"""Name of the list to word to its expressions. Words stand in records, expressions on screens."""


_IN_REASONS = {
    "cause": "cause",
    "kind": "qc_kind",
    "basis": "qc_basis",
    "figure_name": "figure",
    "state": "service",
}
"""Argument of a reason to the list that its words are of; a word of another list stays as it is."""


def say(enumeration: str, word: str, language: Language) -> str:
    """Express a word of one of the lists; a word of a newer writer stays as it is."""
    words = ENUMERATIONS[enumeration].get(word)
    if words is None:
        return word
    return words.en if language == "en" else words.zh


def render_reason(code: str, subject: str, args: dict[str, Any], language: Language) -> str:
    """Write a reason out for people; a code of a newer writer shows itself and its arguments."""
    texts = REASONS.get(code)
    if texts is None:
        return f"{code} {subject} {args}"
    listed = {name: word for name, word in args.items() if name in _IN_REASONS and isinstance(word, str)}
    shown = {**args, **{name: say(_IN_REASONS[name], word, language) for name, word in listed.items()}}
    return fill(texts[0] if language == "en" else texts[1], {"subject": subject, **shown}, language)


def fill(template: str, args: dict[str, Any], language: Language = "en") -> str:
    """Put arguments into a template: instants as UTC, times (`_s`) in hours and minutes, every digit kept."""
    return Formatter().vformat(template, (), _Shown(args, language))


def duration_text(seconds: float, language: Language) -> str:
    """Write a time as people say it, `2 h 30 min` or `2 小时 30 分`, without rounding: nothing is lost."""
    exact = Decimal(repr(seconds))
    if not exact.is_finite():
        return str(seconds)
    parts, rest = [], abs(exact)
    for size, en, zh in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count:f} {en if language == 'en' else zh}")
    if rest or not parts:
        parts.append(f"{rest.normalize():f} {'s' if language == 'en' else '秒'}")
    return ("-" if exact < 0 else "") + " ".join(parts)


_UNITS = ((Decimal(86_400), "d", "天"), (Decimal(3600), "h", "小时"), (Decimal(60), "min", "分"))


class _Shown(dict[str, Any]):
    def __init__(self, args: dict[str, Any], language: Language) -> None:
        super().__init__({key: _show(key, value, language) for key, value in args.items()})

    def __missing__(self, key: str) -> str:
        return f"<{key}?>"


def _show(key: str, value: object, language: Language) -> str:
    if value is None:
        return "–"
    if key.endswith("_s") and isinstance(value, int | float):
        return duration_text(value, language)
    if key.endswith("_utc_ns") and isinstance(value, int):
        return datetime.fromtimestamp(value // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return str(value)
