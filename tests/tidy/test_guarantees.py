"""docs/guarantees.md: every sentence of the promise names a test, and every named test exists."""

import ast
import re

from tests.support.tree import ROOT, parsed

PAGE = ROOT / "docs" / "guarantees.md"
UNPROVABLE = {"Not covered", "How it is proved"}
_LINK = re.compile(r"\]\((\.\./tests/[\w/]+\.py)#(test_\w+)\)")


def _sections() -> dict[str, str]:
    _, *parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: text for title, _, text in (part.partition("\n") for part in parts)}


def _promises(text: str) -> list[str]:
    return [item.strip() for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]


def test_every_sentence_of_the_promise_names_its_test() -> None:
    sections = _sections()
    assert sections.keys() > UNPROVABLE
    promises = [one for title, text in sections.items() if title not in UNPROVABLE for one in _promises(text)]
    assert len(promises) > 20
    assert [one for one in promises if not _LINK.search(one)] == []


def test_every_named_test_exists() -> None:
    missing = []
    for path, name in _LINK.findall(PAGE.read_text(encoding="utf-8")):
        tree = parsed((PAGE.parent / path).read_bytes())
        defined = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
        if name not in defined:
            missing.append(f"{path}#{name}")
    assert missing == []
