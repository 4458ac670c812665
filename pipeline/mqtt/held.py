"""Messages that were received and are not done: bounded, and acknowledged in the order in which they came."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message that the broker holds as delivered only once `done()` was called; call it once."""

    topic: str
    payload: bytes
    done: Callable[[], None]
    response_topic: str | None = None
    """Where the sender wants an answer (MQTT 5 section 3.3.2.3.5)."""
    correlation: bytes | None = None
    """What the answer is to carry, so that the sender knows which request it is for (3.3.2.3.6)."""


class Held:
    """What is held of one connection, by packet identifier.

    Acknowledgements go out in the order of arrival (MQTT-4.6.0-2; rumqttd insists on it): one that is done
    early waits for those before it. Bounded by `bytes_max`; full policy: a message is acknowledged and
    dropped, its sender gets no receipt and sends it again. One message alone may be larger.

    Args:
        bytes_max: limit of the payload bytes held.
        acknowledge: called with the packet identifier of each message whose turn it is.
    """

    def __init__(self, bytes_max: int, acknowledge: Callable[[int], object]) -> None:
        self._bytes_max = bytes_max
        self._acknowledge = acknowledge
        self._sizes: OrderedDict[int, int | None] = OrderedDict()  # None: done
        self.bytes = 0
        """Payload bytes of messages that are not done."""
        self.dropped = 0
        """Messages for which there was no room."""

    def take(self, identifier: int, size: int) -> bool:
        """Take a message in; False when it is dropped."""
        if self.bytes and self.bytes + size > self._bytes_max:
            self.dropped += 1
            self._sizes[identifier] = None
            self._acknowledge_done()
            return False
        self._sizes[identifier] = size
        self.bytes += size
        return True

    def done(self, identifier: int) -> None:
        """Let a message go."""
        self.bytes -= self._sizes[identifier] or 0
        self._sizes[identifier] = None
        self._acknowledge_done()

    def _acknowledge_done(self) -> None:
        while self._sizes:
            identifier, size = next(iter(self._sizes.items()))
            if size is not None:
                return
            del self._sizes[identifier]
            self._acknowledge(identifier)
