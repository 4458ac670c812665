"""What a protocol session and the wire under it know of one another."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """The wire as a session sees it."""

    def write(self, data: bytes) -> None:
        """Send bytes; what a full wire cannot take is lost, as on a line nobody reads."""
        ...

    def pause(self) -> None:
        """Stop delivering bytes."""
        ...

    def resume(self) -> None:
        """Deliver bytes again."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Session(Protocol):
    """A protocol at work on one wire."""

    def receive(self, data: bytes) -> None:
        """Take bytes that the other side has sent."""
        ...

    def close(self) -> None:
        """Cancel every timer: the wire is gone. A second call does nothing."""
        ...
