"""What `yaosu check` finds in site files: everything at once, each with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgpack
import pytest

from config import ConfigInvalid
from gateway.site import load_site
from pipeline.qc import ChannelQc

if TYPE_CHECKING:
    from pathlib import Path

    from config import Finding

SITE = """\
[site]
lab = "lab"
gateway = "gw"
"""
RTU = """
[[instrument]]
id = "{id}"
driver = "modbus-rtu"
port = "/dev/ttyUSB0"
unit = {unit}
{more}
"""
CHANNEL = '[[instrument.channels]]\nname = "{name}"\naddress = {address}\ntype = "int16"\n'


def findings(folder: Path, text: str) -> tuple[Finding, ...]:
    path = folder / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    try:
        return load_site(path).warnings
    except ConfigInvalid as invalid:
        return invalid.findings


def codes(found: tuple[Finding, ...]) -> list[str]:
    return [each.code for each in found]


def place(text: str, needle: str) -> tuple[int, int]:
    """Line and column, counted from 1, of the only place where `needle` stands."""
    (line,) = [number for number, each in enumerate(text.splitlines(), 1) if needle in each]
    return line, text.splitlines()[line - 1].index(needle) + 1


def one_channel(qc: str, *, more: str = "", channel: str = "") -> str:
    return (
        SITE + RTU.format(id="a", unit=1, more=more) + CHANNEL.format(name="t", address=0) + channel + qc
    )  # fmt: skip


def test_an_asset_is_named_as_the_registry_names_it(tmp_path: Path) -> None:
    assert findings(tmp_path, one_channel("", more='asset = "EQ-101"')) == ()


def test_a_good_site_has_no_finding(tmp_path: Path) -> None:
    assert findings(tmp_path, one_channel("qc.rate = { fail = 1.0 }\n")) == ()


def test_an_unknown_key_is_found(tmp_path: Path) -> None:
    text = one_channel("", more="pol_interval_s = 2.0")
    (found,) = findings(tmp_path, text)
    assert (found.code, found.line, found.col) == ("E012", *place(text, "pol_interval_s"))
    assert found.hint == "did you mean 'poll_interval_s'?"


def test_a_profile_named_in_an_instrument_is_answered_with_how_profiles_are_used(tmp_path: Path) -> None:
    text = one_channel("", more='profile = "hmp110"')
    (found,) = findings(tmp_path, text)
    assert (found.code, found.line, found.col) == ("E012", *place(text, "profile"))
    assert "yaosu profile use" in str(found.hint)


def test_a_duplicate_channel_name_is_found(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, one_channel(CHANNEL.format(name="t", address=1)))
    assert found.code == "E021"
    assert "'t'" in found.message


def test_a_duplicate_instrument_id_is_found(tmp_path: Path) -> None:
    second = RTU.format(id="a", unit=2, more="") + CHANNEL.format(name="t", address=0)
    assert codes(findings(tmp_path, one_channel("") + second)) == ["E021"]


def test_two_line_settings_on_one_serial_port_are_found(tmp_path: Path) -> None:
    second = RTU.format(id="b", unit=2, more="baudrate = 19200") + CHANNEL.format(name="t", address=0)
    (found,) = findings(tmp_path, one_channel("") + second)
    assert found.code == "E022"
    assert "/dev/ttyUSB0" in found.message


def test_two_drivers_on_one_serial_port_are_found(tmp_path: Path) -> None:
    second = '\n[[instrument]]\nid = "b"\ndriver = "mtsics"\nserial_port = "/dev/ttyUSB0"\n'
    assert codes(findings(tmp_path, one_channel("") + second)) == ["E022"]


def test_one_unit_number_twice_on_a_line_is_found(tmp_path: Path) -> None:
    second = RTU.format(id="b", unit=1, more="") + CHANNEL.format(name="t", address=0)
    assert codes(findings(tmp_path, one_channel("") + second)) == ["E022"]


def test_impossible_limits_are_found(tmp_path: Path) -> None:
    text = one_channel("qc.range = { fail_low = 9.0, fail_high = 1.0 }\n")
    (found,) = findings(tmp_path, text)
    assert (found.code, found.line, found.col) == ("E023", place(text, "9.0")[0], place(text, "9.0")[1])


@pytest.mark.parametrize(
    ("limit", "shown"),
    [("fail_low = 81.0", "high = 80.0"), ("suspect_low = 81.0", "high = 80.0"),
     ("fail_high = -41.0", "low = -40.0")],
)  # fmt: skip
def test_limits_outside_the_measuring_range_are_found(tmp_path: Path, limit: str, shown: str) -> None:
    text = one_channel(f"qc.range = {{ {limit} }}\n", channel="low = -40.0\nhigh = 80.0\n")
    (found,) = findings(tmp_path, text)
    assert found.code == "E023"
    assert shown in found.message


def test_limits_that_leave_a_part_of_the_measuring_range_are_fine(tmp_path: Path) -> None:
    limits = "qc.range = { fail_low = -1.0, fail_high = 80.0 }\n"
    assert findings(tmp_path, one_channel(limits, channel="low = 0.0\nhigh = 80.0\n")) == ()


@pytest.mark.parametrize(
    "rule", ["rate = { fail = 1.0, max_gap_s = 30.0 }", "spike = { fail = 1.0, max_gap_s = 30.0 }",
             "flat_line = { fail_s = 600.0, max_gap_s = 30.0 }", "gap = { interval_s = 30.0 }"],
)  # fmt: skip
def test_a_rule_that_no_poll_can_satisfy_is_warned_of(tmp_path: Path, rule: str) -> None:
    text = one_channel(f"qc.{rule}\n", more="poll_interval_s = 60.0")
    (found,) = findings(tmp_path, text)
    assert (found.code, found.severity, found.line) == ("E020", "warning", place(text, "30.0")[0])
    assert "poll interval of 60 s" in found.message


FULL_LINE = """\
[site]
lab = "lab"
gateway = "gw"

