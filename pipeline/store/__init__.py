"""Stores: where checked readings and the ledger are kept for pages, audits and Grafana."""

from pipeline.store.door import (
    DeadLetter,
    Origin,
    Store,
    StoreMisconfigured,
    StoreUnavailable,
    WriteReport,
)
from pipeline.store.embedded import EmbeddedStoreSettings
from pipeline.store.influx import InfluxStoreSettings
from pipeline.store.opening import StoreSettings, open_store

__all__ = [
    "DeadLetter", "EmbeddedStoreSettings", "InfluxStoreSettings", "Origin", "Store", "StoreMisconfigured",
    "StoreSettings", "StoreUnavailable", "WriteReport", "open_store",
]  # fmt: skip
