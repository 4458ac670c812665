"""Store in one SQLite file, for a laboratory without a database server."""

from pipeline.store.embedded.core import EmbeddedCore
from pipeline.store.embedded.settings import EmbeddedStoreSettings

__all__ = ["EmbeddedCore", "EmbeddedStoreSettings"]
