"""`yaosu qc run` and `qc suggest`: what a person at a terminal sees, and what a script reads."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app

RULES = """\
[channel.temperature.range]
suspect_high = 30.0
fail_high = 40.0
[channel.temperature.rate]
suspect = 5.0
"""


def csv_of(values: list[str]) -> str:
    rows = (f"2026-03-01T00:00:{k:02}+08:00,{value}" for k, value in enumerate(values))
    return "\n".join(["time,temperature", *rows]) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("rules.toml").write_text(RULES, encoding="utf-8")
    Path("good.csv").write_text(csv_of(["20.1", "20.2", "20.3"]), encoding="utf-8")
    Path("bad.csv").write_text(csv_of(["20.1", "20.2", "x", "33", "50", ""]), encoding="utf-8")
    return tmp_path


def yaosu(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["qc", *arguments])


def test_good_readings_end_with_0_and_a_summary(folder: Path) -> None:
    result = yaosu("run", "good.csv", "--rules", "rules.toml")
    assert result.exit_code == 0, result.output
    assert "3 rows, 0 findings" in result.stdout
    assert "time: column 'time', ISO 8601; stamps without an offset count as UTC" in result.stderr
    (row,) = [line for line in result.stdout.splitlines() if "rate" in line]
    assert row.replace("│", " ").split() == ["temperature", "rate", "-", "-", "-", "1", "2"]


def test_findings_end_with_1_and_are_told_by_line_and_rule(folder: Path) -> None:
    result = yaosu("run", "bad.csv", "--rules", "rules.toml", "--json", "--out", "flagged.csv")
    assert result.exit_code == 1, result.output
    told = json.loads(result.stdout)
    assert told["channels"]["temperature"] == {
        "missing": {"pass": 4, "not_evaluated": 0, "suspect": 0, "fail": 0, "missing": 2},
        "range": {"pass": 2, "not_evaluated": 2, "suspect": 1, "fail": 1, "missing": 0},
        "rate": {"pass": 1, "not_evaluated": 3, "suspect": 2, "fail": 0, "missing": 0},
        "all rules": {"pass": 2, "not_evaluated": 0, "suspect": 1, "fail": 1, "missing": 2},
    }
    broken = "bad.csv:4: 'x' in column 'temperature' is not a number: it counts as missing"
    assert told["problems"] == {"count": 1, "first": [broken]}
    assert broken in result.stderr
    lines = Path("flagged.csv").read_text(encoding="utf-8").splitlines()
    assert lines[4:] == [
        "2026-03-01T00:00:03+08:00,33,3,range rate", "2026-03-01T00:00:04+08:00,50,4,range rate",
        "2026-03-01T00:00:05+08:00,,9,missing",
    ]  # fmt: skip


def test_a_mistake_in_the_rules_has_its_line_and_column(folder: Path) -> None:
    Path("rules.toml").write_text("[channel.temperature.range]\nfail_hihg = 1.0\n", encoding="utf-8")
    result = yaosu("run", "good.csv", "--rules", "rules.toml")
    assert result.exit_code == 78
    assert "rules.toml:2:1: error[E012]: unknown key 'fail_hihg'" in result.stderr


def test_rules_for_a_column_that_is_not_there_have_their_line_and_column(folder: Path) -> None:
    Path("rules.toml").write_text(RULES + "[channel.temprature.gap]\n[channel.x]\n", encoding="utf-8")
    result = yaosu("run", "good.csv", "--rules", "rules.toml")
    assert result.exit_code == 78
    assert "rules.toml:6:10: error[E025]: good.csv has no column 'temprature'" in result.stderr
    assert "did you mean 'temperature'?" in result.stderr
    assert "rules.toml:7:10: error[E025]" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["good.csv", "--rules", "rules.toml", "--out", "x.xlsx"], 2, "name a .csv or .parquet file"),
        (["good.csv", "--rules", "rules.toml", "--out", "./good.csv"], 2, "name another one"),
        (["good.csv", "--rules", "rules.toml", "--time-format", "min"], 2, "iso, s, ms, us, ns"),
        (["good.csv", "--rules", "rules.toml", "--offset", "8"], 2, "+08:00"),
        (["good.csv", "--rules", "rules.toml", "--time", "when"], 74, "no column 'when'"),
        (["good.csv", "--rules", "none.toml"], 78, "error[E001]"),
        (["empty.csv", "--rules", "rules.toml"], 74, "no header line"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_with_the_way_out(
    folder: Path, arguments: list[str], code: int, words: str
) -> None:
    Path("empty.csv").touch()
    result = yaosu("run", *arguments)
    assert result.exit_code == code, result.output
    assert words in result.stderr
    assert result.stdout == ""


def test_windows_that_are_too_large_are_refused(folder: Path) -> None:
    Path("rules.toml").write_text(
        "[channel.temperature.flat_line]\ntolerance = 0.1\nfail_s = 1e6\n", encoding="utf-8"
    )
    result = yaosu("run", "good.csv", "--rules", "rules.toml", "--interval", "0.0001")
    assert result.exit_code == 78
    assert "channel 'temperature': the windows of the rules need" in result.stderr


def test_time_stamps_may_be_described(folder: Path) -> None:
    Path("n.csv").write_text("temperature,when\n20,1772323200000\n45,1772323200500\n", encoding="utf-8")
    result = yaosu("run", "n.csv", "--rules", "rules.toml", "--time", "when", "--json")
    told = json.loads(result.stdout)
    assert told["time"] == {"column": "when", "format": "ms"}
    assert told["channels"]["temperature"]["rate"]["suspect"] == 1
    assert "milliseconds since 1970" in result.stderr


def test_a_suggestion_is_a_file_of_rules_that_runs(folder: Path) -> None:
    rows = "".join(f"{k},{20 + (k * 7919 % 101) / 100}\n" for k in range(500))
    Path("data.csv").write_text("time,temperature\n" + rows, encoding="utf-8")
    result = yaosu("suggest", "data.csv")
    assert result.exit_code == 0, result.output
    assert "A person decides" in result.stdout
    assert "no decision" in result.stderr
    assert "range would have flagged 0 of 500" in result.stdout
    assert tomllib.loads(result.stdout)["channel"]["temperature"]["gap"]["interval_s"] == 3.0
    Path("proposed.toml").write_text(result.stdout, encoding="utf-8")
    assert yaosu("run", "data.csv", "--rules", "proposed.toml").exit_code == 0
    told = json.loads(yaosu("suggest", "data.csv", "--column", "temperature", "--json").stdout)
    assert told["channels"]["temperature"]["would_have_flagged"]["rate"]["fail"] == 0


def test_a_file_without_numbers_gets_no_suggestion(folder: Path) -> None:
    Path("data.csv").write_text("time,note\n0,a\n", encoding="utf-8")
    result = yaosu("suggest", "data.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no column of numbers" in result.stderr


def test_as_a_program_it_ends_with_74_for_a_file_that_is_not_there(folder: Path) -> None:
    command = [sys.executable, "-c", "from gateway.cli.main import main; main()"]
    done = subprocess.run(
        [*command, "qc", "run", "none.csv", "--rules", "rules.toml"],
        capture_output=True, text=True, check=False, timeout=50,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 74
    assert "none.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_from_a_spreadsheet_is_read_with_commas_and_slashes(folder: Path) -> None:
    rows = [
        "2026/3/1 8:00:00;21,5",
        "2026/3/1 8:00:05;35,7",
        "2026/03/01 08:00:10;",
        "2026/3/1 8:00:15;1.021,5",
    ]
    Path("office.csv").write_text("﻿采样时间;温度 ℃\r\n" + "\r\n".join(rows) + "\r\n", encoding="utf-8")
    Path("rules.toml").write_text('[channel."温度 ℃".range]\nfail_high = 30.0\n', encoding="utf-8")
    wrong = yaosu("run", "office.csv", "--rules", "rules.toml")
    assert wrong.exit_code == 1
    assert "office.csv:2: '21,5' in column '温度 ℃' is not a number" in wrong.stderr
    assert "--decimal ," in wrong.stderr
    found = yaosu("run", "office.csv", "--rules", "rules.toml", "--decimal", ",", "--out", "f.csv", "--json")
    content = json.loads(found.stdout)
    assert content["rows_without_time"] == 0
    counts = content["channels"]["温度 ℃"]["all rules"]
    assert (counts["pass"], counts["fail"], counts["missing"]) == (1, 1, 2)
    assert content["problems"]["first"] == [
        "office.csv:5: '1.021,5' in column '温度 ℃' is not a number: it counts as missing"
    ]
    assert Path("f.csv").read_text(encoding="utf-8").splitlines()[2] == "2026/3/1 8:00:05;35,7;4;range"
    assert yaosu("run", "office.csv", "--rules", "rules.toml", "--decimal", "x").exit_code == 2
    nowhere = yaosu("run", "office.csv", "--rules", "rules.toml", "--out", "nowhere/f.csv")
    assert nowhere.exit_code == 74
    assert "there is no folder nowhere; make it" in nowhere.stderr


def test_two_columns_of_one_name_get_no_suggestion(folder: Path) -> None:
    Path("twice.csv").write_text("time,t,t\n2026-03-01T08:00:00Z,1,2\n", encoding="utf-8")
    refused = yaosu("suggest", "twice.csv")
    assert refused.exit_code == 74
    assert "2 columns are called 't'; rename all but one" in refused.stderr
    assert refused.stdout == ""
