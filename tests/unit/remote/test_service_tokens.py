"""Tokens of services: shown once, kept as a hash, and gone when they are ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.trust import Service, ServiceTokens, ServiceTokensError, TrustedKeys, TrustedKeysError
from pipeline.records.signing import key_id
from tests.support.commanding import yaosu

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


def test_a_token_made_by_another_process_counts_at_once_and_its_successor_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    reading = ServiceTokens(path)
    assert reading.find("yst-x") is None
    first = ServiceTokens(path).issue("lims", "lims")
    assert reading.find(first) == Service("lims", "lims")
    other = ServiceTokens(path).issue("files", "lims")
    second = ServiceTokens(path).issue("lims", "lims")
    assert (reading.find(first), reading.find(second)) == (None, Service("lims", "lims"))
    ServiceTokens(path).revoke("lims")
    assert (reading.find(second), reading.find(other)) == (None, Service("files", "lims"))
    for token in (first, second, other):
        assert token not in path.read_text()
    assert path.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("name", "role"), [("Lims", "lims"), ("", "lims"), ("lims", "collector"), ("王", "lims")]
)
def test_what_is_no_name_or_no_role_gets_no_token(tmp_path: Path, name: str, role: str) -> None:
    with pytest.raises(ServiceTokensError):
        ServiceTokens(tmp_path / "tokens.json").issue(name, role)
    assert not (tmp_path / "tokens.json").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"lims": {}}', b'{"lims": 3}'])
def test_a_damaged_file_admits_nobody_and_is_not_written_over(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokens.json"
    tokens = ServiceTokens(path)
    token = tokens.issue("lims", "lims")
    assert tokens.find(token) is not None
    path.write_bytes(content)
    assert tokens.find(token) is None
    with pytest.raises(ServiceTokensError, match="move it away"):
        tokens.issue("other", "lims")
    with pytest.raises(ServiceTokensError, match="move it away"):
        tokens.revoke("lims")
    assert path.read_bytes() == content


def test_a_key_has_one_role_and_a_name_and_can_be_let_go(tmp_path: Path) -> None:
    keys = TrustedKeys(tmp_path / "keys.json")
    keys.trust(ONE)
    keys.trust(OTHER, "lims", "lims-1")
    assert keys.keys() == {key_id(ONE): ONE}, "a LIMS's word is no receipt"
    assert (keys.pinned()[key_id(OTHER)].role, keys.pinned()[key_id(OTHER)].name) == ("lims", "lims-1")
    with pytest.raises(TrustedKeysError, match="one key has one role"):
        keys.trust(ONE, "lims", "x")
    with pytest.raises(TrustedKeysError, match="who holds"):
        keys.trust(bytes(32), "lims", "Dr. Wang")
    assert keys.distrust(key_id(OTHER)).name == "lims-1"
    assert set(keys.pinned()) == {key_id(ONE)}
    with pytest.raises(TrustedKeysError, match="keys show"):
        keys.distrust(key_id(OTHER))


def test_the_commands_make_show_and_end_tokens_and_keys(tmp_path: Path) -> None:
    site = tmp_path / "gateway.toml"
    site.write_text('[site]\nlab = "l"\ngateway = "g"\nstate_dir = "state"\n', encoding="utf-8")
    token = yaosu("keys", "token", "lims", "-c", site)
    assert (token.code, token.out.startswith("yst-"), len(token.out.split())) == (0, True, 1)
    made = yaosu("keys", "make", tmp_path / "lims.key")
    public = made.out.split()[2]
    assert yaosu("keys", "trust", public, "--role", "lims", "--name", "remote", "-c", site).code == 0
    shown = yaosu("keys", "show", "--json", "-c", site).json
    assert shown["services"] == {"lims": "lims"}
    ((identifier, key),) = shown["commands"].items()
    assert key == {"public": public, "role": "lims", "name": "remote"}
    told = yaosu("keys", "show", "-c", site).out
    assert "lims remote" in told
    assert "lims lims: has a token" in told
    assert yaosu("keys", "distrust", identifier, "-c", site).code == 0
    assert yaosu("keys", "distrust", "lims", "-c", site).code == 0
    assert yaosu("keys", "distrust", "lims", "-c", site).code == 2
    shown = yaosu("keys", "show", "--json", "-c", site).json
    assert (shown["services"], shown["commands"]) == ({}, {})
    assert yaosu("keys", "token", "Lims!", "-c", site).code == 2
    assert yaosu("keys", "trust", public, "--role", "lims", "-c", site).code == 2
