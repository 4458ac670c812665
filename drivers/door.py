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


Found = Literal["", "pty", "simulator"]
"""A program behind a pseudo-terminal, a simulator by its own word, or nothing of the kind."""
SIMULATORS, SIMULATED_SERIAL = "Yaosu Simulator", "SIM-"
"""How the simulators name themselves in their protocols: known here as any instrument is."""


def what_is_found(identity: Identity | None, *, pseudo_terminal: bool) -> Found:
    """Tell what an instrument is found to be; its own word weighs more than its line."""
    if identity is not None and (
        identity.vendor.startswith(SIMULATORS)
        or identity.model.startswith(SIMULATORS)
        or identity.serial.startswith(SIMULATED_SERIAL)
    ):
        return "simulator"
    return "pty" if pseudo_terminal else ""


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
    found: Found = ""
    """What its connection and its identity show it to be, whatever the settings call it."""


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
