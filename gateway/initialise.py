"""Make a new gateway's state: folder, journal, first administrator, the configuration's first application."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

from gateway.persons import Directory
from pipeline.journal import Journal
from pipeline.records.envelope import own_source

if TYPE_CHECKING:
    from gateway.persons import Role
    from gateway.site import LoadedSite


class AlreadyInitialisedError(Exception):
    """The state folder holds a journal already; nothing was changed."""


async def initialise(site: LoadedSite, person: str, name: str, password: str, pin: str) -> None:
    """Create the journal and enrol the first administrator, who by that applies the configuration.

    A journal that a daemon made before there was anybody is taken over as it is.

    Raises:
        AlreadyInitialisedError: somebody is enrolled already.
        PersonsError: the id or a secret does not do.
        JournalError, OSError: the folder cannot be used.

    Nothing is left behind when it fails.
    """
    state = site.state
    if state.persons.exists():
        raise AlreadyInitialisedError(
            f"{state.root} is in use already; choose another [site] state_dir, or go on with: yaosu run"
        )
    adopted = state.journal.exists()
    made = [folder for folder in (state.root, *state.root.parents) if not folder.exists()]
    state.root.mkdir(parents=True, exist_ok=True, mode=0o750)
    try:
        directory = Directory(state.persons)
        roles: tuple[Role, ...] = ("administrator", "signatory")
        await asyncio.to_thread(directory.add, person, name, roles, password, pin)
        await _make_journal(site, person)
    except BaseException:
        # Half a gateway could neither start nor be prepared again.
        state.persons.unlink(missing_ok=True)
        if not adopted:
            shutil.rmtree(state.journal, ignore_errors=True)
        for folder in made:
            folder.rmdir()
        raise


async def _make_journal(site: LoadedSite, person: str) -> None:
    """Create the journal; its first record is the application of the configuration."""
    settings = site.settings.site
    origin = f"yaosu/{settings.lab}/{settings.gateway}"
    journal = await Journal.open(
        site.state.journal, site.settings.journal, purpose=settings.purpose, origin=origin
    )
    try:
        actor = {
            "person": person, "role": "administrator", "how": "password", "station": "yaosu init",
            "meaning": "config.apply", "reason": "first start", "signed_at_ns": journal.clock.utc_ns(),
            "idempotency_key": f"init-{site.sha256[:16]}",
        }  # fmt: skip
        body = {"action": "apply", "sha256": site.sha256, "path_name": site.path.name, "actor": actor}
        journal.append("config", body, source=own_source(settings.purpose))
    finally:
        await journal.close()
