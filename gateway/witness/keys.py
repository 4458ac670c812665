"""The witness's key, and the notes in which each of its keys named its successor: shown to every gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably
from gateway.witness.state import WitnessStateError
from pipeline.journal.note import MalformedNote
from pipeline.journal.succession import KeyChain, succession_note
from pipeline.records.signing import SigningKey, next_key_path, take_over

if TYPE_CHECKING:
    from pathlib import Path

NOTES_MAX = 64
"""Notes that are kept; a gateway that was away for more changes of key has its witness pinned anew."""


def load_key(path: Path, notes_path: Path, name: str) -> tuple[SigningKey, list[str]]:
    """Load the key, or make it; one that waits beside it takes its place first, signed by it.

    The note is on the disk before the old key goes: a crash in between leaves both, and the next start makes
    the same note.

    Args:
        path: of the key.
        notes_path: of the notes, a JSON list; a missing file is an empty one.
        name: of the key.

    Returns:
        The key and the notes that lead to it, the oldest first.

    Raises:
        WitnessStateError: the notes are damaged, or do not lead to the key.
        PermissionError, ValueError: see `SigningKey.load_or_create`.
        OSError: the files cannot be used.
    """
    notes = _read(notes_path)
    if path.exists() and next_key_path(path).exists():
        old, new = SigningKey.load_or_create(path), SigningKey.load_or_create(next_key_path(path))
        note = succession_note(name, old, new)
        if note not in notes:
            notes = [*notes, note][-NOTES_MAX:]
            write_durably(notes_path, orjson.dumps(notes, option=orjson.OPT_INDENT_2))
    take_over(path)
    key = SigningKey.load_or_create(path)
    try:
        chain = KeyChain(key.public, list(enumerate(notes)))
        whole = chain.current == key.public
    except MalformedNote:
        whole = False
    if not whole:
        raise WitnessStateError(
            f"{notes_path} does not lead to the key {path}: restore both from one backup; or move the file"
            " away, and have this key pinned on every gateway: yaosu keys trust"
        )
    return key, notes


def _read(path: Path) -> list[str]:
    try:
        content = orjson.loads(path.read_bytes()) if path.exists() else []
    except ValueError:
        content = None
    if not isinstance(content, list) or not all(isinstance(note, str) for note in content):
        raise WitnessStateError(f"{path} is damaged: restore it and the key from one backup")
    return content
