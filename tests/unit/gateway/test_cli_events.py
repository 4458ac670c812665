"""`yaosu events` tells what happened, from the journal alone, and names no command that is not there."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

import pytest
import typer

from gateway.cli.main import app
from gateway.site import load_site
from pipeline.journal import Journal
from pipeline.records.events import event_body
from tests.support.commanding import yaosu
from tests.support.tree import ROOT, own_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SITE = '[site]\nlab = "lab-1"\ngateway = "gw"\nstate_dir = "state"\n'
COMMANDS: Any = typer.main.get_command(app)
NAMED = re.compile(r"(?<!groups )(?<!-u )yaosu ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?")
NO_COMMANDS = {"sh", "yaosu", "yaosu-store", "key", "reply", "receipt", "command"}
"""Words behind `yaosu` that are no command: users, groups, and the headings of what is signed."""


async def _record(config: Path) -> None:
    site = load_site(config)
    journal = await Journal.open(site.state.journal, site.settings.journal, purpose="production", origin="o")
    for body in (
        event_body("disk-full", path="/var"),
        event_body("disk-room"),
        event_body("device-message", instrument="balance-1", text="x\n\x1b[2J forged"),
    ):
        journal.append("event", body, source="live")
    await journal.close()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE, encoding="utf-8")
    asyncio.run(_record(path))
    return path


def test_without_a_journal_it_says_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE, encoding="utf-8")
    outcome = yaosu("events", "-c", path)
    assert outcome.code == 69
    assert f"yaosu init -c {path}" in outcome.err


def test_events_are_told_oldest_first_in_both_languages(config: Path) -> None:
    everything = yaosu("events", "-c", config, "--json").json
    assert [one["code"] for one in everything] == ["disk-full", "disk-room", "device-message"]
    full, room, message = yaosu("events", "-c", config).out.splitlines()
    assert "alarm    The disk is full" in full
    assert room.endswith(f"(record {everything[1]['seq']})")
    # What an instrument says begins no line of its own and does not drive the terminal.
    assert r"balance-1 says: x\n\x1b[2J forged" in message
    assert "磁盘已满" in yaosu("events", "-c", config, "--lang", "zh").out


def test_events_are_chosen_by_severity_time_and_number(config: Path) -> None:
    def codes(*options: object) -> list[str]:
        return [one["code"] for one in yaosu("events", "-c", config, "--json", *options).json]

    assert codes("--severity", "warning") == ["disk-full", "disk-room"]
    assert codes("--severity", "alarm") == ["disk-full"]
    assert codes("--until", "2000-01-01") == []
    outcome = yaosu("events", "-c", config, "--limit", "1")
    assert len(outcome.out.splitlines()) == 1
    assert "the newest 1 of 3" in outcome.err


def _named() -> Iterator[tuple[str, str, str | None]]:
    for suffix in (".py", ".md", ".toml", ".html", ".js"):
        for path in own_files(suffix):
            if path.parts[0] in {"tests", "benchmarks"}:
                continue
            for first, second in NAMED.findall((ROOT / path).read_text(encoding="utf-8")):
                yield str(path), first, second


def test_every_command_that_a_text_names_exists() -> None:
    missing = [
        f"{path}: yaosu {first} {second}"
        for path, first, second in _named()
        if first not in NO_COMMANDS
        and (
            first not in COMMANDS.commands
            or (
                second
                and hasattr(COMMANDS.commands[first], "commands")
                and second not in COMMANDS.commands[first].commands
            )
        )
    ]
    assert missing == []
