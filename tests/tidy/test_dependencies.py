"""What the code imports is what pyproject.toml declares: nothing works by accident."""

import ast
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest

from gateway.names import PACKAGES
from tests.support.tree import ROOT, own_files, parsed, text_of

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(requirements: list[str]) -> set[str]:
    return {_normalised(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}


RUNTIME = _declared(_PROJECT["dependencies"])
DEVELOPMENT = RUNTIME | _declared(_PROJECT["optional-dependencies"]["dev"])


@cache
def _imports_outside(*roots: str) -> dict[str, str]:
    """Return third-party import name to one file that uses it, for the files under these folders."""
    ours = {*PACKAGES, "tests", "benchmarks", *sys.stdlib_module_names}
    found: dict[str, str] = {}
    for path in own_files(".py"):
        if path.parts[0] not in roots:
            continue
        for node in ast.walk(parsed(text_of(path) or "")):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            found |= {name.split(".")[0]: str(path) for name in names if name.split(".")[0] not in ours}
    return found


@pytest.mark.parametrize(
    ("roots", "declared"),
    [(PACKAGES, RUNTIME), (("tests", "benchmarks"), DEVELOPMENT)],
    ids=["runtime", "development"],
)
def test_every_imported_package_is_declared(roots: tuple[str, ...], declared: set[str]) -> None:
    provided_by = packages_distributions()
    undeclared = {
        name: path
        for name, path in _imports_outside(*roots).items()
        if not declared & {_normalised(distribution) for distribution in provided_by.get(name, [])}
    }
    assert not undeclared, f"declare in pyproject.toml, then `make lock`: {undeclared}"
