"""What the keys of signed commands have used up, on disk before a command is carried out."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)
NONCES_KEPT = 64
"""Latest nonces of each key: the counter alone shuts out a repetition, these a sender that counts wrongly."""


@dataclass(frozen=True, slots=True)
class Used:
    """Of one key."""

    counter: int = 0
    nonces: tuple[str, ...] = ()


class CountersError(ValueError):
    """The file of counters is damaged; the message says what to do."""


class Counters:
    """The highest counter and the latest nonces of each key.

    Args:
        path: the file; a missing one has seen no key.

    Raises:
        CountersError: the file is damaged. To begin anew would let old commands in again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._used: dict[str, Used] = {}
        try:
            content = orjson.loads(path.read_bytes())
            self._used = {
                key: Used(int(entry["counter"]), tuple(map(str, entry["nonces"])))
                for key, entry in content.items()
            }
        except FileNotFoundError:
            return
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CountersError(
                f"{path} is damaged ({error}); restore it from a backup. Without one: let the keys of "
                "commands go (yaosu keys distrust), move the file away, and pin new keys"
            ) from error

    def used(self, key: str) -> Used:
        """Tell what a key has used up."""
        return self._used.get(key, Used())

    async def use(self, key: str, counter: int, nonce: str) -> None:
        """Use a counter and a nonce up; they are on disk when this returns.

        Raises:
            OSError: they could not be written and count as unused: the command must not be carried out.
        """
        used = Used(counter, (*self.used(key).nonces, nonce)[-NONCES_KEPT:])
        everything = {**self._used, key: used}
        content = {name: {"counter": u.counter, "nonces": u.nonces} for name, u in everything.items()}
        await asyncio.to_thread(write_durably, self._path, orjson.dumps(content), 0o640)
        self._used = everything