[[instrument]]
id = "a"
driver = "modbus-rtu"
port = "/dev/ttyUSB0"
poll_interval_s = {interval}
channels = [{{ name = "t", address = 0 }}, {{ name = "u", address = 100 }}]
"""


@pytest.mark.parametrize(("interval", "severity"), [(0.05, "error"), (0.07, "warning")])
def test_a_line_that_cannot_carry_its_plan_is_found_with_the_arithmetic(
    tmp_path: Path, interval: float, severity: str
) -> None:
    text = FULL_LINE.format(interval=interval)
    (found,) = findings(tmp_path, text)
    assert (found.code, found.severity, found.line) == ("E040", severity, 9)
    assert "'a' 2 requests" in found.message
    assert "% of the time" in found.message
    assert not findings(tmp_path, FULL_LINE.format(interval=0.2))


def test_windows_that_need_too_much_memory_are_found(tmp_path: Path) -> None:
    table = "qc.flat_line = { tolerance = 1.0, fail_s = 86400.0 }\n"
    text = one_channel(table, more="poll_interval_s = 0.001")
    overloaded, found = findings(tmp_path, text)
    assert overloaded.code == "E040"
    assert (found.code, found.line) == ("E023", place(text, "86400.0")[0])
    assert "poll less often" in found.message


def test_a_live_instrument_in_a_rehearsal_is_found(tmp_path: Path) -> None:
    text = one_channel("").replace('"gw"', '"gw"\npurpose = "rehearsal"')
    (found,) = findings(tmp_path, text)
    assert (found.code, found.hint) == (
        "E020", 'write source = "simulated" in this instrument, or purpose = "production" in [site]'
    )  # fmt: skip


def test_a_simulated_instrument_in_production_is_found(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, one_channel("", more='source = "simulated"'))
    assert found.code == "E020"
    assert (found.hint or "").startswith('write purpose = "rehearsal" in [site]')


def test_the_name_of_a_rehearsal_journal_is_no_name_for_a_gateway(tmp_path: Path) -> None:
    (found,) = findings(tmp_path, one_channel("").replace('"gw"', '"gw-rehearsal"'))
    assert found.code == "E020"
    assert "beside gateway 'gw'" in found.message


def test_pages_on_the_brokers_port_are_found(tmp_path: Path) -> None:
    assert codes(findings(tmp_path, one_channel("") + "\n[web]\nport = 1883\n")) == ["E027"]


EVERYTHING = """\
[site]
lab = "Lab"
gateway = "gw"
titel = "x"

[web]
port = 1883

