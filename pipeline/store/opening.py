"""Opening a store from its settings."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from pipeline.store.influx import InfluxCore, InfluxStoreSettings
from pipeline.store.shell import StoreShell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.store.door import Store

StoreSettings = Annotated[EmbeddedStoreSettings | InfluxStoreSettings, Field(discriminator="kind")]
"""Settings of any store, told apart by `kind`. A further store joins here and in `_shell`."""


def _shell(
    settings: EmbeddedStoreSettings | InfluxStoreSettings, credentials: Path | None
) -> StoreShell[Any]:
    if isinstance(settings, EmbeddedStoreSettings):
        return StoreShell(EmbeddedCore(settings))
    return StoreShell(InfluxCore(settings, credentials))


@asynccontextmanager
async def open_store(
    settings: EmbeddedStoreSettings | InfluxStoreSettings, *, credentials: Path | None = None
) -> AsyncIterator[Store]:
    """Give a store for the time of the context. Opening waits for no server: the first call does.

    Args:
        settings: which store, and where.
        credentials: folder of the 0600 files that hold secrets, where systemd passes none.

    Raises:
        CredentialUnavailableError: a secret that the settings name cannot be read.
    """
    shell = _shell(settings, credentials)
    try:
        yield shell
    finally:
        await shell.close()
