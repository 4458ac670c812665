"""Witnesses whose cosignatures count, each with its operator: pinned by a person, read again when changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably
from pipeline.evidence.cosignature import vkey
from pipeline.evidence.policy import WITNESS, Key, read_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
OPERATOR_LENGTH_MAX = 120


class TrustedWitnesses:
    """Pinned keys of witnesses: a JSON map of vkey to operator.

    Args:
        path: the file; a missing one pins nobody.
        damaged: told once, in words, when a file that was changed cannot be read; those known before stay.
    """

    def __init__(self, path: Path, damaged: Callable[[str], None] = LOG.error) -> None:
        self._path = path
        self._damaged = damaged
        self._read_at: tuple[int, ...] = ()
        self._witnesses: dict[str, tuple[Key, str]] = {}

    def witnesses(self) -> dict[str, tuple[Key, str]]:
        """Vkey to key and operator; never raises."""
        try:
            status = self._path.stat()
            version: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except FileNotFoundError:
            version = ()
            self._witnesses = {}
        except OSError:
            version = (-1,)
        if version not in {(), self._read_at}:
            try:
                self._witnesses = self._read()
            except ValueError as error:
                self._damaged(str(error))
        self._read_at = version
        return self._witnesses

    def _read(self) -> dict[str, tuple[Key, str]]:
        try:
            content = orjson.loads(self._path.read_bytes())
            return {text: (read_key(text, WITNESS), str(operator)) for text, operator in content.items()}
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(
                f"{self._path} is damaged ({error}); move it away and pin the witnesses again: "
                "yaosu keys trust KEY --operator NAME"
            ) from error

    def trust(self, text: str, operator: str) -> Key:
        """Pin a witness's key with who operates it.

        Raises:
            ValueError: not a witness's key, no operator, or the file is damaged: nothing was changed.
        """
        try:
            key = read_key(text, WITNESS)
        except ValueError as error:
            raise ValueError(
                f"{error}; a witness shows its key with: yaosu keys show -c witness.toml"
            ) from error
        if not 0 < len(operator.strip()) <= OPERATOR_LENGTH_MAX:
            raise ValueError("a witness is worth what its operator is: give --operator NAME")
        known = self._read() if self._path.exists() else {}
        content = {name: whose for name, (_, whose) in known.items()} | {vkey(key): operator.strip()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2), mode=0o640)
        return key
