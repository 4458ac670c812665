"""Every command teaches: its help ends with lines that can be copied, and those are right."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer

from gateway.cli.main import app
from tests.support.commanding import yaosu

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Any = typer.main.get_command(app)
EXAMPLE = re.compile(r"^yaosu (.+)$", re.MULTILINE)


def commands(group: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(commands())


def test_every_command_of_the_foundation_is_there() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        "init", "person add", "person passwd", "person disable", "keys show", "keys trust", "demo", "run",
        "collect", "web", "sim list", "sim run", "check", "explain", "config apply", "read", "task start",
        "task handover", "task stop", "task abort", "task list", "hold list", "hold release",
        "instrument state", "registry import", "registry show", "status", "journal stat", "journal verify",
        "journal export", "journal repair",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_help_of_a_command_shows_an_example_that_parses(path: tuple[str, ...]) -> None:
    shown = yaosu(*path, "--help")
    assert shown.code == 0
    lines = EXAMPLE.findall(COMMANDS[path].epilog or "")
    assert lines
    for line in lines:
        words = shlex.split(line)
        assert tuple(words[: len(path)]) == path
        assert words[-1] in shown.out
        COMMANDS[path].make_context(path[-1], words[len(path) :])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_no_command_takes_a_secret_in_its_arguments(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        takes_text = not getattr(parameter, "is_flag", False)
        assert not (takes_text and {"password", "pin", "secret"} & set(re.split(r"\W+|_", parameter.name)))


def test_a_mistyped_command_is_a_usage_error_with_advice() -> None:
    outcome = yaosu("task", "lst")
    assert outcome.code == 2
    assert "list" in outcome.err


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", yaosu("--version").out)
