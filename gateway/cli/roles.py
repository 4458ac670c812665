"""`run`, `collect`, `web`, `witness`: the long-running roles."""

from __future__ import annotations

import logging
import os
import random
from typing import TYPE_CHECKING

import typer

from config import CredentialUnavailableError, Exit
from gateway import notify
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ROLES,
    ConfigOption,
    RehearsalOption,
    example,
    fail,
    run_role,
    site_of,
)
from gateway.collector import run_collector
from gateway.door.socket_server import SocketInUseError
from gateway.edge.daemon import EdgeDaemon
from gateway.logs import log_to_stderr
from gateway.persons import PersonsError
from gateway.tuning import COLLECTOR_SWITCH_S, tune
from gateway.witness.run import run_witness
from gateway.witness.state import WitnessStateError
from pipeline.archive import ArchiveBusyError, ArchiveError
from pipeline.journal import ForeignKeyError, JournalBusyError, JournalError, WrongPurposeError
from pipeline.records import SystemClock
from pipeline.store import open_store

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from gateway.site import LoadedSite

LOG = logging.getLogger(__name__)


def serve(main: Callable[[asyncio.Event], Awaitable[None]], intention: str) -> None:
    """Run a role until it is asked to end; what keeps it from running is said with its exit code."""
    log_to_stderr()
    LOG.info("%s; SIGTERM or Ctrl-C ends in order", intention)
    try:
        run_role(main)
    except (SocketInUseError, JournalBusyError, ArchiveBusyError) as error:
        fail(Exit.UNAVAILABLE, str(error))
    except (CredentialUnavailableError, PersonsError, WrongPurposeError, ForeignKeyError) as error:
        fail(Exit.CONFIG, str(error))
    except WitnessStateError as error:
        fail(Exit.CONFIG, str(error))
    except (JournalError, ArchiveError) as error:
        fail(Exit.IO, str(error))
    except PermissionError as error:
        fail(Exit.IO, f"{error}; run as the user that owns the state folder")
    except OSError as error:
        fail(Exit.IO, str(error))


async def _run_private(site: LoadedSite, stop: asyncio.Event) -> None:
    # By hand as under systemd: the group may open the door's socket, which has its own mode, and no file.
    before = os.umask(0o077)
    try:
        await EdgeDaemon(site).run(stop)
    finally:
        os.umask(before)


def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Read the instruments: acquisition, QC, journal, elements, publishing. Ends in order on SIGTERM."""
    site = site_of(config)
    names = f"{site.settings.site.lab}/{site.settings.site.gateway}"
    serve(
        lambda stop: _run_private(site, stop),
        f"{names}: {len(site.settings.instrument)} instruments, recording into {site.state.root}; "
        f"look at it with: yaosu status -c {config}",
    )


def collect(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Store what gateways publish, archive it, and send receipts."""
    site = site_of(config)
    mqtt = site.settings.mqtt
    serve(
        lambda stop: _collect(site, stop),
        f"collecting from {mqtt.host}:{mqtt.port} into the {site.store.kind} store; "
        f"look at it with: yaosu status -c {config}",
    )


async def _collect(site: LoadedSite, stop: asyncio.Event) -> None:
    tune(COLLECTOR_SWITCH_S)
    settings, password = site.settings, site.settings.mqtt.password
    folder = site.path.parent
    async with open_store(site.store, credentials=folder) as store:
        await run_collector(
            settings.collector,
            mqtt=settings.mqtt,
            state=site.state,
            store=store,
            clock=SystemClock(),
            random=random.Random(),  # noqa: S311 - jitter
            stop=stop,
            password=None if password is None else password.resolve_text(folder),
            ready=_say_ready,
        )


def _say_ready(key: str) -> None:
    LOG.info("public key of this collector: yaosu keys show (id %s)", key)
    notify.notify("READY=1", f"STATUS=collecting, key {key}")


def web(config: ConfigOption = DEFAULT_CONFIG, rehearsal: RehearsalOption = False) -> None:
    """Serve the pages for laboratory and regulator."""
    from gateway.web import PortInUseError, run_web  # noqa: PLC0415 - no other role loads the pages

    site = site_of(config, rehearsal=rehearsal)
    try:
        serve(lambda stop: run_web(site, stop), "starting the pages")
    except PortInUseError as error:
        fail(Exit.UNAVAILABLE, str(error))


def witness(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Cosign what gateways have sealed, after a proof that nothing of it was changed."""
    site = site_of(config)
    settings = site.settings.witness
    if settings is None:
        fail(Exit.CONFIG, f"{config} has no table [witness]; see docs/roles/witness.md")
    mqtt, folder = site.settings.mqtt, site.path.parent
    serve(
        lambda stop: run_witness(
            settings,
            mqtt=mqtt,
            state=site.state,
            clock=SystemClock(),
            random=random.Random(),  # noqa: S311 - jitter
            stop=stop,
            password=None if mqtt.password is None else mqtt.password.resolve_text(folder),
            ready=_say_witness_ready,
        ),
        f"witnessing {len(settings.log)} logs for {settings.operator} at {mqtt.host}:{mqtt.port}",
    )


def _say_witness_ready(key: str) -> None:
    LOG.info("public key of this witness: %s", key)
    notify.notify("READY=1", f"STATUS=witnessing, key {key}")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    rows = ((run, "gateway"), (collect, "collector"), (web, "gateway"), (witness, "witness"))
    for command, file in rows:
        line = f"{command.__name__} -c /etc/yaosu/{file}.toml"
        app.command(rich_help_panel=ROLES, epilog=example(line))(command)
