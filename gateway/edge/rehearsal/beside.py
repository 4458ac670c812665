"""The rehearsal journal beside a production one: opened for the first row that belongs into it, then kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from gateway.edge.rehearsal.services import Services
from pipeline.journal.start import KEY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.edge.rehearsal.services import Context
    from gateway.supervise import Supervisor

LOG = logging.getLogger(__name__)


class Beside:
    """Opens the rehearsal journal when it is wanted, once, and closes it at the end.

    Until then it costs nothing: no folder, no file, no thread, no connection.

    Args:
        context: what the production gateway lends.
        supervisor: runs the journal's parts.
        unavailable: told why it cannot be opened.
    """

    def __init__(
        self, context: Context, supervisor: Supervisor, unavailable: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._context = context
        self._supervisor = supervisor
        self._unavailable = unavailable
        self._opening: asyncio.Task[Services] | None = None
        self.services: Services | None = None
        """None while it is not open."""

    async def start(self) -> None:
        """Open it if an earlier run has made it: what it holds is published, kept and let go as any other."""
        if (self._context.site.state.beside.journal / KEY_NAME).exists():
            await self.opened()

    async def opened(self) -> Services | None:
        """Open it unless it is; None when it cannot be, which is told."""
        if self.services is None:
            if self._opening is None:
                self._opening = asyncio.create_task(Services.open(self._context), name="rehearsal opening")
            opening = self._opening
            try:
                # Whoever waits may be cancelled; a journal that is half open must not stay behind.
                services = await asyncio.shield(opening)
            except Exception as error:
                # Whatever is wrong with it must not stop production.
                if self._opening is opening:
                    self._opening = None
                    LOG.exception("the rehearsal journal cannot be opened")
                    self._unavailable(f"{type(error).__name__}: {error}")
                return None
            if self.services is None:
                self.services = services
                for part, run in services.parts().items():
                    self._supervisor.start(part, run)
        return self.services

    @property
    def undelivered(self) -> bool:
        """Whether records of it could have their receipt soon."""
        return self.services is not None and self.services.undelivered

    async def last(self) -> None:
        """Stop the rhythm of a clean stop, and have everything durable, sealed and saved."""
        if self.services is not None:
            await self._supervisor.stop("rehearsal rhythm")
            await self.services.last()

    async def close(self) -> None:
        """Close it, if it is open. Raises CommitFailedError when the disk does not take what was recorded."""
        if self._opening is not None:
            with contextlib.suppress(Exception):
                self.services = await self._opening
        if self.services is not None:
            await self.services.journal.close()

    def health(self) -> dict[str, Any] | None:
        """What the status page says of it; None while there is none."""
        return None if self.services is None else self.services.health()
