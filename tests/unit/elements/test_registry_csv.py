"""Registry tables as CSV: one file a type, its template, several files as one import."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from config.errors import ConfigInvalid
from pipeline.elements import read_registries, read_registry
from pipeline.elements.registry_csv import TABLES
from pipeline.elements.registry_template import template

EXAMPLE = Path(__file__).parents[3] / "config" / "examples" / "registry" / "two_benches.toml"
ROWS = {
    "person": {"id": "p-1", "name": "安雨", "roles": '[{code = "x", valid_from = 2026-01-01T00:00:00Z}]'},
    "customer": {"id": "c-1", "name": "云记"},
    "equipment": {"id": "E-1", "instrument": "bal-1", "metrology.kind": "check", "channels": "weight;stable"},
    "material": {"id": "S-1", "kind": "sample", "hold_limit_h": "48.0"},
    "method": {"id": "m", "code": "C", "edition": "1", "required_elements": "people;material"},
    "environment": {"id": "r", "kind": "room"},
    "correction": {
        "id": "COR-1", "equipment": "E-1", "channel": "weight", "certificate": "C-1", "kind": "offset",
        "low": "0", "high": "200", "offset": "0.1",
    },
}  # fmt: skip


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(*paths: Path) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        read_registries(paths)
    return [str(found).replace(f"{paths[0].parent}/", "") for found in caught.value.errors]


@pytest.mark.parametrize("table", TABLES)
def test_a_template_says_what_each_column_is_and_can_be_filled_in(tmp_path: Path, table: str) -> None:
    text = template(table)
    comments = [line for line in text.splitlines() if line.startswith("#")]
    header = next(csv.reader(io.StringIO(text.splitlines()[-1])))
    assert len([line for line in comments if "[" in line]) == len(header)
    assert read_registry(written(tmp_path, f"{table}.csv", text)).records == []
    out = io.StringIO()
    csv.DictWriter(out, header, lineterminator="\n").writerow(ROWS[table])
    read = read_registry(written(tmp_path, f"{table}.2026.csv", text + out.getvalue()))
    assert [entry["id"] for entry in read.records or read.directory] == [ROWS[table]["id"]]


def test_there_is_no_template_of_what_is_no_table() -> None:
    with pytest.raises((ValueError, KeyError)):
        template("planet")


def test_the_columns_of_the_examples_entries_are_all_in_the_templates() -> None:
    header = {table: set(template(table).splitlines()[-1].split(",")) for table in TABLES}
    assert "metrology.certificate" in header["equipment"]
    assert "check_plan.interval_s" in header["equipment"]
    for record in read_registry(EXAMPLE).records:
        for key in record["data"]:
            stem = key.removesuffix("_ns").removesuffix("_s")
            known = {column.split(".")[0] for column in header[record["type"]]}
            assert key in known or any(one.startswith(stem) for one in known), (record["type"], key)


def test_every_mistake_of_every_file_is_told_at_once_with_line_and_cell(tmp_path: Path) -> None:
    people = written(tmp_path, "person.csv", "# staff\nid,name,bagde\np-1,A,\np-2,B,7\n\np-3\n")
    things = written(tmp_path, "material.csv", "id,kind,hold_limit_h\nS-1,samples,48.0\nS-2,sample,soon\n")
    plain = written(tmp_path, "more.toml", "[[person]]\nid='p-9'\n")
    errors = told(people, things, plain)
    assert [error.split(": error")[0] for error in errors] == [
        "material.csv:2:2", "material.csv:3:3", "more.toml:1:1", "person.csv:4:3", "person.csv:6:1",
    ]  # fmt: skip
    assert "did you mean 'badge'?" in errors[3]


def test_an_entry_that_stands_in_two_files_is_told(tmp_path: Path) -> None:
    one = written(tmp_path, "person.csv", "id,name\np-1,A\n")
    other = written(tmp_path, "person.more.csv", "id,name\np-2,B\np-1,A\n")
    (error,) = told(one, other)
    assert error.startswith("person.more.csv:3:1: error[E021]: person 'p-1' stands in")
    assert "person.csv:2" in error


def test_several_files_are_one_import_in_their_order(tmp_path: Path) -> None:
    one = written(tmp_path, "person.csv", "id,name\np-1,A\n")
    other = written(tmp_path, "material.csv", "id,kind\nS-1,sample\n")
    read = read_registries([one, other])
    assert [record["id"] for record in read.records] == ["p-1", "S-1"]
    assert read.places == ((str(one), 2), (str(other), 2))
    assert [entry["name"] for entry in read.directory] == ["A"]


def test_what_has_its_default_is_left_out_so_that_a_large_registry_fits(tmp_path: Path) -> None:
    rows = "".join(f"S-{number},sample\n" for number in range(100))
    read = read_registry(written(tmp_path, "material.csv", "id,kind\n" + rows))
    assert read.records[0]["data"] == {"kind": "sample"}


@pytest.mark.parametrize("name", ["none.csv", "none.toml"])
def test_a_missing_file_is_told_how_a_registry_file_begins(tmp_path: Path, name: str) -> None:
    (error,) = told(tmp_path / name)
    assert "there is no such file" in error
    assert "yaosu registry template" in error
    assert "init" not in error
