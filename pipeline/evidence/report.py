"""What a check found, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.evidence.findings import Checked, Cosigned

_LATEST_S = 253402300799
"""The end of the year 9999."""


def report(checked: Checked) -> str:
    """Write what was found, for people."""
    lines = [f"NOT GOOD: {problem}" for problem in checked.problems[:20]]
    if len(checked.problems) > 20:
        lines.append(f"NOT GOOD: and {len(checked.problems) - 20} problems more")
    if checked.seqs:
        low, high = checked.seqs
        lines.append(f"task {checked.task} of {checked.origin}, journal {checked.journal}")
        sealed = f"sealed by the log: the first {checked.sealed_size}"
        lines.append(f"{checked.records} records, seq {low} to {high}; {sealed}")
    lines += [*map(seen, checked.cosigned), *checked.changes]
    if checked.unwitnessed:
        lines.append("not witnessed yet: seq {} to {}".format(*checked.unwitnessed))
    elif not checked.witnessed_size:
        lines.append(
            "nobody outside the laboratory has witnessed this: its key could have sealed another story"
        )
    lines += [f"ignored: a signature of {name}, which the policy does not name" for name in checked.ignored]
    lines.append("NOT VERIFIED" if checked.problems else "VERIFIED")
    return "".join(f"{_plain(line)}\n" for line in lines)


def seen(one: Cosigned) -> str:
    """Say what a witness has seen, and when."""
    at = datetime.fromtimestamp(min(one.t_s, _LATEST_S), UTC).isoformat()
    return f"witness {one.witness} had seen the first {one.size} records at {at} by its own clock"


def _plain(line: str) -> str:
    """Take out what could steer a terminal: a file may hold anything."""
    return "".join(character if character.isprintable() else "\ufffd" for character in line)
