"""What an evidence file says, for people; nothing is checked here."""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any

from pipeline.elements.texts import render_reason
from pipeline.evidence.findings import Refused
from pipeline.evidence.verify import RECORD_BYTES_MAX, read_exactly, read_header
from pipeline.records.envelope import MalformedRecord, decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.records import Record


def show(path: Path) -> dict[str, Any]:
    """Summarise a file: task, verdicts in force with their reasons, results, dispositions, seals.

    Raises:
        Refused: it is no evidence file, or a record in it is none.
        OSError: it cannot be read.
    """
    try:
        return _show(path)
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # a file may hold anything
        raise Refused(f"the file cannot be shown: {error}") from error


def _show(path: Path) -> dict[str, Any]:
    kinds: dict[str, int] = {}
    told: dict[str, list[Any]] = {"verdicts": [], "results": [], "dispositions": []}
    with path.open("rb") as stream:
        header = read_header(stream, path.stat().st_size)
        start: dict[str, Any] = {}
        for seq, record in records_in(stream, header):
            kinds[record.kind] = kinds.get(record.kind, 0) + 1
            if record.body.get("task") == header["task"]:
                start = start or record.body
                _tell(told, record.kind, seq, record.body)
    replaced = {one["supersedes"] for one in told["verdicts"]}
    told["verdicts"] = [one for one in told["verdicts"] if one["seq"] not in replaced]
    return {
        "task": header["task"], "journal": header["journal"].hex(), "sample": start.get("sample"),
        "item": start.get("item"), "method": start.get("method"), "instruments": start.get("instruments", []),
        "records": kinds, **told,
        "checkpoints": [int(tree["note"].split("\n")[1]) for tree in header["trees"]],
        "signed_by": sorted({
            line.split(" ")[1]
            for tree in header["trees"]
            for line in tree["note"].split("\n")
            if line.startswith("\u2014 ")
        }),
    }  # fmt: skip


def records_in(stream: IO[bytes], header: dict[str, Any]) -> Iterator[tuple[int, Record]]:
    """Go through the records of a file behind its header, with the seqs that the header gives them.

    Raises:
        Refused: one of them is no record.
    """
    for first, last in header["records"]:
        for seq in range(first, last + 1):
            (length,) = struct.unpack(">I", read_exactly(stream, 4, "a record", seq))
            if length > RECORD_BYTES_MAX:
                raise Refused("a record is longer than one can be", seq)
            try:
                yield seq, decode(read_exactly(stream, length, "a record", seq))
            except MalformedRecord as error:
                raise Refused(f"no record: {error}", seq) from error


def _tell(told: dict[str, list[Any]], kind: str, seq: int, body: dict[str, Any]) -> None:
    if kind == "verdict":
        reasons = [
            render_reason(one["code"], one["subject"], one.get("args", {}), "en")
            for one in body.get("reasons", ())
            if "code" in one
        ]
        told["verdicts"].append({
            "seq": seq, "element": body.get("element"), "status": body.get("status"),
            "finality": body.get("finality"), "supersedes": body.get("supersedes"), "reasons": reasons,
        })  # fmt: skip
    elif kind == "result":
        named = ("quantity", "value", "unit", "uncertainty", "k")
        told["results"].append({"seq": seq, **{name: body.get(name) for name in named}})
    elif kind == "review":
        told["dispositions"].append({
            "seq": seq, "disposition": body.get("disposition"), "reason": body.get("reason"),
        })  # fmt: skip
