"""What the long runs met, kept in a file for benchmarks/RESULTS.md: one JSON object a line, appended."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOAK_FILE = ROOT / "test-output" / "soak.json"


def commit() -> str:
    """Name the commit that runs, with a + for changes on top; empty outside a clone."""
    try:
        found, changed = (
            subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout
            for arguments in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain"))
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found.strip() + ("+" if changed.strip() else "")


def keep(what: str, seed: str, counts: dict[str, int], *, path: Path = SOAK_FILE) -> dict[str, object]:
    """Append a run that ended well: what was run, from which seed, and how much of it; returns the line.

    Nothing lost and nothing doubled is what each of these tests asserts before it comes here.
    """
    told: dict[str, object] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "commit": commit(), "what": what, "seed": seed,
        "counts": counts, "lost": 0, "doubled": 0, "manual_repairs": 0,
    }  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return told
