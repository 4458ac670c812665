"""The archive's door: append, read, verify; every blocking call on one worker thread, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from pipeline.archive.index import Index
from pipeline.archive.segments import Content, Place, Segments
from pipeline.archive.settings import ArchiveSettings
from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.errors import JournalBusyError
from pipeline.journal.merkle import leaf_hash
from pipeline.records.envelope import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.store.door import Origin

_P = ParamSpec("_P")
_T = TypeVar("_T")
LOCK_NAME = "archive.lock"
INDEX_NAME = "index.sqlite"
FORKS_MAX = 1000
"""Forks that are remembered by name from earlier runs."""


class ArchiveError(Exception):
    """The archive cannot be written or read: nothing of this call counts; look at the disk, try again."""


class ArchiveBusyError(ArchiveError):
    """Another collector has the archive open: stop it, or use another folder."""


class Archived(NamedTuple):
    """One archived version of a record, with who sent it."""

    origin: Origin
    data: bytes


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of each item of a call, by position; every position is in exactly one of the three."""

    new: list[int]
    """Stored now, and durable."""
    known: list[int]
    """The same bytes were there before."""
    forks: list[int]
    """There are different bytes of the same (journal, seq): all are kept, and no receipt may be given."""


class Finding(NamedTuple):
    """Something that `verify` does not find as it must be."""

    segment: int
    offset: int
    what: str


@dataclass(slots=True)
class ArchiveHealth:
    """What the status page says of the archive."""

    torn_bytes: int = 0
    """Cut off at the end of the last segment when the archive was opened: never promised to anybody."""
    damaged: list[int] = field(default_factory=list)
    """Segments with bytes that cannot be read."""
    forks: int = 0
    """Identities with more than one version, up to FORKS_MAX of earlier runs."""


