"""The door of every driver: what an instrument is, and the stream of what it says."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pipeline.records import Item, Layout


@dataclass(frozen=True, slots=True)
class Identity:
    """What the device says about itself; an empty text where it says nothing."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of an instrument now."""

    instrument: str
    driver: str
    source: Literal["live", "simulated", "replayed"]
    endpoint: str
    layout: Layout
    """Layout in force; a block that carries another one replaces it."""
    identity: Identity | None
    """None until the device has answered, and for devices that cannot say."""
    poll_interval_s: float | None
    """None for an instrument that speaks by itself."""


class Driver(Protocol):
    """One instrument.

    Enter it, iterate `stream()` once, leave it. One task iterates; `describe()` and `stop()` may be called
    from other tasks of the same loop. Nothing is queued: while the consumer does not ask for the next item
    nothing is polled, and the deadlines that pass are counted in a gap.
    """

    async def __aenter__(self) -> Self:
        """Claim the line; no byte is sent before `stream()` is iterated."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the line back; the last instrument of a line closes it."""
        ...

    def describe(self) -> Description:
        """Tell what is known of the instrument now."""
        ...

    def stream(self) -> AsyncIterator[Item]:
        """Yield blocks, readings, device events and gaps until `stop()`; never raises what the world does."""
        ...

    def stop(self) -> None:
        """Let `stream()` finish the exchange in flight, yield what is left, an open gap too, and end."""
        ...
