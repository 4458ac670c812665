"""What a service may do, by its role: the only place that says so."""

from __future__ import annotations

ROLE_COMMANDS: dict[str, frozenset[str]] = {
    # Never a disposition, a change of the registry or a write to an instrument.
    "lims": frozenset({"task.start", "task.bind", "task.stop", "task.abort", "task.link"}),
}
"""Role of a token or of a pinned key to the commands that it may give."""


def may_command(role: str, command: str) -> bool:
    """Tell whether a service of a role may give a command."""
    return command in ROLE_COMMANDS.get(role, frozenset())
