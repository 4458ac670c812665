"""Preparing a gateway, also one whose daemon was started too early."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.initialise import AlreadyInitialisedError, initialise
from gateway.persons import Directory
from gateway.site import load_site
from pipeline.journal import Journal, verify

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite

PASSWORD, PIN = "correct horse", "482913"
SITE = '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n'


def site_in(folder: Path) -> LoadedSite:
    path = folder / "gateway.toml"
    path.write_text(SITE, encoding="utf-8")
    return load_site(path)


async def test_a_journal_that_a_daemon_made_too_early_is_taken_over_as_it_is(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    early = await Journal.open(site.state.journal, site.settings.journal, purpose="rehearsal")
    early.append("tick", {}, source="simulated")
    await early.close()
    await initialise(site, "p-0001", "x", PASSWORD, PIN)
    assert Directory(site.state.persons).authenticate("p-0001", PASSWORD).roles[0] == "administrator"
    checked = verify(site.state.journal)
    assert checked.sound
    assert checked.records == 2
    with pytest.raises(AlreadyInitialisedError, match="in use already"):
        await initialise(site, "p-0002", "x", PASSWORD, PIN)


async def test_a_failed_preparation_leaves_an_early_journal_alone(tmp_path: Path) -> None:
    site = site_in(tmp_path)
    early = await Journal.open(site.state.journal, site.settings.journal, purpose="production")
    early.append("tick", {}, source="live")
    await early.close()
    with pytest.raises(Exception, match="production"):
        await initialise(site, "p-0001", "x", PASSWORD, PIN)
    assert not site.state.persons.exists()
    assert verify(site.state.journal).records == 1
