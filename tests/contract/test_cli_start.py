"""Starting the roles: who stands behind the configuration, what is refused, and with which exit code."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.cli import roles as cli_roles
from gateway.door.client import DoorClient
from gateway.edge.daemon import EdgeDaemon
from gateway.initialise import initialise
from gateway.site import load_site
from pipeline.journal import Journal
from tests.support.bench import until
from tests.support.commanding import NEW_SECRETS, PASSWORD, PIN, Roles, log_untouched, yaosu
from tests.support.services import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.records import Record

__all__ = ["log_untouched"]

pytestmark = pytest.mark.usefixtures("log_untouched")
SITE = (
    '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n[mqtt]\nport = {port}\n'
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE.format(port=free_port()), encoding="utf-8")
    return path


def write(config: Path, comment: str) -> str:
    """Write the file with another comment at its end; returns its new hash."""
    head = config.read_text(encoding="utf-8").split("# ")[0]
    config.write_text(f"{head}# {comment}\n", encoding="utf-8")
    return load_site(config).sha256


async def start_and_stop(config: Path, *, apply: str | None = None) -> None:
    """Run the daemon until its door answers; `apply` is a hash that its administrator then applies."""
    site = load_site(config)
    stop = asyncio.Event()
    daemon = asyncio.create_task(EdgeDaemon(site).run(stop))
    async with DoorClient(site.state.socket("door")) as door:

        async def answers() -> bool:
            assert not daemon.done(), daemon.exception()
            try:
                return bool(await door.get("status"))
            except ConnectionError:
                return False

        try:
            await until(answers, "the door answers")
            if apply is not None:
                args = {"sha256": apply, "path_name": config.name}
                answer = await door.command("config.apply", args, {"person": "p-0001", "pin": PIN})
                assert answer["ok"], answer
        finally:
            stop.set()
            await daemon


async def records(config: Path) -> list[Record]:
    site = load_site(config)
    journal = await Journal.open(site.state.journal, site.settings.journal, purpose="rehearsal")
    try:
        return await journal.read(0, bytes_max=2**24)
    finally:
        await journal.close()


async def changes(config: Path) -> list[str]:
    """Hashes of the configurations that nobody applied, by their events."""
    return [
        record.body["args"]["sha256"]
        for record in await records(config)
        if record.kind == "event" and record.body["code"] == "unattributed-change"
    ]


class TestWhoAppliedTheConfiguration:
    async def test_the_file_of_init_is_applied_by_its_administrator(self, config: Path) -> None:
        await initialise(load_site(config), "p-0001", "秦望舒", PASSWORD, PIN)
        await start_and_stop(config)
        assert await changes(config) == []
        starts = [r.body for r in await records(config) if r.kind == "config" and r.body["action"] == "start"]
        assert [start["actor"]["person"] for start in starts] == ["p-0001"]

    async def test_a_changed_file_is_an_event_until_somebody_applies_it(self, config: Path) -> None:
        await initialise(load_site(config), "p-0001", "秦望舒", PASSWORD, PIN)
        changed = write(config, "changed by nobody")
        await start_and_stop(config)
        assert await changes(config) == [changed]
        await start_and_stop(config, apply=changed)
        assert await changes(config) == [changed, changed]
        await start_and_stop(config)
        assert await changes(config) == [changed, changed]

    async def test_a_gateway_that_was_never_initialised_runs_and_says_so(self, config: Path) -> None:
        await start_and_stop(config)
        assert await changes(config) == [load_site(config).sha256]


def test_a_journal_of_the_other_purpose_is_a_matter_of_configuration(config: Path) -> None:
    assert yaosu("init", "-c", config, **NEW_SECRETS).code == 0
    config.write_text(config.read_text(encoding="utf-8").replace("rehearsal", "production"), encoding="utf-8")
    outcome = yaosu("run", "-c", config)
    assert outcome.code == 78
    assert "error: " in outcome.err


def test_a_credential_that_is_not_there_is_a_matter_of_configuration(config: Path) -> None:
    with config.open("a", encoding="utf-8") as stream:
        stream.write('username = "gw"\npassword = { credential = "mqtt-password" }\n')
    outcome = yaosu("collect", "-c", config)
    assert outcome.code == 78
    assert "mqtt-password" in outcome.err
    assert "mode 0600" in outcome.err


def test_a_state_folder_that_is_a_file_is_74(config: Path) -> None:
    (config.parent / "state").write_text("", encoding="utf-8")
    outcome = yaosu("run", "-c", config)
    assert outcome.code == 74


class TestCollector:
    @pytest.fixture
    def collecting(self, config: Path) -> Iterator[Roles]:
        roles = Roles(config.parent)
        try:
            roles.start("collect", config)
            yield roles
        finally:
            roles.end()

    def test_it_says_what_it_waits_for_and_is_alone(self, config: Path, collecting: Roles) -> None:
        outcome = yaosu("status", "-c", config)
        assert outcome.code == 1
        assert "collector: 0 records stored" in outcome.out
        assert "broker of the collector: away since 20" in outcome.out
        assert "daemon" not in outcome.out
        second = yaosu("collect", "-c", config)
        assert second.code == 69
        assert "already serves" in second.err
        shown = yaosu("keys", "show", "-c", config, "--json").json
        assert len(shown["collector"]["public"]) == 64
        assert "key" in collecting.log("collect")
        assert cli_roles.LOG.name in collecting.log("collect")
