"""The frame of the benchmarks: medians over runs, and text from figures."""

import argparse
import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import BENCHMARKS, BenchmarkFailedError, document, parse, section
from benchmarks.results import medians, section_text, times


def test_medians_are_taken_of_every_figure_and_are_values_that_were_measured() -> None:
    runs = [{"a": {"x_s": value}, "name": "one", "sure": True} for value in (3.0, 0.1, 7.5, 2.0)]
    assert medians(runs) == {"a": {"x_s": 2.0}, "name": "one", "sure": True}


def test_a_figure_that_one_run_lacks_has_no_median() -> None:
    assert medians([{"p99_ms": 1.5}, {"p99_ms": None}]) == {"p99_ms": None}


@pytest.mark.parametrize(("ratio", "text"), [(2.26, "2.3 times"), (1.0, "1.0 times"), (0.42, "42 % of")])
def test_a_ratio_reads_well_on_either_side_of_one(ratio: float, text: str) -> None:
    assert times(ratio) == text


def test_a_section_says_what_it_means_before_its_table() -> None:
    text = section_text("Title", "word " * 60, ("what", "measured"), [("speed", "3")])
    assert text.splitlines()[0] == "## Title"
    assert text.splitlines()[-3:] == ["| what | measured |", "| --- | --- |", "| speed | 3 |"]
    assert max(len(line) for line in text.splitlines()) <= 110


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda one: one.name)
def test_every_benchmark_fits_the_frame(benchmark: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"benchmarks.{benchmark.name}")
    assert callable(module.results_section)
    with pytest.raises(SystemExit) as ended:
        module.main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "--json" in told
    assert all(option in told for option in benchmark.quick if option.startswith("--"))


def test_the_document_names_machine_runs_load_and_the_command_that_repeats_it() -> None:
    journal: dict[str, float] = {
        "readings_per_s": 3e6, "commit_p50_ms": 50.0, "commit_p99_ms": 90.0, "loop_blocked_p99_ms": 2.0,
        "loop_late_p99_ms": 3.0, "open_s": 0.1, "bytes": 1,
    }  # fmt: skip
    opened = {"segments": 10, "tail": 1, "open_s": 0.1, "cpu_s": 0.1}
    tree = {"append_beyond_leaf_us_200": 1.0, "append_beyond_leaf_us_9000": 1.0}
    found = {
        "seconds": 3.0, "journal": journal, "sqlite_full": {**journal, "readings_per_s": 6e6},
        "small": opened, "large": opened, "full": opened, "tree": tree,
    }  # fmt: skip
    benchmark = next(one for one in BENCHMARKS if one.name == "journal")
    outcome = {
        "found": found, "runs": 5, "load_1_min": [0.5, 2.25], "measured": "2026-03-01 08:41 UTC, commit 12ab"
    }  # fmt: skip
    text = section(benchmark, outcome)
    assert "the journal takes 50 % of what SQLite takes." in " ".join(text.split())
    assert (
        '`make bench ARGS="--only journal"`; medians of 5 runs; load of the machine before it: 0.50 to 2.25; '
        "2026-03-01 08:41 UTC, commit 12ab." in text
    )
    whole = document(datetime(2026, 3, 1, 8, 30, tzinfo=UTC), {"cpu": "a processor", "cores": 2}, [text])
    assert whole.startswith("# Measured\n")
    assert "2026-03-01 08:30 UTC" in whole
    assert "| cores | 2 |" in whole


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(["--only", "qc", "--only", "store", "--quick"]) == argparse.Namespace(
        only=["qc", "store"], quick=True, json=False, go_on=False, earlier=[]
    )
    with pytest.raises(SystemExit):
        parse(["--only", "quartz"])
    assert "invalid choice: 'quartz'" in capsys.readouterr().err


def test_a_run_that_was_broken_off_goes_on_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = importlib.import_module("benchmarks.__main__")
    wanted = [one for one in BENCHMARKS if one.name in {"qc", "soak"}]
    monkeypatch.setattr(frame, "BENCHMARKS", wanted)
    monkeypatch.setattr(frame, "UNFINISHED", tmp_path / "cache" / "unfinished.json")
    monkeypatch.setattr(frame, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(frame, "ROOT", tmp_path)
    monkeypatch.setattr(frame, "section", lambda benchmark, outcome: f"{benchmark.name}: {outcome['found']}")
    ran: list[str] = []
    broken = {"soak"}

    def measure(benchmark: Any, *, quick: bool) -> dict[str, Any]:
        assert not quick
        ran.append(benchmark.name)
        if benchmark.name in broken:
            raise BenchmarkFailedError(benchmark.name)
        return {"machine": {"load_1_min": "0.50"}, "figure": len(ran)}

    monkeypatch.setattr(frame, "run_once", measure)
    assert frame.main([]) == 1
    assert not (tmp_path / "RESULTS.md").exists()
    assert "--continue" in capsys.readouterr().err
    broken.clear()
    assert frame.main(["--continue"]) == 0
    assert ran == ["qc", "soak", "soak"]
    written = (tmp_path / "RESULTS.md").read_text()
    assert "qc: {'machine': {'load_1_min': '0.50'}, 'figure': 1}" in written
    assert "'figure': 3" in written
    assert frame.main([]) == 0
    assert ran[3:] == ["qc", "soak"]


def test_a_section_of_an_earlier_run_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr(frame, "BENCHMARKS", [one for one in BENCHMARKS if one.name in {"qc", "soak"}])
    monkeypatch.setattr(frame, "UNFINISHED", tmp_path / "cache" / "unfinished.json")
    monkeypatch.setattr(frame, "RESULTS", tmp_path / "RESULTS.md")
    monkeypatch.setattr(frame, "ROOT", tmp_path)
    monkeypatch.setattr(frame, "section", lambda benchmark, _: f"## Of today\n{benchmark.name}\n")
    ran: list[str] = []

    def measure(benchmark: Any, *, quick: bool) -> dict[str, Any]:
        assert not quick
        ran.append(benchmark.name)
        return {"machine": {"load_1_min": "0.50"}}

    monkeypatch.setattr(frame, "run_once", measure)
    then = '## Of then\n\nTable.\n\n`make bench ARGS="--only soak"`; 2026-01-01, commit abc.\n'
    (tmp_path / "RESULTS.md").write_text(f"# Measured\n\n{then}")
    assert frame.main(["--earlier", "soak"]) == 0
    assert ran == ["qc"]
    written = (tmp_path / "RESULTS.md").read_text()
    assert written.endswith(f"## Of today\nqc\n\n{then}")
    with pytest.raises(SystemExit, match="has no section of qc"):
        frame.main(["--earlier", "qc"])
    assert ran == ["qc"], "that is said before anything is measured"
    capsys.readouterr()
