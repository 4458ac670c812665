"""`yaosu keys rotate` and `succeed`: the old key signs the new one, and nobody else can."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from config import Exit
from gateway.cli.main import app
from gateway.edge.state import StateFolder
from gateway.trust import TrustedKeys
from gateway.witness.keys import load_key
from gateway.witness.state import WitnessStateError
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.journal.succession import read_succession, succession_note
from pipeline.records.signing import SigningKey, key_id, next_key_path, take_over
from tests.support.paper_log import signing_key

SITE = '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n'
WITNESS = '\n[witness]\noperator = "Institute"\nname = "w.example/1"\n'


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE + WITNESS, encoding="utf-8")
    return path


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / "state")


def keys(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments, "-c", str(config)])


def test_a_collector_s_new_key_is_pinned_by_the_word_of_the_old_one(config: Path, state: StateFolder) -> None:
    old = SigningKey.load_or_create(state.collector_key)
    pinned = TrustedKeys(state.trusted_keys)
    pinned.trust(old.public)
    assert keys(config, "rotate", "collector").exit_code == Exit.OK
    note = state.collector_key.with_suffix(".succession")
    new = SigningKey.load_or_create(next_key_path(state.collector_key))
    assert read_succession(note.read_text(encoding="utf-8"))[1:] == (old.public, new.public)
    done = keys(config, "succeed", str(note))
    assert done.exit_code == Exit.OK, done.output
    assert f"yaosu keys distrust {old.id}" in done.output
    assert set(pinned.keys()) == {old.id, new.id}
    take_over(state.collector_key)  # as the collector does at its start
    assert SigningKey.load_or_create(state.collector_key).public == new.public


def test_a_witness_s_new_key_waits_for_its_next_start_which_has_the_old_one_sign_it(
    config: Path, state: StateFolder
) -> None:
    old = SigningKey.load_or_create(state.witness_key)
    assert keys(config, "rotate", "witness").exit_code == Exit.OK
    new = SigningKey.load_or_create(next_key_path(state.witness_key))
    key, notes = load_key(state.witness_key, state.witness_keys, "w.example/1")
    assert key.public == new.public
    assert [read_succession(note) for note in notes] == [("w.example/1", old.public, new.public)]
    assert load_key(state.witness_key, state.witness_keys, "w.example/1")[1] == notes


def test_a_witness_that_crashed_between_note_and_key_goes_on_with_both(
    config: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    SigningKey.load_or_create(state.witness_key)
    keys(config, "rotate", "witness")

    def crash(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as crashing:
        crashing.setattr("gateway.witness.keys.take_over", crash)
        with pytest.raises(KeyboardInterrupt):
            load_key(state.witness_key, state.witness_keys, "w.example/1")
    key, notes = load_key(state.witness_key, state.witness_keys, "w.example/1")
    assert [read_succession(note).new for note in notes] == [key.public]


@pytest.mark.parametrize("content", [b"{", b"[1]", b'["yaosu key succession"]'])
def test_a_witness_whose_notes_do_not_lead_to_its_key_does_not_start(
    content: bytes, config: Path, state: StateFolder
) -> None:
    keys(config, "gen", "witness")
    state.witness_keys.write_bytes(content)
    with pytest.raises(WitnessStateError, match="restore"):
        load_key(state.witness_key, state.witness_keys, "w.example/1")


@pytest.mark.parametrize("which", ["stranger", "unsigned"])
def test_a_successor_that_no_pinned_key_has_signed_is_refused_and_named(
    which: str, config: Path, state: StateFolder, tmp_path: Path
) -> None:
    old, new, stranger = (signing_key(number) for number in (80, 81, 82))
    TrustedKeys(state.trusted_keys).trust(old.public)
    note = succession_note("yaosu-collector", stranger, new)
    if which == "unsigned":
        lines = succession_note("yaosu-collector", old, new).splitlines()
        note = "\n".join([*lines[:4], lines[5], ""])
    path = tmp_path / "note"
    path.write_text(note, encoding="utf-8")
    done = keys(config, "succeed", str(path))
    assert done.exit_code == Exit.FINDINGS
    expected = f"key {stranger.id}" if which == "stranger" else "is not signed by the old key"
    assert expected in " ".join(done.output.split())
    assert set(TrustedKeys(state.trusted_keys).keys()) == {old.id}


def test_the_log_s_new_key_waits_beside_the_old_one(config: Path, state: StateFolder) -> None:
    path = state.journal / "journal.key"
    assert keys(config, "rotate", "log").exit_code == Exit.UNAVAILABLE
    old = SigningKey.load_or_create(path)
    for _ in range(2):  # asked twice, it is the same wish
        assert keys(config, "rotate", "log").exit_code == Exit.OK
    assert SigningKey.load_or_create(path).public == old.public
    assert SigningKey.load_or_create(next_key_path(path)).public != old.public
    assert keys(config, "rotate", "gateway").exit_code == Exit.USAGE


def test_a_script_is_told_which_key_follows_and_which_is_pinned(config: Path, state: StateFolder) -> None:
    old = SigningKey.load_or_create(state.collector_key)
    made = json.loads(keys(config, "rotate", "collector", "--json").stdout)
    assert (made["role"], made["key"]) == ("collector", old.id)
    assert SigningKey.load_or_create(Path(made["next_key_file"])).id == made["next_key"]
    _, before, after = read_succession(Path(made["note"]).read_text(encoding="utf-8"))
    assert (key_id(before), key_id(after)) == (old.id, made["next_key"])
    told = json.loads(keys(config, "trust", old.public.hex(), "--json").stdout)
    assert told == {"role": "collector", "key": old.id, "name": ""}
    witness = vkey(witness_key("w.example/1", old.public))
    told = json.loads(keys(config, "trust", witness, "--operator", "Institute", "--json").stdout)
    assert told == {"role": "witness", "key": witness, "name": "w.example/1", "operator": "Institute"}
