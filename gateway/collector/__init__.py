"""The collector: from the broker into store and archive, and only then a receipt."""

from gateway.collector.run import run_collector
from gateway.collector.settings import CollectorSettings

__all__ = ["CollectorSettings", "run_collector"]
