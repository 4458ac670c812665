"""Sizes of the tree that a witness may have signed last: a proof from each of them stays possible.

PROOF(m, D[n]) of RFC 6962 takes hashes from inside the tile of 256 leaves in which m lies; only where m is a
multiple of 256 do the hashes of whole tiles suffice. A witness has signed one size last, and that one the
gateway itself has told it: what was told is kept here, on the disk before it is told, and the leaf hashes of
its tile stay when the segment goes.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import msgpack

from pipeline.journal.disk import Disk, write_whole
from pipeline.journal.framing import seal, unseal
from pipeline.journal.merkle import TILE_LEAVES

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from pathlib import Path

LOG = logging.getLogger(__name__)
PROMISED_NAME = "promised.state"
TOLD_MAX = 4
"""Sizes kept of what a witness was told or has asked from; its next question says which of them it signed."""
WITNESSES_MAX = 64
"""Witnesses remembered; full policy: who has asked longest ago goes."""
_MAGIC = b"YAOSUPRM"

Promised = dict[str, tuple[int, tuple[int, ...]]]
"""Witness to the size that its recorded cosignature covers, and to what it was told, the latest last."""


class PromisedSizes:
    """What each witness may have signed last. Called on the event loop, but for `tiles`."""

    def __init__(self, disk: Disk, path: Path, executor: Executor) -> None:
        self._disk = disk
        self._path = path
        self._executor = executor
        self._promised: Promised = read_promised(disk, path)

    async def told(self, witness: str, *sizes: int) -> None:
        """Keep sizes that a witness has asked from, or is about to be told; returns once that is durable."""
        signed, known = self._promised.get(witness, (0, ()))
        latest = dict.fromkeys([*(size for size in known if size not in sizes), *sizes])
        await self._keep(witness, signed, tuple(latest)[-TOLD_MAX:])

    async def signed(self, witness: str, size: int) -> None:
        """Keep the size of a cosignature that was recorded: no number of questions drives it out."""
        signed, known = self._promised.get(witness, (0, ()))
        await self._keep(witness, max(size, signed), known)

    async def _keep(self, witness: str, signed: int, told: tuple[int, ...]) -> None:
        before = self.tiles()
        others = {name: one for name, one in self._promised.items() if name != witness}
        kept = [*others.items(), (witness, (signed, told))][-WITNESSES_MAX:]
        # A new map, so that the thread that retires segments sees the old one or the new one, whole.
        self._promised = dict(kept)
        if self.tiles() == before:
            return
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._executor, write_promised, self._disk, self._path, self._promised
            )
        except OSError as error:
            LOG.warning("which sizes witnesses were told is kept in memory alone: %s", error)

    def tiles(self) -> set[int]:
        """Tiles of 256 leaves whose hashes stay for a proof; from any thread."""
        sizes = {size for signed, told in self._promised.values() for size in (signed, *told)}
        return {size // TILE_LEAVES for size in sizes if size % TILE_LEAVES}


def read_promised(disk: Disk, path: Path) -> Promised:
    """Read what is kept; nothing when the file is missing or damaged: a witness's next question fills it."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        content = unseal(_MAGIC, disk.read(path)) if disk.size(path) >= 0 else None
        if content is not None:
            found: dict[str, tuple[int, list[int]]] = msgpack.unpackb(content)
            return {name: (int(signed), tuple(map(int, told))) for name, (signed, told) in found.items()}
    return {}


def write_promised(disk: Disk, path: Path, promised: Promised) -> None:
    """Replace what is kept."""
    content = {name: [signed, list(told)] for name, (signed, told) in promised.items()}
    write_whole(disk, path, seal(_MAGIC, msgpack.packb(content)))
