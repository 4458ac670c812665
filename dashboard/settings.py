"""Settings of the web role."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from config.model import Port, Settings

HostName = Annotated[str, StringConstraints(pattern=r"^(\*\.)?[A-Za-z0-9][A-Za-z0-9.-]*$", max_length=253)]


class WebSettings(Settings):
    """Where the pages are served, and what somebody who has not logged in may see."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=253)] = "127.0.0.1"
    """Address to listen at; loopback unless said otherwise."""

    port: Port = 8420
    """TCP port to listen at."""

    hosts: Annotated[tuple[HostName, ...], Field(max_length=32)] = ()
    """Names under which browsers may ask for the pages, beside `host`, localhost and 127.0.0.1."""

    anonymous_role: Literal["none", "lab", "regulator"] = "none"
    """What is shown without a login: nothing, the laboratory's pages (reading only), or the regulator's."""
