"""The web role: pages over the store, with the daemon's door where there is one."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING

import uvicorn

from dashboard.app import build_dashboard
from gateway.door.client import DoorClient
from gateway.door.socket_server import PatientProtocol, QuietServer
from pipeline.store import open_store
from pipeline.store.door import Origin

if TYPE_CHECKING:
    from gateway.site import LoadedSite


LOG = logging.getLogger(__name__)
CONNECTIONS_MAX = 512
"""Further callers get 503. There is room for all live streams, and for what their readers ask beside them."""


class PortInUseError(Exception):
    """A port that a role wants is taken; the message says which role and how to change it."""


def listen(host: str, port: int) -> socket.socket:
    """Claim a port for the pages; 0 stands for any free one.

    Raises:
        PortInUseError: somebody else listens there, or it is not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
            raise
        raise PortInUseError(
            f"the pages (role web) want port {port}, which is in use or not allowed; "
            "choose another port: [web] port in the site file, or --port of the demo"
        ) from None
    listener.setblocking(False)  # noqa: FBT003 - the socket module's signature
    return listener


def require_free(host: str, port: int) -> None:
    """Raise PortInUseError when nobody could listen at `port`."""
    listen(host, port).close()


async def run_web(site: LoadedSite, stop: asyncio.Event) -> None:
    """Serve the pages until `stop` is set. Raises PortInUseError."""
    web = site.settings.web
    origin = Origin(site.settings.site.lab, site.settings.site.gateway)
    with listen(web.host, web.port) as listener:
        await _serve(site, listener, origin, stop)


async def _serve(site: LoadedSite, listener: socket.socket, origin: Origin, stop: asyncio.Event) -> None:
    web = site.settings.web
    stored = open_store(site.store, credentials=site.path.parent)
    async with stored as store, DoorClient(site.state.socket("door")) as door:
        application = build_dashboard(store=store, door=door, settings=web, origin=origin)
        server = QuietServer(
            uvicorn.Config(
                application,
                http=PatientProtocol,
                limit_concurrency=CONNECTIONS_MAX,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="web")
        LOG.info("pages at http://%s:%d", web.host, web.port)
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # Open live streams end at once; the server would wait for them.
        application.state.stop.set()
        server.should_exit = True
        stopping.cancel()
        await serving
