"""Our flags beside those of ioos_qc and westgard-python: the same, but for the listed differences.

The list is docs/qc/differences.md. What the peers said was written by tests/golden/qc_oracles/make.py, with
their versions and the seed.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.qc import evaluate
from pipeline.qc.control import ChartId, ControlMonitor, MultiruleQc, assign
from pipeline.qc.control.table import RULES, SCOPES
from pipeline.records import Flag

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "tests" / "golden" / "qc_oracles"
IOOS: dict[str, Any] = json.loads((GOLDEN / "ioos_qc.json").read_text())
WESTGARD: dict[str, Any] = json.loads((GOLDEN / "westgard.json").read_text())
PAGE = (ROOT / "docs" / "qc" / "differences.md").read_text(encoding="utf-8")


def values_of(case: dict[str, Any]) -> list[float]:
    return [math.nan if x is None else float(x) for x in case["values"]]


def ours_of(case: dict[str, Any]) -> str:
    values = np.array(values_of(case))
    times = np.array([round(t * 1e9) for t in case["t_s"]], dtype=np.int64)
    found = evaluate(times, values, case["rules"], per_rule=len(case["rules"]) == 1)
    flags = found.flag
    if found.by_rule:
        (rule,) = case["rules"]
        flags = np.where(np.isnan(values), Flag.MISSING, found.by_rule[rule])
    return "".join(str(int(flag)) for flag in flags)


def first(count: int) -> Callable[[list[float]], set[int]]:
    return lambda _values: set(range(count))


def beside_a_hole(values: list[float]) -> set[int]:
    hole = [math.isnan(x) for x in values]
    return {k for k in range(1, len(values) - 1) if not hole[k] and (hole[k - 1] or hole[k + 1])}


def after_a_hole(values: list[float]) -> set[int]:
    return {k for k in range(1, len(values)) if math.isnan(values[k - 1])}


DIFFERENCES: dict[str, dict[str, Callable[[list[float]], set[int]]]] = {
    "aggregate": {"I1": lambda values: {0, len(values) - 1}},
    "range with one side": {"I2": first(3)},
    "rate": {"I3": first(1)},
    "rate, whole seconds of any length": {"I3": first(1)},
    "rate with holes": {"I3": first(1), "I4": after_a_hole},
    "rate at 10 Hz": {"I3": first(1), "I5": lambda _values: {20, 21}},
    "spike, average, with holes": {"I6": beside_a_hole},
    "spike, differential, with holes": {"I6": beside_a_hole},
    "spike limit of 0": {"I7": lambda _values: {1, 2, 3}},
    "spike of nothing": {"I8": lambda _values: set()},
    "flat line": {"I9": first(10)},
    "flat line with holes": {"I9": first(10)},
    "flat line, tolerance of 0": {"I9": first(2), "I10": lambda _values: {2, 3, 4}},
    "flat line at 10 Hz": {"I11": lambda values: set(range(len(values)))},
}
"""Case to the differences that it shows, each with the rows at which it may."""
OURS_AT_THE_EDGES = {
    "aggregate": "21112",
    "range with one side": "114",
    "rate at 10 Hz": "2" + "1" * 19 + "33" + "1" * 18,
    "spike limit of 0": "23332",
    "spike of nothing": "",
    "flat line, tolerance of 0": "22344",
    "flat line at 10 Hz": "2" * 10 + "3" * 10 + "1" * 11 + "3" * 9,
}
"""What ours must be where the peer is of no help."""


@pytest.mark.parametrize("case", IOOS["cases"], ids=lambda case: str(case["case"]))
def test_stream_rules_say_what_ioos_qc_says_but_for_the_listed_differences(case: dict[str, Any]) -> None:
    ours, theirs, values = ours_of(case), case["theirs"], values_of(case)
    raised = not theirs.isdigit()
    differing = {k for k in range(len(ours)) if raised or ours[k] != theirs[k]}
    allowed = {name: rows(values) for name, rows in DIFFERENCES.get(case["case"], {}).items()}
    assert differing <= set().union(*allowed.values())
    for name, rows in allowed.items():
        assert rows & differing or raised, f"{name} does not show: strike it from the list"
    assert OURS_AT_THE_EDGES.get(case["case"], ours) == ours


def window(tenths: list[int], k: int, count: int, scope: str) -> list[int]:
    """Distances from the centre line that a rule of so many points looks at, the newest last."""
    streams = {
        "within-run": tenths[k - k % WESTGARD["cases"][0]["run"] : k + 1],
        "within-material": tenths[k % 2 : k + 1 : 2],
        "across-materials": tenths[: k + 1],
    }
    return streams[scope][-count:]


def same_side(pair: list[int], line: int) -> bool:
    return min(pair) >= line or max(pair) <= -line


def why(rule: str, scope: str, k: int, theirs: str, case: dict[str, Any], tenths: list[int]) -> str:
    """Name the listed difference that explains why the peer says something else of an observation."""
    near = window(tenths, k, 4 if rule == "R-4s" else 3, scope)
    if rule == "2of3-2s":
        outside = theirs[k] == "1" and same_side(near[:2], 21) and not same_side(near[1:], 21)
        if outside or (theirs[k] == "0" and len(near) == 2):
            return "W1"
    if rule == "R-4s" and theirs[k] == "1" and k % case["run"] and theirs[k - 1] == "1":
        return "W2"
    on_line = case["case"] == "decimal" and 20 in map(abs, near)
    if rule in {"1-2s", "2-2s", "2of3-2s", "R-4s"} and theirs[k] == "1" and on_line:
        return "W3"
    if rule == "7T" and scope == "across-materials" and 0 in np.diff(window(tenths, k, 7, scope)):
        return "W4"
    return f"no listed difference: {rule} {scope} at {k}, {near}"


@pytest.mark.parametrize("case", WESTGARD["cases"], ids=lambda case: str(case["case"]))
def test_control_rules_say_what_westgard_python_says_but_for_the_listed_differences(
    case: dict[str, Any],
) -> None:
    count, names = len(case["values"]), tuple(case["theirs"])
    charts = [
        assign(ChartId("q", name, "1"), "lot", "u", centre, sd, proposed_by="a", reason="b").approve(
            "c", 0, "d"
        )
        for name, (centre, sd) in zip("ab", case["charts"], strict=True)
    ]
    scopes = {name: tuple(found) for name, found in case["theirs"].items()}
    settings = MultiruleQc.model_validate({"warn": (), "reject": names, "scopes": scopes})
    numbers = np.arange(count)
    judged = ControlMonitor(charts, settings).judge(case["values"], numbers % 2, numbers // case["run"])
    tenths = [round(10 * float(z)) for z in judged.z]
    bits = {rule.name: rule.bit for rule in RULES}
    shown = set()
    for rule, by_scope in case["theirs"].items():
        for scope, theirs in by_scope.items():
            ours = judged.reason[SCOPES.index(scope)] >> bits[rule] & 1
            assert theirs.count("1") >= 5, "the case shows nothing of this rule"
            shown |= {why(rule, scope, k, theirs, case, tenths)
                      for k in range(count) if str(int(ours[k])) != theirs[k]}  # fmt: skip
    assert shown == ({"W1", "W2"} if case["case"] == "unit" else {"W1", "W2", "W3", "W4"})


def test_every_difference_that_shows_is_on_the_page_with_its_case_and_no_other_is() -> None:
    rows = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith(("| I", "| W"))]
    listed = {row[0].strip(): {name.strip(" `") for name in row[1].split(";")} for row in rows}
    shown: dict[str, set[str]] = {}
    for case, names in DIFFERENCES.items():
        for name in names:
            shown.setdefault(name, set()).add(case)
    shown |= {"W1": {"unit", "decimal"}, "W2": {"unit", "decimal"}, "W3": {"decimal"}, "W4": {"decimal"}}
    assert listed == shown


def test_the_page_states_the_versions_and_the_seed_of_the_tables() -> None:
    for table in (IOOS, WESTGARD):
        assert f"{table['peer']} {table['version']}" in PAGE
        assert f"seed {table['seed']}" in PAGE
