"""Device profiles: those that come along are true to their examples; mistakes are found where they stand."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from config.errors import ConfigInvalid
from drivers.modbus.profiles import FOLDER, lint_profile, list_profiles, load_profile
from drivers.modbus.profiles.example import decode_example
from drivers.modbus.profiles.from_csv import CsvError, import_csv
from drivers.modbus.profiles.from_sunspec import SunSpecError, channel_name, import_sunspec
from drivers.modbus.profiles.text import instrument_text, profile_text
from drivers.registry import DRIVERS
from pipeline.records import Status
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [file.stem for file in list_profiles()]
LISTS = ROOT / "tests/unit/drivers/register_lists"
GOOD = """
[profile]
name = "thing"
source = "a document, page 3"
[line]
driver = "modbus-rtu"
[[channels]]
name = "voltage"
table = "input"
address = 0
type = "float32"
[[examples]]
source = "page 4"
request = "01 04 00 00 00 02 71 CB"
answer = "01 04 04 43 66 33 34 1B 38"
values = { voltage = 230.2 }
"""


def findings(folder: Path, text: str) -> list[tuple[str, str, int | None, str]]:
    file = folder / "thing.toml"
    file.write_text(text, encoding="utf-8")
    return [(each.code, each.severity, each.line, each.message) for each in lint_profile(file)]


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_that_comes_along_is_without_errors_and_true_to_its_examples(name: str) -> None:
    found = lint_profile(FOLDER / f"{name}.toml")
    # The XY-MD02 has no code for a failed sensor; its notes say so.
    assert {each.code for each in found} <= ({"E064"} if name == "xy-md02" else set())
    profile = load_profile(name).value
    assert profile.profile.name == name
    assert profile.examples
    assert all(example.values for example in profile.examples)


def test_the_profiles_that_were_asked_for_come_along() -> None:
    assert set(NAMES) >= {
        "sdm630", "sdm120", "xy-md02", "hmp110", "hmp4", "thermo-49iq", "keller-series30", "testequity-f4t",
        "sunspec-201", "sunspec-202", "sunspec-203", "sunspec-204",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_copied_profile_is_a_whole_instrument_of_a_site_file(name: str) -> None:
    loaded = load_profile(name)
    serial = loaded.value.line.driver == "modbus-rtu"
    place = {"port": "/dev/ttyUSB7"} if serial else {"host": "192.0.2.7"}
    text = instrument_text(loaded, {"id": "it-1", "poll_interval_s": 2.5, **place})
    (table,) = tomllib.loads(text)["instrument"]
    settings = DRIVERS[table["driver"]].settings.model_validate(table)
    assert settings.id == "it-1"
    assert settings.model_dump()["poll_interval_s"] == 2.5
    assert settings.channels == loaded.value.channels
    assert loaded.sha256[:16] in text
    assert loaded.value.profile.source in text


def test_a_copied_profile_keeps_the_comments_of_its_channels() -> None:
    text = instrument_text(load_profile("hmp110"), {"id": "room", "port": "/dev/ttyS0", "unit": 7})
    assert "[[instrument.channels]]  # constant -123.45" in text
    assert "unit = 7\n" in text
    assert "unit = 240" not in text


def test_a_device_of_a_serial_line_can_be_copied_for_a_gateway() -> None:
    given = {"id": "meter", "driver": "modbus-tcp", "host": "192.0.2.9", "unit": 3}
    (table,) = tomllib.loads(instrument_text(load_profile("sdm630"), given))["instrument"]
    settings = DRIVERS["modbus-tcp"].settings.model_validate(table)
    assert settings.model_dump()["unit"] == 3
    assert settings.model_dump()["block_registers_max"] == 80
    assert "baudrate" not in table


def test_a_good_profile_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, GOOD) == []


def test_all_mistakes_of_sense_are_found_at_once_where_they_stand(tmp_path: Path) -> None:
    text = GOOD.replace('source = "a document, page 3"', 'source = ""')
    text = text.replace('driver = "modbus-rtu"', 'driver = "modbus-rtu"\nbaudrate = 12')
    text = text.replace("230.2", "240.2")
    text += '[[channels]]\nname = "current"\ntable = "input"\naddress = 1\ntype = "int32"\n'
    text += '[[channels]]\nname = "level"\naddress = 40010\ntype = "int16"\n'
    found = findings(tmp_path, text)
    lines = text.splitlines()
    where = {code: lines[(line or 0) - 1] for code, _, line, _ in found}
    assert where == {
        "E062": 'source = ""', "E013": "baudrate = 12", "E063": "address = 1", "E061": "address = 40010",
        "E064": "[[channels]]", "E060": "values = { voltage = 240.2 }",
    }  # fmt: skip
    assert [code for code, severity, _, _ in found if severity == "warning"] == ["E064", "E061"]


def test_shape_and_spelling_are_found_with_line_and_advice(tmp_path: Path) -> None:
    file = tmp_path / "thing.toml"
    file.write_text(GOOD.replace("address = 0", "adress = 0"), encoding="utf-8")
    assert [(each.code, each.line) for each in lint_profile(file)] == [("E010", 7), ("E012", 10)]
    assert "did you mean 'address'?" in str(lint_profile(file)[1])


@pytest.mark.parametrize(
    ("before", "after", "part"),
    [
        ("71 CB", "71 CC", "right checksum"),
        ("1B 38", "1B 39", "checksum is wrong"),
        ("01 04 04 43", "zz", "no bytes in hexadecimal"),
        ("01 04 04 43 66 33 34 1B 38", "01 84 02 C2 C1", "illegal address"),
        ("voltage = 230.2", "volts = 230.2", "no channel 'volts'"),
        ("values = { voltage = 230.2 }", 'status = { voltage = "unavailable" }', "not unavailable"),
        ("address = 0", "address = 2", "does not bring 'voltage'"),
    ],
)
def test_an_example_that_does_not_come_true_says_why(
    tmp_path: Path, before: str, after: str, part: str
) -> None:
    found = findings(tmp_path, GOOD.replace(before, after))
    assert [code for code, severity, _, _ in found if severity == "error"] == ["E060"]
    assert part in " ".join(message for *_, message in found)


def test_values_at_odd_addresses_only_are_suspected_to_be_counted_from_one(tmp_path: Path) -> None:
    odd = "".join(f'[[channels]]\nname = "v{at}"\naddress = {at}\ntype = "float32"\n' for at in (1, 3, 5))
    head = GOOD.split("[[channels]]", maxsplit=1)[0]
    assert [each[0] for each in findings(tmp_path, head + odd)] == ["E060", "E061"]
    assert [each[0] for each in findings(tmp_path, head + odd.replace("= 5", "= 6"))] == ["E060"]


def test_an_unavailable_value_of_an_example_is_none() -> None:
    profile = load_profile("hmp110").value
    read = decode_example(profile.channels, profile.examples[1])
    assert read.values == {"rh": 41.25, "temp_c": None}
    assert read.status["temp_c"] == Status.UNAVAILABLE


def test_an_unknown_profile_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigInvalid, match="did you mean 'sdm630'"):
        load_profile("smd630")


@pytest.mark.parametrize("number", [201, 202, 203, 204])
def test_sunspec_profiles_are_those_of_the_models(number: int) -> None:
    imported = import_sunspec(FOLDER / f"sunspec/model_{number}.json", 40070)
    assert imported.told == []
    shipped = (FOLDER / f"sunspec-{number}.toml").read_text(encoding="utf-8")
    made, _, examples = shipped.partition("\n[[examples]]")
    assert made == profile_text(imported)
    assert examples


def test_sunspec_types_keep_scale_factors_enumerations_and_codes_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "model_9.json"
    file.write_text(
        """{"id": 9, "group": {"name": "g", "points": [
        {"name": "ID", "type": "uint16", "size": 1}, {"name": "L", "type": "uint16", "size": 1},
        {"name": "Vr", "type": "string", "size": 4}, {"name": "Tmp", "type": "int16", "size": 1, "sf": -1},
        {"name": "St", "type": "enum16", "size": 1, "symbols": [{"name": "OFF", "value": 1}]},
        {"name": "TotWh", "type": "acc32", "size": 2, "sf": "W_SF", "units": "Wh"},
        {"name": "Pad", "type": "pad", "size": 1}, {"name": "W_SF", "type": "sunssf", "size": 1},
        {"name": "Mac", "type": "eui48", "size": 4}],
        "groups": [{"name": "string_inputs", "count": 0, "points": []}]}}""",
        encoding="utf-8",
    )
    imported = import_sunspec(file, 100)
    assert imported.channels == [
        {"name": "vr", "address": 102, "type": "string", "length": 4},
        {"name": "tmp", "address": 106, "type": "int16", "sentinels": [0x8000], "scale": 0.1},
        {"name": "st", "address": 107, "type": "uint16", "sentinels": [0xFFFF], "labels": [[1, "OFF"]]},
        {
            "name": "tot_wh", "address": 108, "type": "uint32", "sentinels": [0], "scale_factor": 111,
            "unit": "Wh",
        },
    ]  # fmt: skip
    assert [each.split("'")[1] for each in imported.told] == ["string_inputs", "Mac"]
    with pytest.raises(SunSpecError, match="does not fit"):
        import_sunspec(file, 65530)
    for wrong in ("[]", "{", '{"id": 1, "group": {"points": [{"name": "A", "type": "int16"}]}}'):
        file.write_text(wrong, encoding="utf-8")
        with pytest.raises(SunSpecError, match="no SunSpec model"):
            import_sunspec(file, 0)


def test_names_of_sunspec_become_names_of_channels() -> None:
    names = ["TotWhImpPhA", "VARphA", "PPVphAB", "TotVArhImpQ1PhA", "Hz"]
    assert [channel_name(name) for name in names] == [
        "tot_wh_imp_ph_a", "var_ph_a", "ppv_ph_ab", "tot_varh_imp_q1_ph_a", "hz",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["vendor", "chinese", "one_based"])
def test_a_register_list_becomes_the_profile_beside_it(name: str) -> None:
    made = profile_text(import_csv(LISTS / f"{name}.csv"))
    assert made == (LISTS / f"{name}.toml").read_text(encoding="utf-8")
    assert not [each for each in lint_profile(LISTS / f"{name}.toml") if each.severity == "error"]


def test_a_register_list_may_be_in_the_encoding_of_chinese_windows(tmp_path: Path) -> None:
    file = tmp_path / "chinese.csv"
    file.write_bytes((LISTS / "chinese.csv").read_text(encoding="utf-8").encode("gb18030"))
    assert import_csv(file) == import_csv(LISTS / "chinese.csv")


def test_numbering_can_be_said(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("Address,Name,Type\n1,a,uint16\n40003,b,uint16\n", encoding="utf-8")

    def addresses(**how: object) -> list[int]:
        return [each["address"] for each in import_csv(file, **how).channels]  # type: ignore[arg-type]

    assert addresses() == [1, 40003]
    assert addresses(numbering="1") == [0, 40002]
    assert addresses(numbering="entity") == [0, 2]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("a,b,c\n1,2,3\n", "no line that heads"),
        ("address,name,type\nx,y,int16\n", "'x' is no address"),
        ("", "no line that heads"),
    ],
)
def test_a_file_that_is_no_register_list_says_so(tmp_path: Path, content: str, part: str) -> None:
    file = tmp_path / "list.csv"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(CsvError, match=part):
        import_csv(file)


def test_the_example_of_the_guide_is_without_findings() -> None:
    guide = ROOT / "docs/instruments"
    assert lint_profile(guide / "example-profile.toml") == ()
    text = (guide / "profiles.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if name not in text and not name.startswith("sunspec")] == []


CELLS = st.sampled_from([
    "", "0", "1", "30001", "400001", "0x1F", "4x0002", "65536", "1-2", "a", "a_2", "温度", "float", "INT16",
    "string", "65535", "word", "bit", "0.1", "1/10",
    "1e999", "nan", "-5", "V", "04", "CDAB", "2", '"', "\0", "x" * 80,
])  # fmt: skip


@example(rows=[["0", "a\0\x7f", "INT16", "V", "1", "3"]], delimiter=",")
@given(rows=st.lists(st.lists(CELLS, min_size=1, max_size=8), max_size=6), delimiter=st.sampled_from(",;\t"))
def test_any_list_gives_a_profile_of_the_right_shape_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], delimiter: str
) -> None:
    heading = ["address", "name", "type", "unit", "scale", "function", "length", "byte order"]
    file = tmp_path_factory.mktemp("list") / "list.csv"
    text = "\n".join(delimiter.join(row) for row in [heading, *rows])
    file.write_text(text, encoding="utf-8")
    try:
        made = profile_text(import_csv(file))
    except CsvError:
        return
    profile = file.with_suffix(".toml")
    profile.write_text(made, encoding="utf-8")
    # Two rows may claim the same registers: that is for the lint to say, and nothing else is wrong.
    assert {each.code for each in lint_profile(profile) if each.severity == "error"} <= {"E063"}, made
