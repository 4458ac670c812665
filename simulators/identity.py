"""What a simulator says about itself when it is asked in its own protocol."""

from __future__ import annotations

from dataclasses import dataclass

VENDOR = "Yaosu Simulator"
SERIAL_PATTERN = r"^SIM-[A-Z0-9-]{1,24}$"
"""Serial numbers of simulators begin with SIM-, so that no gateway can take one for a real instrument."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Identification of one simulated instrument."""

    product: str
    model: str
    serial: str
    revision: str = "1.0"
    vendor: str = VENDOR