class Archive:
    """Record bytes of all gateways that this collector hears, append-only.

    The state counts once it is on the medium: `append` returns after fdatasync. One process at a time.
    """

    def __init__(self, folder: Path, archive: bytes, settings: ArchiveSettings, disk: Disk) -> None:
        """See `open`."""
        self._folder = folder
        self._disk = disk
        self._segments = Segments(disk, folder, archive, settings.segment_bytes)
        self._index: Index | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archive")
        self.health = ArchiveHealth()

    @classmethod
    async def open(
        cls, folder: Path, archive: bytes, settings: ArchiveSettings | None = None, disk: Disk | None = None
    ) -> Archive:
        """Open an archive, cut off a torn tail and bring the index up to the segments.

        Args:
            folder: made when it is not there.
            archive: 16 bytes that name who writes it, kept in every segment's header.
            settings: limits.
            disk: for tests that tear what was not synced.

        Raises:
            ArchiveBusyError: another process has it open.
            ArchiveError: the folder cannot be used.
        """
        opened = cls(folder, archive, settings or ArchiveSettings(), disk or RealDisk())
        try:
            await opened._call(opened._open)
        except BaseException:
            opened._thread.shutdown(wait=False)
            raise
        return opened

    async def _call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        call = partial(function, *args, **kwargs)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except JournalBusyError as error:
            raise ArchiveBusyError(
                f"another collector has the archive in {self._folder} open; stop it, or use another folder"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise ArchiveError(
                f"the archive in {self._folder} cannot be used: {error}; check the disk (space, mount,"
                f" dmesg); {INDEX_NAME} alone may be removed, it is made again"
            ) from error

    def _open(self) -> None:
        self._disk.make_directory(self._folder)
        self._disk.lock(self._folder / LOCK_NAME)
        self._index = Index(self._folder / INDEX_NAME)
        through = self._index.through()
        # A segment is indexed only as far as it was synced.
        names = self._segments.names()
        self.health.torn_bytes = self._segments.recover(through.get(names[-1], 0) if names else 0)
        for segment in self._segments.names():
            size = self._segments.size(segment)
            if size < through.get(segment, 0):
                self._index.forget(segment)
            if size != through.get(segment):
                self._index_segment(segment, size)
        self.health.forks = len(self._index.forks(FORKS_MAX))

    def _index_segment(self, segment: int, size: int) -> None:
        assert self._index is not None  # noqa: S101 - opened before
        contents, damages = self._segments.contents(segment)
        if damages:
            self.health.damaged.append(segment)
        rows = []
        for place, content in contents:
            record = decode(content.data)  # whole by its checksum, and only decoded records are appended
            rows.append((record.journal, record.seq, leaf_hash(content.data), place))
        self._index.add(rows, segment, size)

    async def append(self, items: Sequence[tuple[Origin, Record]]) -> Appended:
        """Store records and return once they are durable; bytes that are there are not stored twice.

        Raises:
            ArchiveError: nothing of this call counts as stored.
        """
        return await self._call(self._append, items)

    def _append(self, items: Sequence[tuple[Origin, Record]]) -> Appended:
        index = self._require_index()
        versions: dict[tuple[bytes, int], set[bytes]] = {}
        fresh: list[int] = []
        digests: list[bytes] = []
        for position, (_, record) in enumerate(items):
            digest = leaf_hash(record.data)
            identity = (record.journal, record.seq)
            if identity not in versions:
                versions[identity] = set(index.find(*identity))
            if digest not in versions[identity]:
                fresh.append(position)
                versions[identity].add(digest)
                self.health.forks += len(versions[identity]) == 2
            digests.append(digest)
        if fresh:
            self._store(items, fresh, digests)
        forks = [i for i, (_, record) in enumerate(items) if len(versions[record.journal, record.seq]) > 1]
        forked, stored = set(forks), set(fresh)
        return Appended(
            new=[i for i in fresh if i not in forked],
            known=[i for i in range(len(items)) if i not in stored and i not in forked],
            forks=forks,
        )

    def _store(self, items: Sequence[tuple[Origin, Record]], fresh: list[int], digests: list[bytes]) -> None:
        places = self._segments.append([Content(items[i][0], items[i][1].data) for i in fresh])
        rows = [
            (items[i][1].journal, items[i][1].seq, digests[i], place)
            for i, place in zip(fresh, places, strict=True)
        ]
        self._require_index().add(rows, places[-1].segment, places[-1].end)

    async def read(self, journal: bytes, seq: int) -> list[Archived]:
        """Return every version of one record: several when there is a fork. Raises ArchiveError."""
        return await self._call(self._read, journal, seq)

    def _read(self, journal: bytes, seq: int) -> list[Archived]:
        return [self._content(place) for place in self._require_index().find(journal, seq).values()]

    async def records(self, journal: bytes, from_seq: int, limit: int = 1000) -> list[Archived]:
        """Return up to `limit` versions of records from a seq on, by seq. Raises ArchiveError."""
        return await self._call(self._records, journal, from_seq, limit)

    def _records(self, journal: bytes, from_seq: int, limit: int) -> list[Archived]:
        return [self._content(place) for _, place in self._require_index().page(journal, from_seq, limit)]

    def _content(self, place: Place) -> Archived:
        content = self._segments.read(place)
        if content is None:
            raise ArchiveError(
                f"segment {place.segment} is damaged at byte {place.offset}; restore the file from a copy"
            )
        return Archived(content.origin, content.data)

    async def journals(self) -> dict[bytes, int]:
        """Journal id to the number of archived records. Raises ArchiveError."""
        return await self._call(lambda: self._require_index().journals())

    async def verify(self) -> list[Finding]:
        """Read every segment again and compare it with the index; appends go on between segments.

        Returns an empty list when every checksum, hash and place fits. Raises ArchiveError.
        """
        findings: list[Finding] = []
        for segment in await self._call(self._segments.names):
            findings.extend(await self._call(self._verify_segment, segment))
        return findings

    def _verify_segment(self, segment: int) -> list[Finding]:
        contents, damages = self._segments.contents(segment)
        findings = [Finding(segment, d.offset, f"{d.end - d.offset} bytes cannot be read") for d in damages]
        there = {place: leaf_hash(content.data) for place, content in contents}
        indexed = set()
        for _, _, digest, *position in self._require_index().within(segment):
            place = Place(*position)
            indexed.add(place)
            if there.get(place) != digest:
                findings.append(Finding(segment, place.offset, "an indexed record is missing or differs"))
        findings.extend(
            Finding(segment, place.offset, "a record is not in the index")
            for place in there
            if place not in indexed
        )
        return findings

    def _require_index(self) -> Index:
        assert self._index is not None  # noqa: S101 - `open` is the only way in
        return self._index

    async def close(self) -> None:
        """Wait for what is under way and let go of everything. Calling it again does nothing."""
        if self._index is not None:
            await self._call(self._close)
        self._thread.shutdown()

    def _close(self) -> None:
        self._require_index().close()
        self._index = None
        self._segments.close()
        self._disk.unlock(self._folder / LOCK_NAME)
