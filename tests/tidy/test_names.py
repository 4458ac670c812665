"""Our package names are everyday words: nobody else may claim them, and nothing may import `systemd`."""

import ast
from pathlib import Path

import pytest

from gateway.names import PACKAGES, name_conflicts
from tests.support.tree import ROOT, own_files, parsed


def test_no_other_distribution_claims_a_package_name_of_ours() -> None:
    assert name_conflicts() == []


def test_every_package_is_guarded() -> None:
    packages = {path.parts[0] for path in own_files(".py") if (ROOT / path.parts[0] / "py.typed").exists()}
    assert packages == set(PACKAGES)


def test_a_claim_of_another_distribution_is_named() -> None:
    (conflict,) = name_conflicts(claims={"config": ["yaosu", "python-config"], "numpy": ["numpy"]})
    assert "python-config" in conflict
    assert "'config'" in conflict


def test_a_package_found_elsewhere_is_named(tmp_path: Path) -> None:
    conflicts = name_conflicts(claims={}, root=tmp_path)
    assert len(conflicts) == len(PACKAGES)
    assert str(ROOT / "config") in conflicts[0]


def _imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(parsed((ROOT / path).read_bytes())):
        if isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules.add(node.module or "")
    return modules


@pytest.mark.parametrize("path", own_files(".py"), ids=str)
def test_no_module_named_systemd_is_imported(path: Path) -> None:
    # Our folder of that name holds units; as a package it would hide, or be hidden by, python-systemd.
    assert not any(module.split(".")[0] == "systemd" for module in _imported_modules(path))
