"""Store in InfluxDB, generations 1, 2 and 3."""

from pipeline.store.influx.core import InfluxCore
from pipeline.store.influx.settings import InfluxStoreSettings

__all__ = ["InfluxCore", "InfluxStoreSettings"]
