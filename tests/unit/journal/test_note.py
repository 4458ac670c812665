"""Signed notes against the vectors of golang.org/x/mod/sumdb/note, and what must not verify.

The keys, the text, both signatures and the malformed notes are those of `TestSign` and `TestOpen` in
`sumdb/note/note_test.go` of github.com/golang/mod at commit 02c991387e35f9e4c0a9b7ce137717055f8d716d
(BSD-3-Clause), the package from which C2SP's signed-note format comes.
"""

import base64
from pathlib import Path

import pytest

from pipeline.journal.note import (
    Checkpoint,
    MalformedNote,
    checked_name,
    checkpoint_text,
    key_hash,
    read_checkpoint,
    sign,
    verifier_key,
    verify,
)
from pipeline.records.signing import SigningKey

EXAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
EXAMPLE_PRIVATE_KEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
OTHER_KEY = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
OTHER_SIGNATURE = (
    "\u2014 EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1"
    "RvMc+QQ=\n"
)
EXAMPLE_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
EXAMPLE_NOTE = EXAMPLE_TEXT + (
    "\n\u2014 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
NAME = "yaosu/lab/gateway"


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "key")


def test_the_known_example_verifies() -> None:
    name, digest, encoded = EXAMPLE_KEY.split("+", 2)
    public = base64.b64decode(encoded)[1:]
    assert key_hash(name, public).hex() == digest
    assert verifier_key(name, public) == EXAMPLE_KEY
    assert verify(EXAMPLE_NOTE, name, public) == EXAMPLE_TEXT


def test_the_known_signature_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "known"
    path.write_bytes(base64.b64decode(EXAMPLE_PRIVATE_KEY.split("+", 4)[4])[1:])
    path.chmod(0o600)
    assert sign(EXAMPLE_TEXT, "PeterNeumann", SigningKey.load_or_create(path)) == EXAMPLE_NOTE


def test_a_known_note_of_two_keys_verifies_with_each() -> None:
    for verifier in (EXAMPLE_KEY, OTHER_KEY):
        name, _, encoded = verifier.split("+", 2)
        assert verify(EXAMPLE_NOTE + OTHER_SIGNATURE, name, base64.b64decode(encoded)[1:]) == EXAMPLE_TEXT


@pytest.mark.parametrize(
    "note",
    [
        EXAMPLE_TEXT,
        EXAMPLE_TEXT + "\n",
        EXAMPLE_NOTE[:-1],
        "\x01" + EXAMPLE_NOTE,
        EXAMPLE_NOTE.replace("\u2014 PeterNeumann", "\u2014 Bad Name"),
        EXAMPLE_NOTE + "Unexpected line.\n",
        EXAMPLE_NOTE.replace("x08go", "xxxxo"),
        EXAMPLE_NOTE + OTHER_SIGNATURE * 100,
    ],
)
def test_the_known_malformed_notes_are_refused(note: str) -> None:
    name, _, encoded = EXAMPLE_KEY.split("+", 2)
    with pytest.raises(MalformedNote):
        verify(note, name, base64.b64decode(encoded)[1:])


def test_a_signed_checkpoint_reads_back(key: SigningKey) -> None:
    checkpoint = Checkpoint(NAME, 12345, bytes(range(32)))
    note = sign(checkpoint_text(checkpoint), NAME, key)
    assert note.startswith(f"{NAME}\n12345\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\u2014 {NAME} ")
    assert read_checkpoint(verify(note, NAME, key.public)) == checkpoint


def test_signatures_of_others_are_stepped_over(key: SigningKey, tmp_path: Path) -> None:
    other = SigningKey.load_or_create(tmp_path / "other")
    text = checkpoint_text(Checkpoint(NAME, 1, bytes(32)))
    note = sign(text, "witness/one", other) + sign(text, NAME, key).removeprefix(text + "\n")
    assert verify(note, NAME, key.public) == text
    assert verify(note, "witness/one", other.public) == text
    with pytest.raises(MalformedNote, match="not signed by"):
        verify(note, NAME, other.public)


def test_no_changed_character_verifies(key: SigningKey) -> None:
    note = sign(checkpoint_text(Checkpoint(NAME, 7, bytes(32))), NAME, key)
    for position, character in enumerate(note):
        changed = note[:position] + ("x" if character != "x" else "y") + note[position + 1 :]
        with pytest.raises(MalformedNote):
            verify(changed, NAME, key.public)


@pytest.mark.parametrize(
    "text",
    ["", "o\n1\n", "o\n01\nAAAA\n", "o\n-1\nAAAA\n", "o\n1\n!\n", "o\n1\nAAAA\n", f"o\n{'9' * 5000}\nAAAA\n"],
)
def test_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        read_checkpoint(text)


def test_a_text_without_its_last_newline_is_not_signed(key: SigningKey) -> None:
    with pytest.raises(ValueError, match="newline"):
        sign("text", NAME, key)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_a_name_that_would_break_the_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        checked_name(name)
