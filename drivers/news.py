"""Device events told once for each change: a device that keeps failing in one way is not news."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.errors import BadFrame, DeviceException, WrongAnswer
from pipeline.records import DeviceEvent

if TYPE_CHECKING:
    from drivers.door import Identity
    from drivers.errors import DriverError
    from pipeline.records import Clock


class News:
    """What was last told of one instrument.

    An event's `count` is how often its kind has happened since the last event of that kind, this one
    included.
    """

    def __init__(self, instrument: str, clock: Clock) -> None:
        self._instrument = instrument
        self._clock = clock
        self._last: dict[str, str] = {}
        self._untold: dict[str, int] = {}

    def kept(self) -> list[dict[str, Any]]:
        """Return what was told last, for `restore`."""
        return [self._last, self._untold]

    def restore(self, kept: list[dict[str, Any]]) -> None:
        """Take for told what was told then."""
        self._last, self._untold = (dict(one) for one in kept)

    def event(self, code: str, /, **args: str | float) -> DeviceEvent:
        """Return an event that happens now."""
        return DeviceEvent(self._instrument, code, self._clock.utc_ns(), self._clock.run_ns(), dict(args))

    def identity(self, identity: Identity) -> DeviceEvent:
        """Return what the device says that it is."""
        return self.event(
            "identity",
            vendor=identity.vendor, model=identity.model, serial=identity.serial, revision=identity.revision,
        )  # fmt: skip

    def change(self, code: str, place: str, text: str, /, **args: str | float) -> list[DeviceEvent]:
        """Return the event, if at `place` something else was the case before."""
        self._untold[code] = self._untold.get(code, 0) + 1
        if self._last.get(place) == text:
            return []
        self._last[place] = text
        return [self.event(code, **args, count=self._untold.pop(code))]

    def fine(self, place: str) -> None:
        """Note that at `place` all is well."""
        self._last.pop(place, None)

    def exchange(self, place: str, error: DriverError | None) -> list[DeviceEvent]:
        """Return the news of one exchange; silence and lost connections are told by the poller."""
        if isinstance(error, DeviceException):
            return self.change(
                "device-exception", place, error.message, code=error.code, meaning=error.meaning, where=place
            )
        if isinstance(error, BadFrame | WrongAnswer):
            return self.change("bad-frame", place, error.message, error=error.message, where=place)
        if error is None:
            self.fine(place)
        return []
