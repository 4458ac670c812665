"""Events: records of a code of `events_catalogue` and its arguments.

A record never carries the text; readers render it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal

from pipeline.records.events_catalogue import CATALOGUE

if TYPE_CHECKING:
    from pipeline.records.block import DeviceEvent
    from pipeline.records.envelope import Body

Language = Literal["en", "zh"]


_DOWNTIMES: dict[str, tuple[str, str]] = {
    "new": ("in a new journal", "记录为新建"),
    "same-boot": (
        "downtime {downtime_s} s (by the clock of the machine, which was not restarted)",
        "停机 {downtime_s} 秒（机器未重启，按其时钟计）",
    ),
    "utc-synchronised": (
        "downtime {downtime_s} s (by UTC, synchronised before and after)",
        "停机 {downtime_s} 秒（按 UTC 计，前后均已同步）",
    ),
    "unknown": ("downtime unknown (no clock can vouch for it)", "停机时长未知（无时钟可为依据）"),
}
"""What the time of a `daemon-start` rests on, to its texts (en, zh)."""


def told(item: DeviceEvent) -> Body:
    """Build the body of the `event` record of something that an instrument did."""
    return event_body(item.code, instrument=item.instrument) | {"args": dict(item.args)}


def event_body(
    code: str, /, *, instrument: str | None = None, channel: str | None = None, **args: Any
) -> Body:
    """Build the body of an `event` record.

    Raises:
        KeyError: `code` is not in the catalogue (our bug: add it there).
    """
    return {
        "code": code,
        "severity": CATALOGUE[code].severity,
        "instrument": instrument,
        "channel": channel,
        "args": args,
    }


def render_event(body: Body, language: Language) -> str:
    """Write an event out for people; an unknown code (a newer writer) shows its code and arguments."""
    kind = CATALOGUE.get(body["code"])
    args = {"instrument": body.get("instrument"), "channel": body.get("channel"), **body.get("args", {})}
    if kind is None:
        return f"{body['code']} {args}"
    if body["code"] == "identity":
        args.setdefault("identity", _identity(args))
    elif body["code"] == "command-refused":
        args.setdefault("details", _refusal_details(args, language))
    elif str(body["code"]).startswith("trust-"):
        args.setdefault("changes", _trust_changes(args))
    elif body["code"] == "daemon-start":
        args.setdefault("downtime", _downtime(args, language))
    elif body["code"] == "storage-trouble" and isinstance(args.get("since"), int):
        args["since"] = f"{datetime.fromtimestamp(args['since'] / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return _filled(kind.en if language == "en" else kind.zh, args)


def _identity(args: Body) -> str:
    """Join what the instrument told of itself; many state no vendor, some state nothing."""
    return " ".join(str(args[part]) for part in ("vendor", "model", "serial") if args.get(part)) or "–"


def _refusal_details(args: Body, language: Language) -> str:
    """Tell what a refused command was about, and how many refusals went before it unrecorded."""
    about = args.get("about") or {}
    parts = [f"{name} {value}" for name, value in about.items()] if isinstance(about, dict) else []
    count = args.get("unrecorded") or 0
    if count:
        parts.append(
            f"{count} more refusals not recorded" if language == "en" else f"另有 {count} 次拒绝未记录"
        )
    if not parts:
        return ""
    return f" ({', '.join(parts)})" if language == "en" else f"（{'，'.join(parts)}）"


def _trust_changes(args: Body) -> str:
    """Write out who came, went or changed: + for those believed now, - for those who are not any more."""
    changed = args.get("changed") or {}
    parts = [f"+ {name} ({what})" for name, what in (args.get("added") or {}).items()]
    parts += [f"- {name} ({what})" for name, what in (args.get("removed") or {}).items()]
    parts += [f"{name} ({was} → {now})" for name, (was, now) in changed.items()]
    return "; ".join(parts) or "–"


def _downtime(args: Body, language: Language) -> str:
    plain = ("downtime {downtime_s} s ({basis})", "停机 {downtime_s} 秒（{basis}）")
    texts = _DOWNTIMES.get(str(args.get("basis")), plain)
    return _filled(texts[0 if language == "en" else 1], args)


def _filled(template: str, args: Body) -> str:
    return Formatter().vformat(template, (), _Shown(args))


class _Shown(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"<{key}?>"