[[instrument]]
id = "a"
driver = "modbus-rtu"
port = "/dev/ttyUSB0"
unit = 1
pol_interval_s = 2.0
channels = [
  { name = "t", address = 1, type = "int16", low = 10.0, high = 1.0 },
  { name = "t", address = 2, type = "int16", qc = { range = { fail_low = 9.0, fail_high = 1.0 }, spy = {} } },
]

[[instrument]]
id = "a"
driver = "modbus-rtu"
port = "/dev/ttyUSB0"
baudrate = 19200
unit = 1
source = "simulated"
poll_interval_s = 0.001
channels = [
  {name="t", address = 1, type = "int16", qc.flat_line = {tolerance=1.0, fail_s=86400.0, max_gap_s=0.0005}},
  { name = "u", address = 1, type = "int16" },
  { name = "u", address = 1, type = "int16" },
]
"""


def test_all_mistakes_of_a_file_are_told_at_once_and_each_once(tmp_path: Path) -> None:
    found = findings(tmp_path, EVERYTHING)
    assert [(each.line, each.code) for each in found] == [
        (2, "E014"), (4, "E012"), (7, "E027"), (14, "E012"), (15, "E021"), (16, "E023"), (17, "E023"),
        (17, "E012"), (21, "E021"), (23, "E022"), (26, "E020"), (27, "E040"), (28, "E021"),
        (29, "E023"), (29, "E020"),
    ]  # fmt: skip
    assert all(each.col for each in found)


@pytest.mark.parametrize(
    "text", ["", "instrument = 3\n", "instrument = [3]\n", "[[instrument]]\nid = 3\n",
             "[[instrument]]\nchannels = 3\n",
             '[[instrument]]\ndriver = "modbus-tcp"\nchannels = [3]\n', "site = []\nweb = 1\n",
             '[[instrument]]\ndriver = "modbus-tcp"\nchannels = [{ qc = 3 }, { name = 3 }]\n'],
)  # fmt: skip
def test_a_file_of_any_wrong_shape_has_findings_with_places(tmp_path: Path, text: str) -> None:
    found = findings(tmp_path, text)
    assert found
    assert all(each.line for each in found)


def test_a_file_that_is_no_toml_has_one_finding(tmp_path: Path) -> None:
    assert codes(findings(tmp_path, "[site\n")) == ["E003"]


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ('redundancy = { instrument = "c", partner = "t", fail = 1.0 }', "redundancy", "no instrument 'c'"),
        ('redundancy = { instrument = "b", partner = "x", fail = 1.0 }', "redundancy", "no channel 'x'"),
        ('redundancy = { instrument = "a", partner = "t", fail = 1.0 }', "redundancy", "with itself"),
        ('schedule = { setpoint = "x", fail = 1.0 }', "schedule", "no channel 'x'"),
        ('redundancy = { instrument = "b", partner = "t", fail = 1.0, late_s = 2.0, align_tol_s = 9.0 }',
         "redundancy", "shorter than the poll interval"),
        ('redundancy = { instrument = "b", partner = "t", fail = 1.0, late_s = 9.0, align_tol_s = 2.0 }',
         "redundancy", "reaches too few readings"),
        ('redundancy = { instrument = "b", partner = "t", fail = 1.0, late_s = 9.0, align_tol_s = 90000.0 }',
         "redundancy", "rows would have to be held"),
    ],
)  # fmt: skip
def test_a_comparison_that_cannot_work_is_found_at_its_place(
    tmp_path: Path, table: str, key: str, words: str
) -> None:
    other = RTU.format(id="b", unit=2, more="poll_interval_s = 5.0") + CHANNEL.format(name="t", address=0)
    text = one_channel(f"qc.{table}\n") + other
    (found,) = findings(tmp_path, text)
    assert (found.code, found.line) == ("E023", place(text, f"qc.{key}")[0])
    assert words in found.message
    assert found.hint


def test_a_rule_with_a_point_in_time_is_recorded_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    rule = "{ start = 2026-01-01T08:00:00+08:00, points = [[0.0, 4.0]], fail = 1.0 }"
    path.write_text(one_channel(f"qc.schedule = {rule}\n"), encoding="utf-8")
    site = load_site(path)
    (instrument,) = msgpack.unpackb(msgpack.packb(site.summary()))["instruments"]
    recorded = instrument["channels"][0]["qc"]
    assert ChannelQc.model_validate(recorded, strict=False) == site.qc()["a"]["t"]
