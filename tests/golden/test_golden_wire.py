"""Recordings of lines that released formats have written play back to the same record, bit for bit.

A new format adds a file (`python -m tests.golden.make_wire NAME FOLDER`). A report of an error that comes
with a recording and its site becomes one too.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from drivers.transport.recording import BEGUN, KEPT, LOST, read_recording
from pipeline.journal.readonly import JournalReader
from pipeline.records import Status
from pipeline.records.frame import decode_frame
from tests.support.commanding import yaosu

FOLDER = Path(__file__).parent / "wire"
GOLDEN = sorted(path.name.removesuffix(".tar.gz") for path in FOLDER.glob("*.tar.gz"))


@pytest.fixture(params=GOLDEN)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Unpack one recording with its site and its journal."""
    with tarfile.open(FOLDER / f"{request.param}.tar.gz") as whole:
        whole.extractall(tmp_path, filter="data")
    return tmp_path


def test_there_is_a_golden_recording_of_every_format() -> None:
    assert "wire-2" in GOLDEN


def test_rows_flags_and_what_the_elements_derived_are_those_of_the_journal(golden: Path) -> None:
    outcome = yaosu("replay", golden / "bug.wire", "--against", golden / "gateway.toml", "--json")
    report = outcome.json
    assert report["differences"] == []
    assert report["lapses"] == []
    assert outcome.code == 0
    assert report["other_rows"] == 0
    assert report["rows"] > 200
    assert report["late_flags"] > 0
    assert report["derived"] > 0


def test_the_recording_is_of_lines_on_which_much_went_wrong(golden: Path) -> None:
    head, entries = read_recording(golden / "bug.wire")
    assert {one["driver"] for one in head.instruments} == {"modbus-tcp", "modbus-rtu"}
    kinds = [entry.kind for entry in entries]
    assert kinds.count(BEGUN) > 2
    assert kinds.count(KEPT) > 2
    assert LOST in kinds
    found = {
        int(status)
        for record in JournalReader(golden / "state" / "journal").after(-1, None)
        if record.kind == "data"
        for status in decode_frame(record.body).block.status.ravel()
    }
    assert {Status.GOOD, Status.NO_ANSWER, Status.BAD_FRAME, Status.MODBUS_EXCEPTION + 4} <= found
