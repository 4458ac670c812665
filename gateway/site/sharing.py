"""What is equal in a site file is held once: of many instruments most are of few kinds.

A channel takes some 4 kB as it comes from the file, most of it in its table of rules and in what it remembers
of the file; 200 devices of 500 channels took 430 MB. Settings never change, so that equal ones may be one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from drivers.settings import ChannelSettings, InstrumentSettings

Instrument = TypeVar("Instrument", bound="InstrumentSettings")


class Sharing:
    """The channels, tables of rules and sets of given keys that were met so far."""

    def __init__(self) -> None:
        self._lists: dict[tuple[str, int, str], list[tuple[ChannelSettings, ...]]] = {}
        self._tables: dict[str, dict[str, Any]] = {}
        self._keys: dict[frozenset[str], set[str]] = {}

    def instrument(self, settings: Instrument) -> Instrument:
        """Return equal settings whose channels are those of an instrument before it, if they are equal."""
        first = settings.channels[0].name if settings.channels else ""
        alike = self._lists.setdefault((settings.driver, len(settings.channels), first), [])
        for known in alike:
            if known == settings.channels:
                return settings.model_copy(update={"channels": known})
        channels = tuple(self._channel(channel) for channel in settings.channels)
        alike.append(channels)
        return settings.model_copy(update={"channels": channels})

    def _channel(self, settings: ChannelSettings) -> ChannelSettings:
        given = frozenset(settings.model_fields_set)
        content = {**settings.__dict__, "qc": self._tables.setdefault(repr(settings.qc), settings.qc)}
        # It was validated: the same content needs no second look.
        return type(settings).model_construct(self._keys.setdefault(given, set(given)), **content)


def share_equal(instruments: Iterable[Instrument]) -> tuple[Instrument, ...]:
    """Return equal settings of all instruments, in the same order, that hold what is equal once."""
    sharing = Sharing()
    return tuple(sharing.instrument(settings) for settings in instruments)
