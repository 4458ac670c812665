"""Errors of the simulators, each with what to do next."""

from __future__ import annotations


class ScenarioError(Exception):
    """A scenario that cannot be loaded or started.

    `hint` says what the person at the keyboard can do about it; `str()` shows both.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return the message followed by the hint."""
        return f"{self.message}; {self.hint}"


class FolderInUseError(ScenarioError):
    """Another run has the run directory."""


class PortInUseError(ScenarioError):
    """A TCP port that an instrument of the scenario wants is taken."""
