"""The long runs of `make soak`, as they left their counts: a section of RESULTS.md. Nothing is run here."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe_machine
from benchmarks.results import section_text, show

if TYPE_CHECKING:
    from collections.abc import Sequence

SOAK_FILE = Path(__file__).resolve().parents[1] / "test-output" / "soak.json"


def read(path: Path) -> list[dict[str, Any]]:
    """Read what the runs have left, one JSON object a line; nothing where none has ended yet.

    Raises:
        ValueError: a line is no JSON; the message names file and line.
    """
    if not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            runs.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}; remove the line") from error
    return runs


def results_section(found: dict[str, Any]) -> str:
    """Write the runs as a section of RESULTS.md."""
    text = (
        "The long runs that `make test` leaves out: disks as a power cut can leave them, through the "
        "production recovery code; SIGKILL at named points in gateway and collectors over a hostile network; "
        "the seeded simulation of the whole chain. Each is listed only when it has ended well, with the seed "
        "that repeats it; they need not be of the day or the commit of the other sections."
    )
    if not found["soak"]:
        text += " None has ended on this machine yet."
    rows = [
        (
            one["date"], one["commit"] or "-", one["what"], f"`{one['seed']}`",
            ", ".join(f"{count:,} {name}" for name, count in one["counts"].items()),
            str(one["lost"]), str(one["doubled"]), str(one["manual_repairs"]),
        )
        for one in found["soak"]
    ]  # fmt: skip
    header = ("ended", "commit", "run", "seed", "counts", "lost", "doubled", "repaired by hand")
    return section_text("Soak", text, header, rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the section of RESULTS.md, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=SOAK_FILE, help="what the runs have left")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    found = {"machine": describe_machine(), "soak": read(options.file)}
    show(found, results_section, as_json=options.json)


if __name__ == "__main__":
    main()
