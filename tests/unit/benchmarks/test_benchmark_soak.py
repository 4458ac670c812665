"""The long runs leave their seeds and counts, and RESULTS.md takes them in."""

from pathlib import Path

import pytest

from benchmarks.soak import SOAK_FILE, read, results_section
from tests.support import soak


def test_runs_are_appended_and_become_rows_with_seed_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "output" / "soak.json"
    soak.keep("power-cut images", "ab12", {"images": 1_000_123, "seeds": 4_000}, path=path)
    soak.keep("aimed SIGKILLs", "7", {"kills": 1_000}, path=path)
    text = results_section({"soak": read(path)})
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert "power-cut images | `ab12` | 1,000,123 images, 4,000 seeds | 0 | 0 | 0 |" in rows[0]
    assert "aimed SIGKILLs | `7` | 1,000 kills | 0 | 0 | 0 |" in rows[1]
    assert soak.commit() in rows[0]


def test_without_a_run_the_section_says_so(tmp_path: Path) -> None:
    assert "None has ended on this machine yet." in " ".join(
        results_section({"soak": read(tmp_path / "none.json")}).split()
    )


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "soak.json"
    soak.keep("aimed SIGKILLs", "7", {"kills": 1}, path=path)
    with path.open("a", encoding="utf-8") as file:
        file.write("{torn\n")
    with pytest.raises(ValueError, match=r"soak\.json:2: .* remove the line"):
        read(path)


def test_tests_write_the_file_that_the_benchmarks_read() -> None:
    assert soak.SOAK_FILE == SOAK_FILE
