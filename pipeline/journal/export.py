"""Records of a journal's folder for other programs: their bytes, or a line of JSON each. Changes nothing."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.journal.merkle import leaf_hash
from pipeline.journal.readonly import JournalReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from pipeline.records import Record


def export_records(
    directory: Path, *, first_seq: int = 0, last_seq: int | None = None, kinds: Collection[str] | None = None,
    from_utc_ns: int | None = None, to_utc_ns: int | None = None,
) -> Iterator[Record]:  # fmt: skip
    """Go through the records that are on disk, in order; works while the daemon runs.

    Args:
        directory: the journal's folder.
        first_seq: first seq.
        last_seq: last seq; None for the end.
        kinds: only these kinds; None for all.
        from_utc_ns: only records with this UTC stamp or a later one.
        to_utc_ns: only records with an earlier UTC stamp.

    Raises:
        OSError: the folder cannot be read.
    """
    for record in JournalReader(directory).after(first_seq - 1, kinds):
        if last_seq is not None and record.seq > last_seq:
            return
        early = from_utc_ns is not None and record.t_utc_ns < from_utc_ns
        late = to_utc_ns is not None and record.t_utc_ns >= to_utc_ns
        if not early and not late:
            yield record


def json_line(record: Record) -> bytes:
    """Write a record as one line of JSON.

    Bytes become {"base64": …}. JSON has no NaN: where that matters, export the bytes.
    """
    content = {
        "journal": record.journal.hex(),
        "seq": record.seq,
        "kind": record.kind,
        "source": record.source,
        "epoch": record.epoch,
        "boot": record.boot,
        "t_utc_ns": record.t_utc_ns,
        "t_run_ns": record.t_run_ns,
        "clock": {"synchronised": record.clock.synchronised, "error_ns": record.clock.error_ns},
        "by": None if record.by is None else record.by._asdict(),
        "leaf": leaf_hash(record.data).hex(),
        "body": record.body,
    }
    return orjson.dumps(content, default=_plain, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} is no part of a record")
