"""The daemon's look at the files that say who is believed: every change of them is told in the record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

import orjson

from gateway.trust.history import CHANGED, FOUND, UNSIGNED
from gateway.trust.keys import parse_keys
from gateway.trust.tokens import parse_tokens
from gateway.trust.watched import sha256_of
from gateway.trust.witnesses import parse_witnesses
from pipeline.journal import JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gateway.edge.recorder import Recorder
    from gateway.edge.state import StateFolder
    from gateway.trust.history import TrustHistory

LOG = logging.getLogger(__name__)
LOOK_S = 1.0
PERSONS = "persons"
FINGERPRINT = 8
"""Digits of a hash that tell one secret's verifier from the next: nothing can be learnt from them."""
_UNREADABLE = {"?": "unreadable"}


def _keys(content: dict[str, Any]) -> dict[str, str]:
    return {name: f"{key.role} {key.name}".strip() for name, key in parse_keys(content).items()}


def _witnesses(content: dict[str, Any]) -> dict[str, str]:
    return {name: f"witness of {operator}" for name, (_, operator) in parse_witnesses(content).items()}


def _tokens(content: dict[str, Any]) -> dict[str, str]:
    return {
        service.name: f"{service.role}, token {digest[:FINGERPRINT]}"
        for digest, service in parse_tokens(content).items()
    }


def _persons(content: dict[str, Any]) -> dict[str, str]:
    """Tell of persons their ids and roles, and when a secret is another one; never a name."""
    told = {}
    for one in content["persons"]:
        secrets = sha256_of(f"{one['verifier']} {one['pin_verifier']}".encode())[:FINGERPRINT]
        shut = ", disabled" if one["disabled"] else ""
        told[str(one["id"])] = f"{', '.join(one['roles'])}{shut}, secrets {secrets}"
    return told


TELLERS: dict[str, Callable[[dict[str, Any]], dict[str, str]]] = {
    "trusted-keys": _keys, "trusted-witnesses": _witnesses, "service-tokens": _tokens, PERSONS: _persons,
}  # fmt: skip
"""File to what tells whom its content believes, and what for."""


def files_of(state: StateFolder) -> dict[str, Path]:
    """Name the files of a state folder that say who is believed."""
    return {
        "trusted-keys": state.trusted_keys, "trusted-witnesses": state.trusted_witnesses,
        "service-tokens": state.service_tokens, PERSONS: state.persons,
    }  # fmt: skip


class TrustWatch:
    """Compares the files with what the record told of them last, at every start and while the daemon runs.

    A change whose hash a person has signed before (`keys.apply`), or that the daemon made at a person's
    command, names that person; any other is told as unsigned. The file of persons is read by the daemon at
    its start only and changed by itself afterwards, so it is compared then. Bounded: files of at most some
    hundred entries.

    Args:
        files: by name, see `files_of`.
        recorder: takes the events.
        history: what the record told.
    """

    def __init__(self, files: Mapping[str, Path], recorder: Recorder, history: TrustHistory) -> None:
        self._files = files
        self._recorder = recorder
        self._history = history
        self._versions: dict[str, tuple[int, ...]] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            for name in self._files:
                if name != PERSONS:
                    await self.look(name)

    async def look_at_all(self) -> None:
        """Compare every file: what was changed while no daemon ran is told now."""
        for name in self._files:
            await self.look(name, starting=True)

    async def look(self, name: str, by: dict[str, Any] | None = None, *, starting: bool = False) -> None:
        """Compare one file, and tell of a change.

        Args:
            name: of the file.
            by: the actor who is known to have changed it through the door.
            starting: what the record has not told of yet was there before it began.
        """
        version = self._version(name)
        if version == self._versions.get(name):
            return
        content = await asyncio.to_thread(_read, self._files[name])
        self._versions[name] = version
        # Without room for it now, the next look tells it.
        with contextlib.suppress(JournalFullError):
            try:
                self._tell(name, content, by, starting=starting)
            except JournalFullError:
                self._versions.pop(name)
                raise

    def _version(self, name: str) -> tuple[int, ...]:
        try:
            status = self._files[name].stat()
        except OSError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def _tell(self, name: str, content: bytes | None, by: dict[str, Any] | None, *, starting: bool) -> None:
        after, believed = sha256_of(content), _believed(name, content)
        before, then = self._history.known.get(name, ("", {}))
        if believed == then:
            return
        signed = self._history.signed.get(name)
        person = by["person"] if by is not None else signed[1] if signed and signed[0] == after else ""
        first = starting and name not in self._history.known
        code = CHANGED if person else FOUND if first else UNSIGNED
        told = event_body(
            code, file=name, before=before, after=after, by=person, believed=believed,
            added={key: what for key, what in believed.items() if key not in then},
            removed={key: what for key, what in then.items() if key not in believed},
            changed={
                key: [then[key], what] for key, what in believed.items() if then.get(key, what) != what
            },
        )  # fmt: skip
        if by is not None:
            told["actor"] = by
        self._history.see(self._recorder.append("event", told))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        LOG.warning("%s cannot be read: %s", path, error)
        return b""


def _believed(name: str, content: bytes | None) -> dict[str, str]:
    if content is None:
        return {}
    try:
        return TELLERS[name](orjson.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError):
        return dict(_UNREADABLE)
