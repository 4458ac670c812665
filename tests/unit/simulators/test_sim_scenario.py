"""Scenario files: what is shipped loads, what is wrong is said with its place."""

from pathlib import Path

import pytest

from config.errors import ConfigInvalid
from simulators import Scenario, ScenarioError, list_scenarios, load_scenario
from simulators.exchange import AnswerBook, Exchange
from simulators.faults import FaultWindow
from simulators.scenario import with_ports

HEADER = """
[scenario]
name = "test"
title_en = "T"
title_zh = "T"
seed = 1
duration_s = 30.0
"""
GAUGE = """
[[vessel]]
id = "v"

[[instrument]]
id = "p-1"
type = "pressure"
serial = "SIM-P-1"
tcp_port = 0
settings = { vessel = "v" }
"""


def codes_of(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        load_scenario(path)
    assert all(found.line is not None for found in caught.value.findings)
    return [found.code for found in caught.value.findings]


def test_all_shipped_scenarios_load_and_bear_their_file_name() -> None:
    assert list_scenarios() == ["clean", "detectors", "single_tcp", "two_benches"]
    for name in list_scenarios():
        assert load_scenario(name).scenario.name == name


def test_a_scenario_loads_by_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEADER + GAUGE, encoding="utf-8")
    assert load_scenario(path) == load_scenario(str(path))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ScenarioError, match="choose one of clean, detectors, single_tcp, two_benches"):
        load_scenario("nothing")


def test_the_clean_scenario_is_the_demonstration_without_faults() -> None:
    demo, clean = load_scenario("two_benches"), load_scenario("clean")
    assert clean.instrument == demo.instrument
    assert (clean.line, clean.vessel) == (demo.line, demo.vessel)
    assert not clean.fault
    assert not clean.expect


def test_the_faults_of_the_demonstration_show_within_its_length_and_recur() -> None:
    demo = load_scenario("two_benches")
    kinds = {fault.kind for fault in demo.fault}
    assert kinds == {"excursion", "spike", "stuck", "disconnect"}
    for fault in demo.fault:
        assert fault.to_s is not None
        assert fault.to_s <= demo.scenario.duration_s
        assert fault.every_s == 60.0
    for kind in ("flag", "verdict", "event", "gap"):
        assert any(expected.kind == kind for expected in demo.expect)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEADER + GAUGE + 'unit_id = "x"\n', "E012"),
        (HEADER + GAUGE + GAUGE.split("[[instrument]]", maxsplit=1)[0], "E021"),
        (HEADER + GAUGE + "[[instrument]]" + GAUGE.split("[[instrument]]")[1], "E021"),
        (HEADER + GAUGE.replace('vessel = "v"', 'vessel = "w"'), "E025"),
        (HEADER + GAUGE.replace("tcp_port = 0\n", ""), "E020"),
        (HEADER + GAUGE.replace("tcp_port = 0", 'line = "bus"'), "E025"),
        (HEADER + GAUGE + '[[fault]]\nkind = "no_answer"\ninstrument = "p-9"\n', "E025"),
        (HEADER + GAUGE + '[[fault]]\nkind = "stuck"\ninstrument = "p-1"\nchannel = "mass"\n', "E025"),
        (HEADER + GAUGE + '[[expect]]\nkind = "gap"\ninstrument = "p-9"\n', "E025"),
        (HEADER + GAUGE + '[[line]]\nid = "bus"\npath = "/dev/ttyS0"\n', "E019"),
        (HEADER + GAUGE + '[[line]]\nid = "bus"\npath = "bus"\nbaud = 12345\n', "E019"),
        (HEADER + GAUGE.replace("SIM-P-1", "P-1"), "E014"),
    ],
)
def test_wrong_files_are_refused_with_code_and_line(tmp_path: Path, text: str, code: str) -> None:
    assert code in codes_of(tmp_path, text)


def test_two_instruments_cannot_share_a_port_a_unit_or_a_protocol(tmp_path: Path) -> None:
    line = '[[line]]\nid = "bus"\npath = "bus"\n'
    room = '[[instrument]]\nid = "{}"\ntype = "temperature_humidity"\nserial = "SIM-1"\nline = "bus"\n'
    balance = '[[instrument]]\nid = "bal"\ntype = "balance"\nserial = "SIM-2"\nline = "bus"\n'
    assert codes_of(tmp_path, HEADER + line + room.format("a") + room.format("b")) == ["E022"]
    assert codes_of(tmp_path, HEADER + line + room.format("a") + balance) == ["E022"]
    two = GAUGE.replace("tcp_port = 0", "tcp_port = 5020")
    second = "[[instrument]]" + two.split("[[instrument]]")[1].replace("p-1", "p-2")
    assert codes_of(tmp_path, HEADER + two + second) == ["E027"]


def test_every_fault_of_a_scenario_is_a_fault_window() -> None:
    assert all(isinstance(fault, FaultWindow) for fault in load_scenario("two_benches").fault)
    assert Scenario.model_config["extra"] == "forbid"


def test_the_answer_log_grows_by_whole_lines_and_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    exchange = Exchange("p-1", 1, b"\x01", b"\x02", {"pressure": 0.1 + 0.2})
    for _ in range(2):
        with AnswerBook(path) as book:
            book.record(exchange)
            assert book.answered == {"p-1": 1}
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert '"values":{"pressure":0.30000000000000004}' in lines[0]


def test_instruments_without_a_port_of_their_own_take_the_next_ones_in_order() -> None:
    demo = load_scenario("two_benches")
    fixed = with_ports(demo, 5020)
    ports = {entry.id: entry.tcp_port for entry in fixed.instrument if entry.tcp_port is not None}
    assert ports == {"p-1": 5020, "p-2": 5021, "em-1": 5022}
    assert with_ports(fixed, 6000) == fixed
    with pytest.raises(ScenarioError, match="too few ports from 65534"):
        with_ports(demo, 65534)
