import json
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigInvalid
from pipeline.elements import Refused, read_registry
from pipeline.elements.registry_base import to_ns
from tests.unit.elements.bench import UTC0, Bench, actor

EXAMPLES = Path(__file__).parents[3] / "config" / "examples" / "registry"


def written(folder: Path, text: str, name: str = "r.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def findings(path: Path) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        read_registry(path)
    return [
        f"{found.line} {found.code} {found.message} {found.hint or ''}" for found in caught.value.findings
    ]


def test_the_example_can_be_imported_and_worked_with() -> None:
    read = read_registry(EXAMPLES / "two_benches.toml", UTC0)
    assert [finding.code for finding in read.warnings] == ["E024"]
    assert "EQ-102" in read.warnings[0].message
    bench = Bench()
    bench.do("registry.import", actor(how="demo"), records=read.records)
    assert len(bench.elements.registry("equipment")) == 6
    check: dict[str, Any] = {
        "purpose": "qc",
        "method": "check-weight",
        "instrument": "bal-1",
        "reference": "CW-100G",
    }
    bench.do("task.start", badge="B-1001", **check)
    rig: dict[str, Any] = {
        "method": "pressure-hold",
        "instruments": ["p-1", "p-2", "em-1"],
        "sample": "V-0001",
    }
    task = str(bench.do("task.start", badge="B-1002", **rig)["task"])
    assert "calibration-overdue" in bench.codes(task, "equipment")
    assert "hold-time-exceeded" not in bench.codes(task, "material")


def test_no_name_leaves_the_directory() -> None:
    read = read_registry(EXAMPLES / "two_benches.toml")
    names = [entry["name"] for entry in read.directory]
    assert len(names) == 5
    text = json.dumps(read.records, ensure_ascii=False)
    assert not any(name in text for name in names)
    assert {entry["kind"] for entry in read.directory} == {"person", "customer"}


def test_every_error_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "[[person]]\nid = 'p-1'\nname = 'A'\nbage = 'B-1'\n"
        "[[material]]\nid = 'S-1'\nkind = 'samples'\n"
        "[[method]]\nid = 'm'\ncode = 'C'\n",
    )
    told = findings(path)
    assert [line.split()[:2] for line in told] == [["4", "E012"], ["7", "E015"], ["8", "E010"]]
    assert "did you mean 'badge'?" in told[0]


ROOM = "[[environment]]\nid='r'\nkind='room'\n"
SAMPLE = "[[material]]\nid='s'\nkind='sample'\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[person]]\nid='a'\nname='A'\n[[person]]\nid='a'\nname='B'\n", "5 E021"),
        (ROOM + "channels=[{quantity='t',target='a.b',low=5.0,high=2.0}]\n", "4 E023"),
        (SAMPLE + "valid_from=2026-01-01T00:00:00Z\nvalid_to=2025-01-01T00:00:00Z\n", "5 E024"),
        (SAMPLE + "received_at=2026-01-01T00:00:00Z\nreceived_on_import=true\n", "5 E020"),
        ("[[material]]\nid='s'\nkind='sample'\nreceived_at=2026-01-01T00:00:00\n", "4 E017"),
    ],
)
def test_contradictions_are_found(tmp_path: Path, text: str, expected: str) -> None:
    [told] = findings(written(tmp_path, text))
    assert told.startswith(expected)


def test_csv_says_the_same_as_toml(tmp_path: Path) -> None:
    table = written(
        tmp_path,
        "type,id,name,badge,authorisations,instrument,serial,metrology.kind,metrology.due,channels,exclusive\n"
        'person,p-1,安雨,007,"[{methods=[""*""],instruments=[""*""],valid_from=2026-01-01T00:00:00Z}]",'
        ",,,,,\n"
        "equipment,E-1,,,,bal-1,123,calibration,2026-05-01T08:00:00+08:00,weight;stable,false\n"
        "customer,c-1,云记,,,,,,,,\n",
        "r.csv",
    )
    plain = written(
        tmp_path,
        "[[person]]\nid='p-1'\nname='安雨'\nbadge='007'\nauthorisations=[{methods=['*'],instruments=['*'],"
        "valid_from=2026-01-01T00:00:00Z}]\n[[equipment]]\nid='E-1'\ninstrument='bal-1'\nserial='123'\n"
        "channels=['weight','stable']\nexclusive=false\n[equipment.metrology]\nkind='calibration'\n"
        "due=2026-05-01T00:00:00Z\n[[customer]]\nid='c-1'\nname='云记'\n",
    )
    one, other = read_registry(table), read_registry(plain)
    assert (one.records, one.directory, one.warnings) == (other.records, other.directory, other.warnings)
    assert [line for _file, line in one.places] == [2, 3]
    assert [line for _file, line in other.places] == [1, 6]


def test_csv_errors_carry_their_line(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "type,id,name,badge,nickname\nperson,p-1,A,B-1,\nplanet,x,,,\nperson,,B,,Bee\n",
        "r.csv",
    )
    assert [line.split()[:2] for line in findings(path)] == [["3", "E015"], ["4", "E010"], ["4", "E012"]]


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "E010"), ("id,name\n", "E010"), ("type,id,id\n", "E010"), ('type,id\nperson,"x\n', "E003"),
     ("type,id,name\nperson,p-1\n", "E016")],
)  # fmt: skip
def test_a_broken_table_is_told(tmp_path: Path, text: str, code: str) -> None:
    assert any(code in line for line in findings(written(tmp_path, text, "r.csv")))


def test_files_that_are_not_there_or_not_text_are_told(tmp_path: Path) -> None:
    assert "E001" in findings(tmp_path / "none.csv")[0]
    assert "E001" in findings(tmp_path / "none.toml")[0]
    (tmp_path / "gbk.csv").write_bytes("type,name\nperson,李\n".encode("gbk"))
    assert "E002" in findings(tmp_path / "gbk.csv")[0]


def test_times_are_exact() -> None:
    read = read_registry(EXAMPLES / "two_benches.toml")
    assert all(entry["valid_from_ns"] == 1_735_660_800_000_000_000 for entry in read.records)
    assert to_ns(None) is None


def test_a_file_that_could_be_read_can_be_imported() -> None:
    read = read_registry(EXAMPLES / "two_benches.toml")
    with pytest.raises(Refused) as caught:
        Bench().plan("registry.import", actor(how="asserted"), records=read.records)
    assert caught.value.code == "not-authenticated"
