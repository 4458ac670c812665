"""Pinned collector keys: a damaged file is told and forgets nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.trust import TrustedKeys, TrustedKeysError
from pipeline.records.signing import key_id

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


def test_a_key_pinned_by_another_process_counts_at_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    reading, told = TrustedKeys(path), list[str]()
    assert reading.keys() == {}
    TrustedKeys(path, told.append).trust(ONE)
    assert reading.keys() == {key_id(ONE): ONE}
    TrustedKeys(path, told.append).trust(OTHER)
    assert set(reading.keys()) == {key_id(ONE), key_id(OTHER)}
    path.unlink()
    assert reading.keys() == {}
    assert told == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"x": 5}', b'{"x": "zz"}', b'{"x": "00"}', b'{"x": "%s"}' % (b"00" * 32)]
)
def test_a_damaged_file_is_told_once_and_the_keys_known_stay(tmp_path: Path, content: bytes) -> None:
    path, told = tmp_path / "keys.json", list[str]()
    keys = TrustedKeys(path, told.append)
    keys.trust(ONE)
    assert keys.keys() == {key_id(ONE): ONE}
    path.write_bytes(content)
    for _ in range(3):
        assert keys.keys() == {key_id(ONE): ONE}
    assert len(told) == 1
    assert "yaosu keys trust" in told[0]
    with pytest.raises(TrustedKeysError, match="damaged"):
        keys.trust(OTHER)
    assert path.read_bytes() == content


def test_what_cannot_be_opened_is_told_once(tmp_path: Path) -> None:
    told = list[str]()
    (tmp_path / "file").write_text("")
    keys = TrustedKeys(tmp_path / "file" / "keys.json", told.append)
    assert keys.keys() == keys.keys() == {}
    assert len(told) == 1


def test_only_a_key_is_pinned_and_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(TrustedKeysError, match="64 hexadecimal"):
        TrustedKeys(path).trust(b"short")
    TrustedKeys(path).trust(ONE)
    assert path.stat().st_mode & 0o007 == 0
    assert list(tmp_path.iterdir()) == [path]
