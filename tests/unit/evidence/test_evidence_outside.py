"""What docs/evidence.md tells an outsider to do, done as written: two libraries and a few files alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipeline.evidence.create import create
from tests.support.paper_log import TASK, paper_log, policy_text, signing_key
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

ALONE = """
import sys
class Nothing:
    def find_spec(self, name, path=None, target=None):
        whole = name.partition(".")[0]
        if whole not in sys.stdlib_module_names | {"pipeline", "cryptography", "msgpack", "_cffi_backend"}:
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Nothing())
"""
"""Nothing else can be imported, as in an environment in which nothing else is installed."""


def command() -> str:
    """The program that the page gives."""
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    (found,) = re.findall(
        r"^PYTHONPATH=copy check/bin/python -c '\n(.*?)'\n```", page, re.DOTALL | re.MULTILINE
    )
    return str(found)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "pipeline" / "evidence", tmp_path / "copy" / "pipeline" / "evidence")
    shutil.copy(ROOT / "pipeline" / "__init__.py", tmp_path / "copy" / "pipeline")
    log = paper_log()
    log.change_witness_key("institute", signing_key(80))
    log.seal()
    create(log, TASK, tmp_path / "task.evidence")
    (tmp_path / "policy.txt").write_text(policy_text(), encoding="utf-8")
    return tmp_path


def check(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ALONE + command()],
        cwd=folder, env={"PYTHONPATH": "copy"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def test_a_file_verifies_with_two_libraries_alone(outside: Path) -> None:
    said = check(outside)
    assert said.endswith("VERIFIED\n\n")
    assert "NOT" not in said
    assert "changed its key" in said


def test_a_tampered_file_does_not(outside: Path) -> None:
    data = bytearray((outside / "task.evidence").read_bytes())
    data[-100] ^= 1
    (outside / "task.evidence").write_bytes(data)
    said = check(outside)
    assert said.startswith("NOT GOOD: seq ")
    assert said.endswith("NOT VERIFIED\n\n")
