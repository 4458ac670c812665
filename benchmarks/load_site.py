"""The instruments of a load: many devices of one kind, all channels checked by three rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.modbus.line_settings import ModbusTcpSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

CHANNELS = 500
"""float32 values of a device: 1,000 registers, 9 requests of at most 125."""
QC: dict[str, Any] = {
    "range": {"fail_low": 0.0, "fail_high": 100.0},
    "rate": {"suspect": 50.0},
    "flat_line": {"suspect_s": 5.0},
}


def load_instruments(
    ports: Sequence[int], *, channels: int = CHANNELS, **other: Any
) -> tuple[ModbusTcpSettings, ...]:
    """Return the settings of one device for each port of this machine; they share their channels."""
    first = ModbusTcpSettings.model_validate({
        "id": "d0", "driver": "modbus-tcp", "source": "simulated", "host": "127.0.0.1", "port": ports[0],
        "read_identity": False, "keep_raw": False,
        "channels": [
            {"name": f"c{at}", "address": 2 * at, "type": "float32", "unit": "V", "qc": QC}
            for at in range(channels)
        ],
        **other,
    })  # fmt: skip
    return tuple(first.model_copy(update={"id": f"d{at}", "port": port}) for at, port in enumerate(ports))
