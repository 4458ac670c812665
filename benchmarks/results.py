"""How figures become text: the same for every benchmark."""

from __future__ import annotations

import json
import statistics
import textwrap
from typing import TYPE_CHECKING, Any

from benchmarks.machine import machine_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


WIDTH = 110


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write the lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def section_text(title: str, text: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a section: what was measured and what it means, then the figures."""
    return "\n".join([f"## {title}", "", textwrap.fill(text, WIDTH), "", *table(header, rows)])


def times(ratio: float) -> str:
    """Write a ratio so that it reads well on either side of one."""
    return f"{ratio:.1f} times" if ratio >= 1 else f"{100 * ratio:.0f} % of"


def medians(runs: Sequence[Any]) -> Any:
    """Take the median of every figure over runs of the same shape; what is no figure is the first run's.

    The lower median: a figure that was measured, also of an even number of runs. None where a run has none.
    """
    first = runs[0]
    if isinstance(first, dict):
        return {key: medians([run[key] for run in runs]) for key in first}
    if any(run is None for run in runs):
        return None
    if isinstance(first, bool) or not isinstance(first, int | float):
        return first
    return statistics.median_low(runs)


def show(found: dict[str, Any], section: Callable[[dict[str, Any]], str], *, as_json: bool) -> None:
    """Print what one benchmark found: one JSON object, or its section and the machine."""
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(f"{section(found)}\n\nMachine: {machine_line(found['machine'])}.")
