"""Which events raise which alarm: one literal table over the codes of the catalogue of events.

The severity is the event's own. An event of severity `alarm` that is not here (a newer part wrote it) raises
an alarm all the same, grouped by code and instrument: no alarm is lost for want of a line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pipeline.records.block import Severity

_AWAY = frozenset({"calibration", "maintenance", "fault", "out-of-service"})
"""Service states in which an instrument may be opened, off, or fed with anything."""
_NEVER: frozenset[str] = frozenset()


class Rule(NamedTuple):
    """How events of one code become an alarm."""

    group_by: tuple[str, ...]
    """What makes two events one cause: names of arguments, `instrument`, `channel`."""
    suppressed_in: frozenset[str] = _NEVER
    """Service states of the instrument in which nobody is called; the alarm is recorded all the same."""
    ended_by: str = ""
    """Event of the same cause that says that the condition is over."""


RULES: dict[str, Rule] = {
    # instruments
    "instrument-lost": Rule(("instrument",), _AWAY, "instrument-back"),
    "bad-frame": Rule(("instrument",), _AWAY),
    "device-exception": Rule(("instrument", "code"), _AWAY),
    "device-error": Rule(("instrument", "code"), _AWAY),
    "qc-failed": Rule(("instrument",)),
    "write-failed": Rule(("instrument", "point")),
    "write-unverified": Rule(("instrument", "point")),
    "write-differs": Rule(("instrument", "point")),
    "write-unknown": Rule(("instrument", "point"), ended_by="write-read-back"),
    "source-pty": Rule(("instrument",), ended_by="source-live"),
    "source-simulator": Rule(("instrument",), ended_by="source-live"),
    # the gateway itself
    "unattributed-change": Rule(("sha256",)),
    "clock-step": Rule(()),
    "slow-sync": Rule(()),
    "quarantine": Rule(()),
    "records-missing": Rule(()),
    "snapshot-unreadable": Rule(("consumer",)),
    "journal-repaired": Rule(()),
    "trusted-keys-damaged": Rule(()),
    "storage-trouble": Rule((), ended_by="storage-recovered"),
    "part-failed": Rule(("part",)),
    "record-not-understood": Rule(("of_kind", "error")),
    "command-refused": Rule(("command", "reason")),
    "command-file": Rule(()),
    "flags-unplaced": Rule(("instrument", "rule")),
    # the work
    "element-held": Rule(("element", "reason", "subject")),
    "lookback-opened": Rule(("cause", "subject")),
    "alarm-undelivered": Rule(()),
    "trigger": Rule(("trigger",)),
    "risk-level": Rule(("subject",)),
}
"""The literal table. An `element-held` is grouped by its reason and what that is about: a failed check
weight that holds two hundred tasks is one alarm, with all of them counted."""

ENDS: dict[str, tuple[str, ...]] = {}
"""Code of an event to the codes of the alarms that it ends."""
for _code, _rule in RULES.items():
    if _rule.ended_by:
        ENDS[_rule.ended_by] = (*ENDS.get(_rule.ended_by, ()), _code)


def rule_of(body: dict[str, Any]) -> Rule | None:
    """Find how an event becomes an alarm; None for one that calls nobody."""
    rule = RULES.get(str(body.get("code")))
    if rule is None and body.get("severity") == "alarm":
        return Rule(("instrument",))
    return rule


def group_of(code: str, rule: Rule, body: dict[str, Any]) -> str:
    """Name the cause of an event."""
    args = {**(body.get("args") or {}), "instrument": body.get("instrument"), "channel": body.get("channel")}
    return "|".join([code, *(str(args.get(name) or "") for name in rule.group_by)])


def severity_of(body: dict[str, Any]) -> Severity:
    """Give the severity of an event."""
    severity: Severity = body.get("severity", "alarm")
    return severity
