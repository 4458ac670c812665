"""Commands that need no daemon: check, explain, init, journal, keys, and what they answer to bad input."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from gateway.cli.main import main
from gateway.demo.site import REGISTRY
from gateway.site import load_site
from tests.support.commanding import MAIN, NEW_SECRETS, log_untouched, yaosu

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["log_untouched"]

SITE = '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n'
WRONG = '[site]\nlab = "Lab"\ngateway = "gw"\ntitel = "x"\nstate_dir = "state"\n[web]\nport = 1883\n'
OVERDUE = """
[[equipment]]
id = "EQ-1"
instrument = "bal-1"
[equipment.metrology]
kind = "calibration"
certificate = "C-1"
laboratory = "L"
confirmed_by = "p-0001"
confirmed_at = 2020-01-02T00:00:00+08:00
due = 2021-01-01T00:00:00+08:00
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


class TestCheck:
    def test_good_files_are_called_good(self, tmp_path: Path) -> None:
        site = write(tmp_path, "gateway.toml", SITE)
        outcome = yaosu("check", site, REGISTRY)
        assert outcome.code == 0
        told = outcome.out.splitlines()
        idle = "; no instruments: a gateway with it reads nothing, see: yaosu scan, yaosu profile use"
        assert told[:2] == [f"{site}: good{idle}", "  the rules keep up to 0.00 MiB of readings"]

    @pytest.mark.parametrize("command", ["run", "collect", "web", "status", "init"])
    def test_a_wrong_configuration_is_told_whole_and_starts_nothing(
        self, tmp_path: Path, command: str
    ) -> None:
        path = write(tmp_path, "gateway.toml", WRONG)
        outcome = yaosu(command, "-c", path, **NEW_SECRETS)
        assert outcome.code == 78
        assert outcome.out == ""
        places = [line.removeprefix(f"{path}:").split(" ")[0] for line in outcome.err.splitlines()]
        assert places == ["2:7:", "4:1:", "7:8:"]
        assert names(tmp_path) == ["gateway.toml"]

    def test_all_files_are_checked_before_the_command_ends(self, tmp_path: Path) -> None:
        first, second = write(tmp_path, "a.toml", WRONG), write(tmp_path, "b.toml", "[site\n")
        good = write(tmp_path, "c.toml", SITE)
        outcome = yaosu("check", first, second, tmp_path / "none.toml", good)
        assert outcome.code == 78
        assert [
            code for code in ("E014", "E012", "E003", "E001") if f"error[{code}]" not in outcome.err
        ] == []
        assert outcome.out.startswith(f"{good}: good; no instruments")
        assert outcome.out.endswith("\n  the rules keep up to 0.00 MiB of readings\n")

    def test_json_alone_is_on_standard_output(self, tmp_path: Path) -> None:
        path = write(tmp_path, "gateway.toml", WRONG)
        outcome = yaosu("check", path, "--json")
        assert outcome.code == 78
        (findings,) = outcome.json.values()
        assert [(each["code"], each["line"]) for each in findings] == [("E014", 2), ("E012", 4), ("E027", 7)]

    def test_an_overdue_certificate_in_a_registry_is_a_warning(self, tmp_path: Path) -> None:
        path = write(tmp_path, "registry.toml", OVERDUE)
        outcome = yaosu("check", path)
        assert outcome.code == 0
        assert "warning[E024]" in outcome.err
        assert outcome.out == f"{path}: good, 1 to look at\n"

    def test_impossible_dates_in_a_registry_are_an_error(self, tmp_path: Path) -> None:
        early = "valid_from = 2026-01-01T00:00:00+08:00\nvalid_to = 2025-01-01T00:00:00+08:00\n"
        path = write(tmp_path, "registry.toml", OVERDUE.replace('id = "EQ-1"\n', f'id = "EQ-1"\n{early}'))
        outcome = yaosu("check", path)
        assert outcome.code == 78
        assert "error[E024]" in outcome.err

    def test_a_site_file_without_its_site_table_is_not_taken_for_a_registry(self, tmp_path: Path) -> None:
        outcome = yaosu("check", write(tmp_path, "gateway.toml", "[mqtt]\nport = 1883\n"))
        assert outcome.code == 78
        assert "missing key 'site'" in outcome.err

    def test_a_byte_order_mark_is_no_part_of_a_registry(self, tmp_path: Path) -> None:
        assert yaosu("check", write(tmp_path, "registry.toml", "\ufeff" + OVERDUE)).code == 0


