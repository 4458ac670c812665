"""The archive's door: append, read, verify; every blocking call on one worker thread, in order."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from pipeline.archive.check import Checker, Finding
from pipeline.archive.holds import Holds
from pipeline.archive.index import INDEX_NAME, Index, Row, ledger_kind
from pipeline.archive.merging import Copied, copy_segments
from pipeline.archive.purging import read_purged, write_purged
from pipeline.archive.segments import PURGED_SUFFIX, Content, Place, Segments
from pipeline.archive.settings import ArchiveSettings
from pipeline.journal.disk import Disk, RealDisk
from pipeline.journal.errors import JournalBusyError
from pipeline.journal.framing import Damage
from pipeline.journal.merkle import leaf_hash
from pipeline.records.envelope import MalformedRecord, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.store.door import Origin

_P = ParamSpec("_P")
_T = TypeVar("_T")
LOG = logging.getLogger(__name__)
LOCK_NAME = "archive.lock"
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
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


class Merged(NamedTuple):
    """What a merge brought."""

    segments: int
    """Files that are new here, or have grown."""
    records: int
    """Versions of records that were not here before."""
    forks: list[tuple[bytes, int]]
    """(journal, seq) of records that have different contents in the two archives: all are kept."""
    refused: list[str]
    """Files that are no segments, or contradict a copy that is here."""


@dataclass(slots=True)
class ArchiveHealth:
    """What the status page says of the archive."""

    torn_bytes: int = 0
    """Cut off at the end of the last segment when the archive was opened: never promised to anybody."""
    damaged: list[str] = field(default_factory=list)
    """Segments with bytes that cannot be read, or not those that were archived."""
    forks: int = 0
    """Identities with more than one version, up to FORKS_MAX of earlier runs."""
    purged: int = 0
    """Segments of which only hashes are left."""
    checked_utc_ns: int = 0
    """When the last whole round of the integrity check ended; 0 before the first."""


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
        call = partial(self._healed, partial(function, *args, **kwargs))
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

    def _healed(self, call: Callable[[], _T]) -> _T:
        """Call; when the index turns out to be damaged, make it again from the segments, then call again."""
        try:
            return call()
        except sqlite3.DatabaseError as error:
            if self._index is None or getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
                raise
            LOG.error("the index of the archive is damaged and made again: %s", error)  # noqa: TRY400 - known
            self._make_index_again()
            return call()

    def _make_index_again(self) -> None:
        self._index = self._require_index().made_again()
        self._bring_up_to_date({})
        self.health.forks = len(self._index.forks(FORKS_MAX))

    def _open(self) -> None:
        self._disk.make_directory(self._folder)
        self._disk.lock(self._folder / LOCK_NAME)
        self._index = Index(self._folder / INDEX_NAME)
        self._healed(self._take_up)

    def _take_up(self) -> None:
        index = self._require_index()
        through = index.through()
        for segment in self._segments.missing(through):
            LOG.error("segment %s of the archive is missing, or shorter than it was", segment)
            self.health.damaged.append(segment)
        # A segment is indexed only as far as it was synced.
        names = self._segments.own()
        self.health.torn_bytes = self._segments.recover(through.get(names[-1], 0) if names else 0)
        if self.health.damaged:  # what they held may lie in another collector's segment too
            self._make_index_again()
            return
        self._bring_up_to_date(through)
        self.health.forks = len(index.forks(FORKS_MAX))

    def _bring_up_to_date(self, through: dict[str, int]) -> None:
        """Index what the segments hold beyond the index, and the hashes of those whose bytes are gone."""
        index = self._require_index()
        names = self._segments.names()
        for segment in names:
            size = self._segments.size(segment)
            if size != through.get(segment):
                self._index_segment(segment, size)
        purged = self._segments.purged()
        self.health.purged = len(purged)
        for segment in purged:
            if segment in names:  # a crash came between: the bytes count, their turn comes again
                self._disk.remove(self._folder / f"{segment}{PURGED_SUFFIX}")
                self.health.purged -= 1
            elif through.get(segment):
                index.let_go(segment)
            elif segment not in through:
                rows = read_purged(self._disk, self._folder, segment)
                if rows is None:
                    self.health.damaged.append(segment)
                else:
                    index.add(rows, segment, 0, 0)

    def _index_segment(self, segment: str, size: int) -> None:
        contents, damages = self._segments.contents(segment)
        rows, latest_ns = [], 0
        for place, content in contents:
            try:
                record = decode(content.data)
            except MalformedRecord:  # of an archive that was merged: we append only what can be decoded
                damages.append(Damage(place.offset, place.end, 0))
                continue
            latest_ns = max(latest_ns, record.t_utc_ns)
            rows.append(_row(record, leaf_hash(content.data), place))
        if damages and segment not in self.health.damaged:
            self.health.damaged.append(segment)
        self._require_index().add(rows, segment, size, latest_ns)

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
        rows = [_row(items[i][1], digests[i], place) for i, place in zip(fresh, places, strict=True)]
        latest_ns = max(items[i][1].t_utc_ns for i in fresh)
        self._require_index().add(rows, places[-1].segment, places[-1].end, latest_ns)

    async def read(self, journal: bytes, seq: int) -> list[Archived]:
        """Return every version of one record: several when there is a fork. Raises ArchiveError."""
        return await self._call(self._read, journal, seq)

    def _read(self, journal: bytes, seq: int) -> list[Archived]:
        places = self._require_index().find(journal, seq).values()
        return [self._content(place) for place in places if place.end]

    async def records(self, journal: bytes, from_seq: int, limit: int = 1000) -> list[Archived]:
        """Return up to `limit` versions of records from a seq on, by seq. Raises ArchiveError."""
        return await self._call(self._records, journal, from_seq, limit)

    def _records(self, journal: bytes, from_seq: int, limit: int) -> list[Archived]:
        rows = self._require_index().page(journal, from_seq, limit)
        return [self._content(row.place) for row in rows if row.place.end]

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

    async def latest_ns(self) -> int:
        """Return the latest UTC stamp of a record in it, ns; 0 when there is none. Raises ArchiveError."""
        return await self._call(lambda: max(self._require_index().youngest().values(), default=0))

    async def verify(self) -> list[Finding]:
        """Read every segment again and compare it with the index; appends go on meanwhile.

        Returns an empty list when every checksum, hash and place fits. Raises ArchiveError.
        """
        try:
            return await asyncio.to_thread(self._verify)
        except (OSError, sqlite3.Error) as error:
            raise ArchiveError(f"the archive in {self._folder} cannot be read: {error}") from error

    def _verify(self) -> list[Finding]:
        checker = Checker(self._folder, self._disk)
        try:
            return [finding for segment in checker.segments() for finding in checker.check(segment)]
        finally:
            checker.close()

    async def purge(self, older_than_utc_ns: int) -> list[str]:
        """Let go of whole sealed segments whose every record is older, and is not under a legal hold.

        A record is as old as its stamp and the file that holds it, whichever is younger: a clock that was
        wrong lets nothing go early. Returns the segments' names; their hashes stay.

        Raises:
            ArchiveError: the disk does not work.
            HoldsError: the file of holds is damaged; nothing was let go.
        """
        own = await self._call(self._segments.own)
        names = await self._call(self._segments.names)
        sealed = [name for name in names if name not in own[-1:]]
        return [name for name in sealed if await self._call(self._purge, name, older_than_utc_ns)]

    def _purge(self, segment: str, older_than_utc_ns: int) -> bool:
        index = self._require_index()
        path = self._segments.path(segment)
        youngest_ns = max(index.youngest().get(segment, 2**63), path.stat().st_mtime_ns)
        if youngest_ns >= older_than_utc_ns:
            return False
        with Holds(self._folder, self._disk).unchanged() as holds:
            if any(hold.covers(*span) for hold in holds for span in index.spans(segment)):
                return False
            write_purged(self._disk, self._folder, segment, index.within(segment))
            self._disk.remove(path)
            self._disk.sync_directory(path.parent)
        index.let_go(segment)
        self.health.purged += 1
        return True

    async def merge(self, other: Path, *, with_open: bool = True) -> Merged:
        """Take in the segments of another collector's archive: a union, in which nothing is lost.

        Args:
            other: its folder, or a copy of it.
            with_open: also its last segment, which still grows while its collector runs.

        Raises:
            ArchiveError: a folder cannot be read or written.
        """
        return await self._call(self._merge, other, with_open)

    def _merge(self, other: Path, with_open: bool) -> Merged:  # noqa: FBT001 - handed through a thread
        index = self._require_index()
        before, known = sum(index.journals().values()), set(index.forks(-1))
        copied: Copied = copy_segments(self._disk, other, self._folder, with_open=with_open)
        self._bring_up_to_date(index.through())
        forks = [identity for identity in index.forks(-1) if identity not in known]
        self.health.forks += len(forks)
        return Merged(len(copied.segments), sum(index.journals().values()) - before, forks, copied.refused)

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


def _row(record: Record, digest: bytes, place: Place) -> Row:
    return Row(record.journal, record.seq, digest, place, ledger_kind(record.kind))
