"""The control rules: one append-only table, apart from that of the stream rules.

A control rule judges observations of control samples, which are events: one after another, at no fixed rate.
Positions are reason bits and part of the record format: never reordered, never reused. To add a rule: an
entry at the end of `RULES`, and a line for its bit in `kernel.history_rules`.

Sources: Westgard, Barry, Hunt, Groth, "A multi-rule Shewhart chart for quality control in clinical
chemistry", Clin. Chem. 27 (1981) 493; Nelson, "The Shewhart control chart: tests for special causes",
J. Qual. Technol. 16 (1984) 237; Western Electric, Statistical Quality Control Handbook (1956).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Scope: TypeAlias = Literal["within-run", "within-material", "across-materials"]
"""Which observations count as consecutive: those of one run, those of one chart, or all of them."""

SCOPES: tuple[Scope, ...] = ("within-run", "within-material", "across-materials")
"""Rows of the masks, in this order."""

SCOPE_TITLES: dict[Scope, tuple[str, str]] = {
    "within-run": ("within the run", "批内"),
    "within-material": ("within the material", "同一质控物"),
    "across-materials": ("across materials", "跨质控物"),
}


@dataclass(frozen=True, slots=True)
class ControlRule:
    """One rule. `bit` is its position in `RULES`."""

    name: str
    title: tuple[str, str]
    """Name for people (en, zh)."""
    bit: int
    points: int
    """Observations that the rule needs before it can be said to have passed."""
    scopes: tuple[Scope, ...]
    """Scopes that make sense."""
    default: tuple[Scope, ...]
    """Scopes where the settings name none."""
    text: tuple[str, str]
    """Explanation (en, zh)."""


MISSING_BIT = 0
"""Not a rule: the observation has no value. It is counted and leaves every run as it was."""

_ONE: tuple[Scope, ...] = ("within-material",)
_RUN: tuple[Scope, ...] = ("within-run",)
_PAIR: tuple[Scope, ...] = ("within-run", "within-material")
_LONG: tuple[Scope, ...] = ("within-material", "across-materials")


def _westgard(
    name: str, bit: int, points: int, default: tuple[Scope, ...], text: tuple[str, str]
) -> ControlRule:
    return ControlRule(name, (f"Westgard {name}", f"Westgard {name}"), bit, points, SCOPES, default, text)


def _single(name: str, bit: int, title: tuple[str, str], limit: int) -> ControlRule:
    text = (
        f"{{value}} is beyond ±{limit} SD of {{centre}} (z = {{z}})",
        f"{{value}} 超出 {{centre}} ± {limit} SD（z = {{z}}）",
    )
    return ControlRule(name, title, bit, 1, _ONE, _ONE, text)


def _mean_run(name: str, bit: int, count: int) -> ControlRule:
    return _westgard(name, bit, count, _LONG, _same_side(count))


def _same_side(count: int) -> tuple[str, str]:
    return (
        f"{count} consecutive values {{where}} on one side of the centre line, last {{value}}",
        f"{{where}}连续 {count} 个值落在中心线同一侧，最后一个为 {{value}}",
    )


def _beyond_run(count: int, limit: int) -> tuple[str, str]:
    return (
        f"{count} consecutive values {{where}} beyond the same {limit} SD line, last {{value}} (z = {{z}})",
        f"{{where}}连续 {count} 个值超出同一侧 {limit} SD，最后一个为 {{value}}（z = {{z}}）",
    )


def _some_of(some: int, of: int, limit: int) -> tuple[str, str]:
    return (
        f"{some} of {of} values {{where}} beyond the same {limit} SD line, last {{value}} (z = {{z}})",
        f"{{where}}连续 {of} 个值中有 {some} 个超出同一侧 {limit} SD，最后一个为 {{value}}（z = {{z}}）",
    )


def _trend(count: int) -> tuple[str, str]:
    return (
        f"{count} consecutive values {{where}} steadily rising or falling, last {{value}}",
        f"{{where}}连续 {count} 个值持续上升或下降，最后一个为 {{value}}",
    )


def _classic(family: str, number: int, bit: int, points: int, text: tuple[str, str]) -> ControlRule:
    title = {
        "nelson": ("Nelson rule", "Nelson 准则"),
        "western-electric": ("Western Electric rule", "西电准则"),
    }[family]
    named = (f"{title[0]} {number}", f"{title[1]} {number}")
    if points == 1:
        return _single(f"{family}-{number}", bit, named, 3)
    return ControlRule(f"{family}-{number}", named, bit, points, SCOPES, _ONE, text)


_NONE = ("", "")

RULES: tuple[ControlRule, ...] = (
    ControlRule("missing", ("missing value", "缺失"), MISSING_BIT, 0, _ONE, _ONE,
                ("the control sample has no value", "质控样没有数值")),
    _single("1-2s", 1, ("Westgard 1-2s", "Westgard 1-2s"), 2),
    _single("1-3s", 2, ("Westgard 1-3s", "Westgard 1-3s"), 3),
    _westgard("2-2s", 3, 2, _PAIR, _beyond_run(2, 2)),
    _westgard("2of3-2s", 4, 3, _PAIR, _some_of(2, 3, 2)),
    ControlRule("R-4s", ("Westgard R-4s", "Westgard R-4s"), 5, 2, _RUN, _RUN,
                ("{value} (z = {z}) and another value of the run are too far apart: {reading}",
                 "{value}（z = {z}）与同批另一值相差过大：{reading}")),
    _westgard("3-1s", 6, 3, _LONG, _beyond_run(3, 1)),
    _westgard("4-1s", 7, 4, _LONG, _beyond_run(4, 1)),
    _mean_run("6x", 8, 6),
    _mean_run("8x", 9, 8),
    _mean_run("9x", 10, 9),
    _mean_run("10x", 11, 10),
    _mean_run("12x", 12, 12),
    _westgard("7T", 13, 7, _ONE, _trend(7)),
    _classic("nelson", 1, 14, 1, _NONE),
    _classic("nelson", 2, 15, 9, _same_side(9)),
    _classic("nelson", 3, 16, 6, _trend(6)),
    _classic("nelson", 4, 17, 14,
             ("14 consecutive values {where} alternately up and down, last {value}",
              "{where}连续 14 个值交替升降，最后一个为 {value}")),
    _classic("nelson", 5, 18, 3, _some_of(2, 3, 2)),
    _classic("nelson", 6, 19, 5, _some_of(4, 5, 1)),
    _classic("nelson", 7, 20, 15,
             ("15 consecutive values {where} all within 1 SD of the centre line, last {value}",
              "{where}连续 15 个值均在中心线 1 SD 以内，最后一个为 {value}")),
    _classic("nelson", 8, 21, 8,
             ("8 consecutive values {where} on both sides and none within 1 SD, last {value} (z = {z})",
              "{where}连续 8 个值分布于中心线两侧且均不在 1 SD 以内，最后一个为 {value}（z = {z}）")),
    _classic("western-electric", 1, 22, 1, _NONE),
    _classic("western-electric", 2, 23, 3, _some_of(2, 3, 2)),
    _classic("western-electric", 3, 24, 5, _some_of(4, 5, 1)),
    _classic("western-electric", 4, 25, 8, _same_side(8)),
)  # fmt: skip

BY_NAME = {rule.name: rule for rule in RULES}
POINTS_MAX = max(rule.points for rule in RULES)
"""Observations that the longest rule looks at: history beyond them is not kept."""


def mask_of(names: tuple[str, ...]) -> int:
    """Return the mask with the bits of these rules.

    Raises:
        KeyError: there is no rule of that name.
    """
    mask = 0
    for name in names:
        mask |= 1 << BY_NAME[name].bit
    return mask


def names_of(mask: int) -> tuple[str, ...]:
    """Return the names of the rules whose bits are set, in the order of the table."""
    return tuple(rule.name for rule in RULES if mask >> rule.bit & 1)
