"""The file of rules: one table for each column, with the keys that a site file has under `qc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, StringConstraints

from config.loader import load_toml
from config.model import Settings
from pipeline.qc.settings import ChannelQc

if TYPE_CHECKING:
    from pathlib import Path

    from config.loader import Loaded


class FileRules(Settings):
    """Rules for the columns of a file: `[channel.temperature.range]`, `[channel."t 1".rate]`."""

    channel: Annotated[
        dict[Annotated[str, StringConstraints(min_length=1, max_length=256)], ChannelQc], Field(min_length=1)
    ]
    """Column to its rules. An empty table asks for missing values only."""


def load_rules(path: Path) -> Loaded[FileRules]:
    """Read a file of rules. Raises config.ConfigInvalid with every finding and its place."""
    return load_toml(path, FileRules)