class TestExplain:
    def test_a_code_is_explained_in_both_languages(self) -> None:
        outcome = yaosu("explain", "e012")
        assert outcome.code == 0
        assert "E012: unknown key" in outcome.out
        assert "未知的键" in outcome.out

    def test_an_unknown_code_gets_the_nearest_or_all(self) -> None:
        outcome = yaosu("explain", "E999")
        assert outcome.code == 2
        assert "E001" in outcome.err


class TestInit:
    def test_the_first_run_writes_the_commented_example(self, tmp_path: Path) -> None:
        path = tmp_path / "gateway.toml"
        outcome = yaosu("init", "-c", path)
        assert outcome.code == 0
        assert "yaosu check" in outcome.out
        text = path.read_text(encoding="utf-8")
        assert text.startswith("#")
        assert "instrument" in tomllib.loads(text)
        load_site(path)
        assert names(tmp_path) == ["gateway.toml"]

    def test_the_second_run_makes_the_gateway_and_the_third_refuses(self, tmp_path: Path) -> None:
        path = write(tmp_path, "gateway.toml", SITE)
        outcome = yaosu("init", "-c", path, "--person", "p-0001", **NEW_SECRETS)
        assert outcome.code == 0, outcome.err
        state = tmp_path / "state"
        assert names(state) == ["journal", "persons.json"]
        assert state.stat().st_mode & 0o007 == 0
        assert (state / "persons.json").stat().st_mode & 0o077 == 0
        again = yaosu("init", "-c", path, **NEW_SECRETS)
        assert again.code == 1
        assert "in use already" in again.err
        assert "[site] state_dir" in again.err
        report = yaosu("journal", "verify", "-c", path, "--json")
        assert report.code == 0
        assert report.json["problems"] == []
        assert yaosu("journal", "stat", "-c", path, "--json").json["receipted"] == []
        assert "nothing" in yaosu("journal", "stat", "-c", path).out

    @pytest.mark.parametrize(
        ("secrets", "person", "what"),
        [
            (NEW_SECRETS | {"YAOSU_NEW_PASSWORD": "short"}, "p-0001", "at least 8 characters"),
            (NEW_SECRETS | {"YAOSU_NEW_PIN": "12"}, "p-0001", "at least 6 digits"),
            (NEW_SECRETS, "秦 望舒", "no name may stand"),
            ({}, "p-0001", "YAOSU_NEW_PASSWORD"),
        ],
    )
    def test_what_does_not_do_leaves_nothing_behind(
        self, tmp_path: Path, secrets: dict[str, str], person: str, what: str
    ) -> None:
        path = write(tmp_path, "gateway.toml", SITE.replace('"state"', '"deep/state"'))
        outcome = yaosu("init", "-c", path, "--person", person, **secrets)
        assert outcome.code == 2
        assert what in outcome.err
        assert names(tmp_path) == ["gateway.toml"]

    def test_a_folder_that_is_not_there_is_told_without_a_traceback(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["yaosu", "init", "-c", str(tmp_path / "none" / "gateway.toml")])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 74
        out, err = capsys.readouterr()
        assert err.startswith("error: ")  # without colour: this is no terminal
        assert out == ""


class TestJournalAndKeys:
    @pytest.mark.parametrize("command", ["stat", "verify"])
    def test_where_there_is_no_journal_the_way_to_one_is_told(self, tmp_path: Path, command: str) -> None:
        outcome = yaosu("journal", command, "-c", write(tmp_path, "gateway.toml", SITE))
        assert outcome.code == 69
        assert "yaosu init" in outcome.err

    def test_looking_at_keys_makes_none(self, tmp_path: Path) -> None:
        path = write(tmp_path, "gateway.toml", SITE)
        outcome = yaosu("keys", "show", "-c", path, "--json")
        assert outcome.json == {
            "log": None, "rehearsal_log": None, "collector": None, "witness": None, "trusted": {},
            "trusted_witnesses": {}, "commands": {}, "services": {},
        }  # fmt: skip
        assert names(tmp_path) == ["gateway.toml"]
        assert "yaosu collect" in yaosu("keys", "show", "-c", path).out

    def test_a_key_is_trusted_and_shown(self, tmp_path: Path) -> None:
        path = write(tmp_path, "gateway.toml", SITE)
        assert yaosu("keys", "trust", "3b" * 32, "-c", path).code == 0
        assert list(yaosu("keys", "show", "-c", path, "--json").json["trusted"].values()) == ["3b" * 32]

    @pytest.mark.parametrize("public", ["zz", "00", "3b" * 31])
    def test_what_is_no_key_is_refused(self, tmp_path: Path, public: str) -> None:
        outcome = yaosu("keys", "trust", public, "-c", write(tmp_path, "gateway.toml", SITE))
        assert outcome.code == 2
        assert "64 hexadecimal digits" in outcome.err


