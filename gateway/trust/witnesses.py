"""Witnesses whose cosignatures count, each with its operator: pinned by a person, read again when changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gateway.trust.watched import WatchedFile
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
        self.file: WatchedFile[dict[str, tuple[Key, str]]] = WatchedFile(
            path, parse_witnesses, {}, error=ValueError, damaged=damaged,
            advice="move it away and pin the witnesses again: yaosu keys trust KEY --operator NAME",
        )  # fmt: skip

    def witnesses(self) -> dict[str, tuple[Key, str]]:
        """Vkey to key and operator; never raises."""
        return self.file.current()

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
        known = {name: whose for name, (_, whose) in self.file.read().items()}
        self.file.write(known | {vkey(key): operator.strip()})
        return key

    def distrust(self, text: str) -> str:
        """Let a witness go; returns its operator.

        Raises:
            ValueError: it is not pinned, or the file is damaged: nothing was changed.
        """
        known = {name: whose for name, (_, whose) in self.file.read().items()}
        operator = known.pop(text, None)
        if operator is None:
            of_name = [one for one in known if one.partition("+")[0] == text.partition("+")[0]]
            if of_name:
                raise ValueError(
                    "this key is not pinned; if that witness has changed its key, name the pinned one, and "
                    f"all that follow it end with it: {of_name[0]}"
                )
            raise ValueError("no such witness is pinned; see: yaosu keys show -c FILE")
        self.file.write(known)
        return operator


def parse_witnesses(content: dict[str, Any]) -> dict[str, tuple[Key, str]]:
    """Read the file's content.

    Raises:
        ValueError, AttributeError: it is none.
    """
    return {text: (read_key(text, WITNESS), str(operator)) for text, operator in content.items()}
