"""The doors for other systems that a site has opened, as parts of the daemon."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

from gateway.remote.counters import Counters
from gateway.remote.folder import CommandFolder
from gateway.remote.receiver import CommandReceiver
from gateway.trust import TrustedKeys
from pipeline.mqtt import Link, Topics, keep_connected
from pipeline.mqtt.reconnect import LinkHealth

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.edge.recorder import Recorder
    from gateway.remote.receiver import Executor
    from gateway.site import LoadedSite


class RemoteDoors:
    """What `[commands]` asks for: the receiver of signed commands, the watched folder.

    Args:
        site: the site.
        recorder: takes records.
        executor: carries commands out.
        problem: told of a command file that cannot be used.
        password: the broker's.
        damaged: told of pinned keys that cannot be read.

    Raises:
        CountersError: what the keys have used up cannot be read.
    """

    def __init__(
        self, site: LoadedSite, *, recorder: Recorder, executor: Executor, problem: Callable[[str], None],
        password: str | None, damaged: Callable[[str], None],
    ) -> None:  # fmt: skip
        settings, self._mqtt = site.settings.commands, site.settings.mqtt
        self._clock, self._password = recorder.journal.clock, password
        self.link = LinkHealth()
        """Of the connection on which commands come."""
        topics = Topics(site.settings.site.lab, site.settings.site.gateway)
        self._name = f"yaosu-{topics.lab}-{topics.gateway}-commands"
        self.receiver = None if not settings.mqtt else CommandReceiver(
            settings, topics=topics, pinned=TrustedKeys(site.state.trusted_keys, damaged).pinned,
            counters=Counters(site.state.command_counters), recorder=recorder, executor=executor,
        )  # fmt: skip
        self.folder = None if settings.folder is None else CommandFolder(
            settings.folder, settings, root=site.path.parent, clock=self._clock, executor=executor,
            problem=problem,
        )  # fmt: skip

    def parts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Name the parts to run."""
        parts: dict[str, Callable[[], Awaitable[None]]] = {}
        if self.receiver is not None:
            parts["commands over mqtt"] = self._receive
        if self.folder is not None:
            parts["command folder"] = self.folder.run
        return parts

    async def _receive(self) -> None:
        if self.receiver is not None:
            connect = partial(Link, self._mqtt, self._name, None, self._password)
            await keep_connected(connect, self.receiver.work, self.link, self._clock, random.Random())  # noqa: S311 - jitter

    def health(self) -> dict[str, Any]:
        """What the status page says of it."""
        if self.receiver is None:
            return {}
        return {"commands": {"connected": self.link.connected, "error": self.link.error,
                             "taken": self.receiver.taken}}  # fmt: skip
