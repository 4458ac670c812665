"""MT-SICS balances over a serial line or TCP.

Protocol: METTLER TOLEDO Standard Interface Command Set (MT-SICS), levels 0 and 1.
"""

from drivers.mtsics.instrument import build_mtsics
from drivers.mtsics.settings import MtsicsSettings

__all__ = ["MtsicsSettings", "build_mtsics"]
