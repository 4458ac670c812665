"""The log's key is changed: the old one signs the new one in the log; a crash leaves one key, always."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from gateway.edge.key_change import KeyChange
from gateway.edge.recorder import Recorder
from pipeline.elements import Elements
from pipeline.journal import ForeignKeyError, Journal, verify
from pipeline.journal.merkle import TILE_LEAVES
from pipeline.journal.note import MalformedNote, read_checkpoint
from pipeline.journal.note import verify as verify_note
from pipeline.journal.succession import KeyChain, read_succession, succession_note
from pipeline.records.signing import SigningKey, next_key_path
from tests.support.paper_log import signing_key
from tests.unit.journal.journals import Opener, read_all

ORIGIN = "yaosu/lab/gw"
FIRST, SECOND, THIRD, STRANGER = (signing_key(60 + number) for number in range(4))


def test_a_succession_says_which_key_follows_which_and_both_have_signed_it() -> None:
    note = succession_note(ORIGIN, FIRST, SECOND)
    assert read_succession(note) == (ORIGIN, FIRST.public, SECOND.public)


@pytest.mark.parametrize(("gone", "which"), [(-2, "old"), (-1, "new")])
def test_a_succession_that_one_of_the_two_has_not_signed_is_refused_and_named(gone: int, which: str) -> None:
    lines = succession_note(ORIGIN, FIRST, SECOND).splitlines()
    del lines[gone]
    with pytest.raises(MalformedNote, match=f"not signed by the {which} key"):
        read_succession("\n".join([*lines, ""]))


def test_any_byte_of_a_succession_changed_is_refused() -> None:
    note = succession_note(ORIGIN, FIRST, SECOND)
    for at in range(len(note)):
        changed = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        with pytest.raises(MalformedNote):
            read_succession(changed)


def test_a_chain_says_who_seals_how_much_and_takes_no_stranger() -> None:
    notes = [(10, succession_note(ORIGIN, FIRST, SECOND)), (20, succession_note(ORIGIN, SECOND, THIRD))]
    for known in (FIRST, SECOND, THIRD):
        chain = KeyChain(known.public, notes)
        owners = [chain.at(size) for size in (1, 10, 11, 20, 21, 10**6)]
        expected = [FIRST, FIRST, SECOND, SECOND, THIRD, THIRD]
        assert owners == [key.public for key in expected]
    with pytest.raises(MalformedNote, match="none of those"):
        KeyChain(STRANGER.public, notes)
    with pytest.raises(MalformedNote, match="seq 20: the key that is said to go"):
        KeyChain(FIRST.public, [notes[0], (20, succession_note(ORIGIN, FIRST, THIRD))])


async def begun(open_journal: Opener) -> tuple[Journal, Recorder]:
    journal = await open_journal(origin=ORIGIN)
    recorder = Recorder(journal, Elements(), {}, "live")
    for _ in range(3):
        recorder.append("tick", {})
    await journal.wait_durable(journal.head_seq - 1)
    assert journal.checkpoint() is not None
    return journal, recorder


async def sealed(journal: Journal) -> None:
    journal.append("tick", {}, source="live")
    await journal.wait_durable(journal.head_seq - 1)
    record = journal.checkpoint()
    assert record is not None
    await journal.wait_durable(record.seq)


async def test_a_running_journal_takes_the_new_key_and_stays_sound(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal, recorder = await begun(open_journal)
    change, path = KeyChange(recorder), tmp_path / "journal" / "journal.key"
    old = journal.key
    await change.look()
    assert journal.key is old, "nobody has asked for another key"
    heir = SigningKey.load_or_create(next_key_path(path))
    await change.look()
    assert journal.key.public == heir.public
    assert path.read_bytes() != b""
    assert not next_key_path(path).exists()
    assert SigningKey.load_or_create(path).public == heir.public, "the old private key is gone"
    await sealed(journal)
    records = await read_all(journal)
    (change_record,) = [record for record in records if record.kind == "key"]
    for record in records:
        if record.kind == "checkpoint":
            signer = heir if record.body["size"] > change_record.seq else old
            read_checkpoint(verify_note(record.body["note"], ORIGIN, signer.public))
    assert "log-key-changed" in [r.body["code"] for r in records if r.kind == "event"]
    await journal.close()
    result = verify(tmp_path / "journal")
    assert result.sound, result.problems
    assert result.keys == [old.public.hex(), heir.public.hex()]
    again = await open_journal(origin=ORIGIN)
    assert again.key.public == heir.public
    await sealed(again)


async def test_what_came_before_the_change_is_never_sealed_by_the_new_key(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal, recorder = await begun(open_journal)
    # A multiple of 256 is passed since the last checkpoint: else that many would be sealed, by the wrong key.
    for _ in range(2 * TILE_LEAVES + 100):
        recorder.append("tick", {})
    await journal.wait_durable(journal.head_seq - 1)
    heir = SigningKey.load_or_create(next_key_path(tmp_path / "journal" / "journal.key"))
    note = journal.keys.succession(ORIGIN, heir)
    journal.keys.changed(recorder.append("key", {"note": note}).seq, note, heir)
    assert journal.checkpoint() is None, "the record of the change is not durable yet"
    await KeyChange(recorder).look()
    first = journal.checkpoint()
    assert first is not None
    for _ in range(TILE_LEAVES):
        recorder.append("tick", {})
    await journal.wait_durable(journal.head_seq - 1)
    second = journal.checkpoint()
    assert second is not None
    assert first.body["size"] > journal.keys.since
    assert second.body["size"] == 3 * TILE_LEAVES
    await journal.close()
    result = verify(tmp_path / "journal")
    assert (result.problems, result.checkpoints) == ([], 3)


async def test_a_crash_before_the_record_is_durable_leaves_the_old_key_and_the_wish(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal, _ = await begun(open_journal)
    old = journal.key
    SigningKey.load_or_create(next_key_path(tmp_path / "journal" / "journal.key"))
    await journal.close()
    again = await open_journal(origin=ORIGIN)
    assert again.key.public == old.public
    await KeyChange(Recorder(again, Elements(), {}, "live")).look()
    assert again.key.public != old.public


async def test_a_crash_between_the_record_and_the_file_is_ended_by_the_next_start(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal, recorder = await begun(open_journal)
    path = tmp_path / "journal" / "journal.key"
    old_bytes = path.read_bytes()
    meta = {name: (path.parent / name).read_bytes() for name in ("journal.meta", "journal.meta.copy")}
    heir = SigningKey.load_or_create(next_key_path(path))
    shutil.copy2(next_key_path(path), tmp_path / "kept")
    await KeyChange(recorder).look()
    await journal.close()
    # The files as they were when the record had become durable and nothing else had happened.
    (tmp_path / "kept").rename(next_key_path(path))
    path.write_bytes(old_bytes)
    for name, content in meta.items():
        (path.parent / name).write_bytes(content)
    again = await open_journal(origin=ORIGIN)
    assert again.key.public == heir.public
    assert not next_key_path(path).exists()
    await sealed(again)
    await again.close()
    assert verify(tmp_path / "journal").sound


async def test_a_change_that_the_old_key_has_not_signed_opens_nothing_and_is_named(
    open_journal: Opener, tmp_path: Path
) -> None:
    journal, recorder = await begun(open_journal)
    recorder.append("key", {"note": succession_note(ORIGIN, STRANGER, SECOND)})
    await journal.close()
    result = verify(tmp_path / "journal")
    assert any("change of the log's key: the key that is believed is none" in one for one in result.problems)
    with pytest.raises(ForeignKeyError, match="the key that is believed is none of those"):
        await open_journal(origin=ORIGIN)


async def test_a_new_key_that_others_can_read_is_not_taken_and_told_once(
    open_journal: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal, recorder = await begun(open_journal)
    path = next_key_path(tmp_path / "journal" / "journal.key")
    SigningKey.load_or_create(path)
    path.chmod(0o644)
    change, old = KeyChange(recorder), journal.key
    for _ in range(3):
        await change.look()
    assert journal.key is old
    assert [record.getMessage() for record in caplog.records if "chmod 600" in record.getMessage()] == [
        f"the log's key is not changed: {path} can be read by others; run: chmod 600 {path}"
    ]
