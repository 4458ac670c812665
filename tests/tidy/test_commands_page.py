"""docs/commands.md names every command, and no other, every exit code and every variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import typer

from config import Exit
from gateway.cli.main import app
from tests.support.tree import ROOT, own_files

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")


def _commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, (*path, name))
        else:
            yield " ".join((*path, name))


def test_the_page_names_every_command_once() -> None:
    rows = re.findall(r"^\| (.+?) \|", PAGE.split("## The commands")[1], re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`([a-z -]+)`", row)]
    assert sorted(named) == sorted(_commands(typer.main.get_command(app)))


def test_the_page_lists_every_exit_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)
    assert [int(code) for code in codes] == sorted(Exit)


def test_the_page_lists_every_variable_that_a_command_reads() -> None:
    read = {
        name
        for path in own_files(".py")
        if path.parts[0] in {"gateway", "pipeline", "drivers", "config", "dashboard"}
        for name in re.findall(r"\bYAOSU_[A-Z_]+\b", (ROOT / path).read_text(encoding="utf-8"))
    }
    assert set(re.findall(r"`(YAOSU_[A-Z_]+)`", PAGE)) == read