class TestPortInUse:
    @pytest.fixture
    def taken(self) -> Iterator[int]:
        with socket.socket() as taker:
            taker.bind(("127.0.0.1", 0))
            taker.listen()
            yield taker.getsockname()[1]

    @pytest.mark.usefixtures("log_untouched")
    def test_the_pages_say_who_wants_it_and_how_to_change_it(self, tmp_path: Path, taken: int) -> None:
        path = write(tmp_path, "gateway.toml", f"{SITE}[web]\nport = {taken}\n")
        outcome = yaosu("web", "-c", path)
        assert outcome.code == 69
        assert "role web" in outcome.err
        assert f"port {taken}" in outcome.err
        assert "[web] port" in outcome.err

    def test_the_demo_says_so_before_it_starts_anything(self, taken: int) -> None:
        outcome = yaosu("demo", "--port", taken, "--duration", "1", "--json")
        assert outcome.code == 69
        assert "role web" in outcome.err
        assert "--port" in outcome.err
        assert outcome.out == ""

    def test_the_simulator_says_which_instrument_wants_it(self, tmp_path: Path, taken: int) -> None:
        path = write(
            tmp_path, "rig.toml",
            f'[scenario]\nname = "rig"\ntitle_en = "rig"\ntitle_zh = "台"\nseed = 1\nduration_s = 1.0\n'
            f'[[vessel]]\nid = "v"\n[[instrument]]\nid = "p-1"\ntype = "pressure"\nserial = "SIM-P-1"\n'
            f'tcp_port = {taken}\nsettings = {{ vessel = "v" }}\n',
        )  # fmt: skip
        outcome = yaosu("sim", "run", path, "--dir", tmp_path / "simulated")
        assert outcome.code == 69
        assert "simulator of instrument 'p-1'" in outcome.err
        assert "tcp_port" in outcome.err


def test_the_scenarios_are_listed() -> None:
    outcome = yaosu("sim", "list")
    assert outcome.code == 0
    assert "two_benches" in outcome.out
    told = {each["scenario"]: each for each in yaosu("sim", "list", "--json").json}
    assert {"id": "bal-1", "type": "balance"} in told["two_benches"]["instruments"]
    assert "identical-windows" in {day["id"] for day in told["detectors"]["days"]}


def test_an_unknown_scenario_is_a_usage_error_that_lists_them() -> None:
    outcome = yaosu("sim", "run", "nonsense")
    assert outcome.code == 2
    assert "single_tcp" in outcome.err


class TestColour:
    """On a terminal only, and not where NO_COLOR is set."""

    RED = "\x1b[1;31m"

    def shown(self, folder: Path, **environment: str) -> str:
        """What a terminal gets on standard error."""
        ours, theirs = pty.openpty()
        cleared = {name: os.environ[name] for name in os.environ if name not in {"NO_COLOR", "FORCE_COLOR"}}
        with os.fdopen(ours, "rb", buffering=0) as reader:
            subprocess.run(
                [sys.executable, "-c", MAIN, "explain", "E999"], stderr=theirs, stdin=subprocess.DEVNULL,
                check=False, cwd=folder, env={**cleared, "TERM": "xterm", **environment}, timeout=60,
            )  # fmt: skip
            os.close(theirs)
            return reader.read(4096).decode()

    def test_an_error_is_red_on_a_terminal(self, tmp_path: Path) -> None:
        assert self.RED in self.shown(tmp_path)

    def test_not_where_no_color_is_set(self, tmp_path: Path) -> None:
        assert "31m" not in self.shown(tmp_path, NO_COLOR="1")


def test_the_days_of_the_detectors_are_listed_with_how_to_play_them() -> None:
    outcome = yaosu("sim", "list")
    assert outcome.code == 0
    assert "yaosu demo detectors --day" in outcome.out
    assert "identical-windows" in outcome.out
    assert "tests only" not in outcome.out, "each can be played"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("detectors",), "choose one with --day: sample-handling, "),
        (("detectors", "--day", "nonsense"), "there is no day 'nonsense'"),
        (("two_benches", "--clean"), "leave out --day and --clean"),
        (("single_tcp",), "no laboratory goes with the scenario 'single_tcp'"),
    ],
)
def test_a_demonstration_that_nobody_can_play_is_a_usage_error(arguments: tuple[str, ...], told: str) -> None:
    outcome = yaosu("demo", *arguments, "--port", "0", "--no-open")
    assert outcome.code == 2
    assert told in " ".join(outcome.err.split())
