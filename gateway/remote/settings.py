"""How commands reach the gateway from other systems, beside the door on its socket."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from config.model import FilePath, Identifier, Settings


class FolderSettings(Settings):
    """A watched folder of command files."""

    path: FilePath
    """Folder with `in`, `answers` and `done`, made where they are missing; relative to the site file's."""
    service: Identifier = "lims"
    """Name in whose stead the files speak, as records have it; its role is `lims`."""
    rows_max: Annotated[int, Field(ge=1, le=2000)] = 1000
    """A file with more rows is refused as a whole."""


class CommandsSettings(Settings):
    """Doors for other systems; without this table there is the socket alone."""

    mqtt: bool = False
    """Carry out commands that come over MQTT, signed by a key that `yaosu keys trust --role` has pinned."""
    rate_per_s: Annotated[float, Field(gt=0, le=1000)] = 10.0
    """Commands a second that one key, token or folder may give in the long run."""
    burst: Annotated[int, Field(ge=1, le=10_000)] = 50
    """Commands at once above that rate."""
    folder: FolderSettings | None = None
    """A watched folder."""
