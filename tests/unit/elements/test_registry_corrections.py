"""Corrections in registry files: as certificates list them, in TOML and CSV, every mistake at once."""

from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigInvalid
from pipeline.elements import read_registry

HEAD = "id,equipment,channel,certificate,kind,unit,points.reading,points.error,points.uncertainty\n"
AS_CSV = (
    HEAD
    + """COR-7,EQ-1,weight,2026-118,table,g,0,0.0000,0.0002
COR-7,,,,,,50,0.0003,0.0002
COR-7,EQ-1,weight,2026-118,table,g,200,-0.0005,0.0004
COR-8,EQ-2,weight,2026-119,table,g,0,0.0000,
COR-8,,,,,,100,0.1,
"""
)
AS_TOML = """
[[correction]]
id = "COR-7"
equipment = "EQ-1"
channel = "weight"
certificate = "2026-118"
kind = "table"
unit = "g"
points = [
    { reading = 0.0, reference = 0.0, uncertainty = 0.0002 },
    { reading = 50.0, correction = -0.0003, uncertainty = 0.0002 },
    { reading = 200.0, error = -0.0005, uncertainty = 0.0004 },
]
"""


def records(folder: Path, name: str, text: str) -> list[dict[str, Any]]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_registry(path).records


def told(folder: Path, name: str, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        records(folder, name, text)
    return [str(found).replace(f"{folder}/", "") for found in caught.value.errors]


def test_a_certificate_reads_the_same_from_a_spreadsheet_and_from_toml(tmp_path: Path) -> None:
    sheet = records(tmp_path, "correction.csv", AS_CSV)
    [written] = records(tmp_path, "registry.toml", AS_TOML)
    assert [record["id"] for record in sheet] == ["COR-7", "COR-8"]
    assert sheet[0]["data"] == written["data"]
    points = [(point["reading"], point["correction"]) for point in written["data"]["points"]]
    assert points == [(0.0, 0.0), (50.0, -0.0003), (200.0, 0.0005)]
    assert (written["data"]["low"], written["data"]["high"]) == (0.0, 200.0)


def test_a_difference_is_one_of_the_decimals_on_paper(tmp_path: Path) -> None:
    text = AS_TOML.replace("reading = 50.0, correction = -0.0003", "reading = 50.0003, reference = 50.0")
    [record] = records(tmp_path, "registry.toml", text)
    assert record["data"]["points"][1]["correction"] == -0.0003
    assert 50.0 - 50.0003 != -0.0003


def test_every_mistake_of_a_table_is_told_at_its_own_line(tmp_path: Path) -> None:
    text = (
        HEAD
        + """COR-7,EQ-1,weight,2026-118,table,g,0,0.0000,0.0002
COR-7,EQ-2,,,,,50,0.0003,0.0002
COR-7,,,,,,200,-0.0005,most
COR-8,EQ-2,weight,2026-119,table,g,0,,
COR-8,,,,,,100,0.1,
COR-9,EQ-2,weight,2026-120,table,g,100,0.1,
COR-9,,,,,,0,0.1,
"""
    )
    errors = told(tmp_path, "correction.csv", text)
    places = [error.split(": error")[0] for error in errors]
    assert places == ["correction.csv:3:2", "correction.csv:4:9", "correction.csv:5:7", "correction.csv:7:7"]
    assert "'equipment' is EQ-2 here" in errors[0]
    assert "a point has one of reference, correction and error" in errors[2]
    assert "rising order" in errors[3]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("kind = 'offset'\noffset = 0.1", "low and high are missing"),
        ("kind = 'table'", "a table has points"),
        ("kind = 'linear'\nlow = 1.0\nhigh = 0.5\ngain = 1.1", "is not below high"),
        ("kind = 'polynomial'\nlow = 0.0\nhigh = 1.0", "1 to 10 coefficients"),
        ("kind = 'offset'\nlow = 0.0\nhigh = 1.0\ngain = 1.1", "has no gain"),
        ("kind = 'offset'\nlow = 0.0\nhigh = nan", "finite"),
        (
            "kind = 'table'\nlow = -1.0\npoints = [{reading = 0, error = 0}, {reading = 1, error = 0}]",
            "extrapolated",
        ),
    ],
)
def test_what_a_certificate_cannot_state_is_refused(tmp_path: Path, change: str, hint: str) -> None:
    head = "[[correction]]\nid = 'COR-7'\nequipment = 'EQ-1'\nchannel = 'weight'\ncertificate = 'C'\n"
    [error] = told(tmp_path, "registry.toml", head + change + "\n")
    assert hint in error


@pytest.mark.parametrize(
    ("certificate", "named", "errors", "warnings"),
    [("2026-118", "COR-7", 0, 0), ("2026-117", "COR-7", 1, 0), ("2026-118", "COR-8", 0, 1)],
)
def test_a_correction_is_held_against_the_certificate_of_its_asset(
    tmp_path: Path, certificate: str, named: str, errors: int, warnings: int
) -> None:
    asset = (
        "[[equipment]]\nid = 'EQ-1'\ninstrument = 'bal-1'\n[equipment.metrology]\nkind = 'calibration'\n"
        f"certificate = '{certificate}'\nchannels = [{{channel = 'weight', correction = '{named}'}}]\n"
    )
    path = tmp_path / "registry.toml"
    path.write_text(asset + AS_TOML, encoding="utf-8")
    try:
        found = read_registry(path).warnings
    except ConfigInvalid as invalid:
        found = invalid.findings
    told = [one.severity for one in found]
    assert (told.count("error"), told.count("warning")) == (errors, warnings), found


def certified(channel_unit: str, unit: str) -> str:
    return f"""
[[equipment]]
id = "EQ-1"
instrument = "th-1"
[equipment.metrology]
kind = "calibration"
certificate = "C-1"
channels = [{{ channel = "t", unit = "{channel_unit}", low = 0.0, high = 60.0, correction = "COR-7" }}]

[[correction]]
id = "COR-7"
equipment = "EQ-1"
channel = "t"
certificate = "C-1"
kind = "offset"
unit = "{unit}"
low = 0.0
high = 60.0
offset = 0.2
"""


def test_a_unit_that_is_written_otherwise_in_the_certificate_is_the_same_unit(tmp_path: Path) -> None:
    assert len(records(tmp_path, "registry.toml", certified("°C", "degC"))) == 2


def test_a_correction_in_another_unit_than_its_channel_is_refused_at_its_place(tmp_path: Path) -> None:
    [found] = told(tmp_path, "registry.toml", certified("kPa", "hPa"))
    assert found.startswith("registry.toml:16:")
    assert "in 'kPa', the correction in 'hPa'" in found
