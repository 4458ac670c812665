"""What a recording needs of drivers, beside the bytes: what they know, and what was taken of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol, cast

from drivers.poller import Polled, Poller
from pipeline.records import DeviceEvent, Gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from drivers.door import Driver
    from drivers.transport import Line
    from drivers.transport.line import Connect
    from drivers.transport.recording import Kept
    from pipeline.records import Item

NOTED_CODES = frozenset({
    "instrument-lost", "instrument-back", "source-pty", "source-simulator", "source-live",
})  # fmt: skip
"""Events of the poller, which no line shows."""


class OnLine(Polled, Protocol):
    """A polled instrument on a line."""

    @property
    def line(self) -> Line:
        """The line that it hangs on."""
        ...

    def owns(self, request: bytes) -> bool:
        """Tell whether bytes that were written to the line were a request to this instrument."""
        ...

    def kept(self) -> Kept:
        """Return what earlier polls have shown, for `restore`; asked while the line is leased."""
        ...

    def restore(self, kept: Kept) -> None:
        """Know what another one of the same settings knew."""
        ...


def keepers_of(drivers: Iterable[Driver]) -> dict[Connect, Callable[[], Kept]]:
    """Return, by the way to connect its line, how to ask what a line and its instruments know."""
    lines: dict[Connect, list[OnLine]] = {}
    for driver in drivers:
        one = polled_of(driver)
        lines.setdefault(one.line.connect, []).append(one)

    def keeper(members: list[OnLine]) -> Callable[[], Kept]:
        return lambda: {
            "line": members[0].line.kept(),
            "instruments": {one.describe().instrument: one.kept() for one in members},
        }

    return {connect: keeper(members) for connect, members in lines.items()}


def polled_of(driver: Driver) -> OnLine:
    """Return the instrument behind a driver's poller."""
    assert isinstance(driver, Poller)  # noqa: S101 - every driver is one, and on a line, so far
    return cast("OnLine", driver.polled)


def note_of(item: Item) -> dict[str, Any]:
    """Return what a recording notes of an item that is taken: what no line shows, else only its place."""
    if isinstance(item, Gap):
        return {"kind": "gap", **asdict(item)}
    if isinstance(item, DeviceEvent) and item.code in NOTED_CODES:
        return {"kind": "event", **asdict(item)}
    return {"kind": "item", "instrument": item.instrument}
