"""The guide to a new rule is followed to the letter, on a copy of the package, and the rule works there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

PAGE = ROOT / "docs" / "qc" / "adding-a-rule.md"
BLOCK = re.compile(r"\*\*(?P<step>\d)\. .*?```(?:python|text)\n(?P<code>.*?)```", re.DOTALL)
LINES_MAX = 40
PEAK = """
from pathlib import Path

def pytest_terminal_summary(terminalreporter):
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    terminalreporter.write_line(f"peak {line.split()[1]} kB")
"""
"""Tells what the test took: it begins with an empty cache of kernels, and all of them."""


def steps() -> dict[str, str]:
    """Code of each numbered step of the page."""
    return {found["step"]: found["code"] for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))}


def put(path: Path, mark: str, code: str, *, after: bool) -> None:
    """Insert code after or before a line that stands once in a file."""
    text = path.read_text(encoding="utf-8")
    assert text.count(mark) == 1, (path, mark)
    path.write_text(text.replace(mark, mark + code if after else code + mark), encoding="utf-8")


def test_the_example_takes_fewer_than_40_lines() -> None:
    found = steps()
    assert list(found) == ["1", "2", "3", "4"]
    own = "".join(found[step] for step in "123")
    assert len([line for line in own.splitlines() if line.strip()]) < LINES_MAX


@pytest.mark.timeout(320)
def test_a_copy_of_the_package_with_the_example_passes_its_test(tmp_path: Path) -> None:
    for package in ("config", "pipeline"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    qc, code = tmp_path / "pipeline" / "qc", steps()
    put(qc / "settings_patterns.py", "class UnitChangeQc(Settings):", code["1"] + "\n\n", after=False)
    put(qc / "settings.py", "import IdenticalQc,", " CoarseQc,", after=True)
    field = '    coarse: CoarseQc | None = None\n    """Coarse reading."""\n'
    put(qc / "settings.py", "    stable_by_design: bool", field, after=False)
    put(qc / "kernels" / "basic.py", "@kernel\ndef gap(", code["2"] + "\n\n", after=False)
    put(qc / "kernels" / "__init__.py", "kernels.basic import ", "coarse, ", after=True)
    put(qc / "table.py", "settings_patterns import IdenticalQc,", " CoarseQc,", after=True)
    put(qc / "table.py", "\n)  # fmt: skip\n\nBY_NAME", "\n" + code["3"].rstrip(), after=False)
    own_test = tmp_path / "test_coarse.py"
    own_test.write_text(code["4"], encoding="utf-8")
    (tmp_path / "conftest.py").write_text(PEAK, encoding="utf-8")
    environment = {
        **os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path),
         str(own_test)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    (peak_kib,) = re.findall(r"peak (\d+) kB", done.stdout)
    # With the compiler at work in it, a process takes above 300 MB.
    assert int(peak_kib) < 230_000, "the kernels were compiled by the process that needs them"
