"""Settings of the journal."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import Settings

MIB = 2**20


class JournalSettings(Settings):
    """Where the journal's limits lie; the defaults suit a reference site."""

    commit_delay_ms: Annotated[int, Field(ge=0, le=1000)] = 100
    """A commit starts at most this long after the oldest record that is not yet on disk; 0: as soon as the
    commit before it has ended. Each commit costs a sync."""

    segment_bytes: Annotated[int, Field(ge=64 * 1024, le=64 * MIB)] = 64 * MIB
    """A segment file that has grown past this size is sealed and the next one begun."""

    segment_records: Annotated[int, Field(ge=16, le=1_000_000)] = 20_000
    """A segment with this many records is sealed too: the open one is read whole at start."""

    keep_days: Annotated[float, Field(ge=0, le=36500)] = 30.0
    """Bulk records (data, flags) stay at least this long after they were written, receipted or not; on a disk
    that is full, what is receipted goes earlier."""

    size_max_bytes: Annotated[int, Field(ge=MIB)] = 20 * 1024 * MIB
    """Size of the journal above which bulk goes before its time: first what is receipted, the oldest first;
    then what is not, the oldest without a remark of the rules first. The ledger stays."""

    uncommitted_bytes_max: Annotated[int, Field(ge=MIB, le=1024 * MIB)] = 64 * MIB
    """Records that wait in memory for the disk; beyond it an append is refused."""

    tail_bytes: Annotated[int, Field(ge=0, le=1024 * MIB)] = 8 * MIB
    """Recent records kept in memory for readers that follow the head."""

    slow_commit_ms: Annotated[int, Field(ge=1, le=60_000)] = 200
    """A commit that takes longer is reported."""

    verify_bytes_per_s: Annotated[int, Field(ge=0, le=1024 * MIB)] = 4 * MIB
    """Speed at which sealed segments are read again in the background to find bytes that rot; 0 for never."""

    @property
    def file_bytes(self) -> int:
        """Size that segment files have: a small journal consists of several all the same."""
        return min(self.segment_bytes, max(64 * 1024, self.size_max_bytes // 8))
