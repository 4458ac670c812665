"""What requests cost on a line: time, from baud rate, framing and the device's own delay."""

from __future__ import annotations

from dataclasses import dataclass

SILENCE_CHARACTERS = 3.5
SILENCE_FAST_S = 0.00175
"""Above 19200 baud the silence is fixed (Modbus over Serial Line V1.02, section 2.5.1.1)."""
ANSWER_DELAY_S = 0.005
"""Time that a device takes before it answers, until it has been measured."""
_NETWORK_REQUEST_S = 0.001
_NETWORK_REGISTER_S = 1e-6
_RTU_CHARACTERS = 13
"""Request of 8 characters and 5 of the answer around its data (Modbus over Serial Line V1.02, 2.5.1)."""
_ASCII_CHARACTERS = 28
"""Request of 17 characters and 11 of the answer around its data (section 2.5.2)."""


@dataclass(frozen=True, slots=True)
class LineCost:
    """Time on the line, in s."""

    request_s: float
    """Of a request and its answer, but for the data: characters, silences, the device's delay."""
    register_s: float
    """Of each register in the answer."""
    quiet_s: float = 0.0
    """Of `request_s`, what passes before the request."""

    def block_s(self, function: int, count: int) -> float:
        """Return the time of one request for `count` registers, or bits for functions 1 and 2."""
        registers = (count + 15) // 16 if function <= 2 else count
        return self.request_s + registers * self.register_s


def silence_s(baudrate: int, character_s: float) -> float:
    """Return the quiet time between two frames of a serial line."""
    return SILENCE_FAST_S if baudrate > 19200 else SILENCE_CHARACTERS * character_s


def rtu_cost(character_s: float, quiet_s: float, answer_s: float | None = None) -> LineCost:
    """Return the cost on an RTU line.

    Args:
        character_s: time of a character with its start, parity and stop bits.
        quiet_s: quiet time before each request.
        answer_s: time between the end of a request and the beginning of its answer, as measured; None for a
            silence and `ANSWER_DELAY_S`.
    """
    return _serial_cost(_RTU_CHARACTERS, 1, character_s, quiet_s, answer_s)


def ascii_cost(character_s: float, quiet_s: float, answer_s: float | None = None) -> LineCost:
    """Return the cost on an ASCII line, where a byte of data is two characters."""
    return _serial_cost(_ASCII_CHARACTERS, 2, character_s, quiet_s, answer_s)


def _serial_cost(
    characters: int, characters_per_byte: int, character_s: float, quiet_s: float, answer_s: float | None
) -> LineCost:
    waits_s = quiet_s + (quiet_s + ANSWER_DELAY_S if answer_s is None else answer_s)
    return LineCost(characters * character_s + waits_s, 2 * characters_per_byte * character_s, quiet_s)


NETWORK_COST = LineCost(_NETWORK_REQUEST_S, _NETWORK_REGISTER_S)
"""On a network a request costs a round trip, and registers read along almost nothing."""
