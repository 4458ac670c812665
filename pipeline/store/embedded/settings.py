"""Settings of the embedded store."""

from typing import Literal

from config.model import FilePath, Settings


class EmbeddedStoreSettings(Settings):
    """Readings and ledger in one SQLite file; nothing to install."""

    kind: Literal["embedded"]
    """Which store."""

    path: FilePath
    """The file. Its folder is made when missing; SQLite keeps two more files beside it."""
