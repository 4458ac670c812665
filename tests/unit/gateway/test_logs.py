"""What stands in the log of a role cannot be forged by what a device or a peer sends."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from gateway.logs import OneLine, _is_journal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def entry(level: int, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("drivers.mtsics", level, __file__, 1, message, args, None)


def _fail(why: str) -> None:
    raise ValueError(why)


def test_a_message_of_a_device_cannot_begin_an_entry_of_its_own() -> None:
    said = "x\r\nERROR gateway: the journal is lost\x1b[2J\u2028\x85"
    line = OneLine().format(entry(logging.WARNING, "balance-1 answered %s", said))
    assert line.splitlines() == [line]
    assert line == (
        r"WARNING drivers.mtsics: balance-1 answered x\r\nERROR gateway: the journal is lost\x1b[2J\u2028\x85"
    )


def test_texts_of_other_languages_stay_as_they_are() -> None:
    assert OneLine().format(entry(logging.INFO, "天平 25 °C")) == "INFO drivers.mtsics: 天平 25 °C"


def test_the_journal_is_told_the_priority_of_every_line_of_a_traceback() -> None:
    record = entry(logging.ERROR, "stopped")
    try:
        _fail("bad\n<0>forged")
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *trace = OneLine(for_journal=True).format(record).splitlines()
    assert first == "<3>ERROR drivers.mtsics: stopped"
    assert trace
    assert all(line.startswith("<3>    ") for line in trace)


def test_a_redirected_stream_is_not_taken_for_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "a").open("w") as journal, (tmp_path / "b").open("w") as other:
        status = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        assert _is_journal(journal)
        assert not _is_journal(other)
