"""Times that an environment allows between two readings, held against how often its channels are read.

Polls are stated in the site file and these times in the registry: neither can see the other. Where both are
known (`yaosu check` of both files, an import, a start), what cannot work is told with the arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from config.errors import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.elements.registry_file import Watched

ROOM = 2.0
"""Readings that fit into `staleness_s` with room for one that is missed, in intervals."""


class TooShort(NamedTuple):
    """A time of the registry that the polls cannot keep."""

    severity: Literal["error", "warning"]
    """An error can never work; a warning fails with the first reading that is missed."""
    message: str
    hint: str


def too_short(
    target: str, staleness_s: float, rate_window_s: float | None, intervals_s: Mapping[str, float]
) -> Iterator[TooShort]:
    """Hold the times of one channel of an environment against its interval.

    Args:
        target: instrument.channel; one that another gateway reads is passed over.
        staleness_s: longest time without a valid reading, in s.
        rate_window_s: time over which a rate is taken, in s; None where none is limited.
        intervals_s: what `intervals_s` gives.
    """
    interval_s = intervals_s.get(target, intervals_s.get(target.partition(".")[0]))
    if interval_s is None:
        return
    read = f"{target} is read every {interval_s:g} s"
    hint = (
        f"staleness_s = {3 * interval_s:g} has room for two missed readings; or poll the channel more often"
    )
    if staleness_s < interval_s:
        yield TooShort(
            "error",
            f"staleness_s = {staleness_s:g} is shorter than the interval: {read}, so that nothing would be "
            f"known for {interval_s - staleness_s:g} s of every {interval_s:g} s",
            hint,
        )
    elif staleness_s < ROOM * interval_s:
        yield TooShort(
            "warning",
            f"staleness_s = {staleness_s:g} is shorter than two intervals: {read}, so that one missed "
            f"reading ({ROOM * interval_s:g} s without) would count as unknown",
            hint,
        )
    if rate_window_s is not None and rate_window_s < interval_s:
        yield TooShort(
            "error",
            f"rate_window_s = {rate_window_s:g} is shorter than the interval: {read}, so that no window "
            "would hold two readings and no rate could be taken",
            f"rate_window_s = {5 * interval_s:g} or more",
        )


def age_findings(watched: Iterable[Watched], intervals_s: Mapping[str, float]) -> list[Finding]:
    """Return what registry files and a site cannot keep together, by file and line."""
    return [
        Finding(
            "E041", found.severity, one.file, one.line, one.col,
            f"environment '{one.environment}': {found.message}", found.hint,
        )
        for one in watched
        for found in too_short(one.target, one.staleness_s, one.rate_window_s, intervals_s)
    ]  # fmt: skip
