"""docs/elements: every reason that a check of an element can give stands on the page of that element."""

import ast
import re

import pytest

from pipeline.elements.reason_texts import REASONS
from pipeline.elements.vocabulary import ELEMENTS
from tests.support.tree import ROOT, parsed

_OF_ELEMENT = {
    "people": ("checks/people.py",),
    "equipment": ("checks/equipment.py", "checks/correction.py", "checks/metrology.py"),
    "material": ("checks/material.py", "checks/keeping.py"),
    "method": ("checks/method.py", "checks/procedure.py"),
    "environment": ("checks/environment.py",),
    "measurement": ("checks/measurement.py", "checks/outcomes.py", "hand/check.py"),
}
_OF_SEVERAL = ("batches/check.py", "judge.py", "lookback/check.py", "lookback/older.py")
_PLACEHOLDER = "(?:environment|storage|stopped|limited)"
"""What formatted codes are made with: the role of a place, the condition of an instrument."""
_OF_OLD_FOLDS = {"steps-not-judged", "replicates-not-judged"}


def _codes(module: str) -> set[str]:
    """Codes that stand in a module, and those that its formatted strings can come to."""
    found = set()
    tree = parsed((ROOT / "pipeline" / "elements" / module).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= {node.value} & REASONS.keys()
        elif isinstance(node, ast.JoinedStr):
            parts = [
                re.escape(str(p.value)) if isinstance(p, ast.Constant) else _PLACEHOLDER for p in node.values
            ]
            if any(part != _PLACEHOLDER for part in parts):
                found |= {code for code in REASONS if re.fullmatch("".join(parts), code)}
    return found


def _named(page: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs" / page).read_text(encoding="utf-8")))


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_reason_of_an_element_stands_on_its_page(element: str) -> None:
    codes = {code for module in _OF_ELEMENT[element] for code in _codes(module)}
    assert codes
    assert sorted(codes - _named(f"elements/{element}.md")) == []


def test_every_reason_stands_on_some_page() -> None:
    named = _named("README.md").union(*(_named(f"elements/{element}.md") for element in ELEMENTS))
    assert sorted(REASONS.keys() - named - _OF_OLD_FOLDS) == []


def test_every_reason_is_given_by_some_check() -> None:
    modules = [*(module for modules in _OF_ELEMENT.values() for module in modules), *_OF_SEVERAL]
    given = set().union(*(_codes(module) for module in modules))
    assert sorted(REASONS.keys() - given - _OF_OLD_FOLDS) == []


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr"]
    paths = [path.relative_to(ROOT / "docs").as_posix() for path in pages if path.name != "README.md"]
    assert [path for path in paths if f"({path}" not in index] == []
