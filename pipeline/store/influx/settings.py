"""Settings of the InfluxDB store."""

from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from config.errors import SettingError
from config.model import CredentialRef, Seconds, Settings


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address is this machine's own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in {"localhost", "ip6-localhost"}


class InfluxStoreSettings(Settings):
    """Readings and ledger in an InfluxDB server."""

    kind: Literal["influxdb"]
    """Which store."""

    generation: Literal["1", "2", "3"] = "1"
    """Major version of the server: 1 is written through /write, 2 and 3 through /api/v2/write. 3 has other
    tables than 1 and 2: what one wrote the other does not find."""

    url: Annotated[str, StringConstraints(min_length=1)] = "http://127.0.0.1:8086"
    """Address of the server."""

    database: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)] = (
        "yaosu"
    )
    """Database (1, 3) or bucket (2). Of generation 1 it is made when missing; generation 2 needs a mapping of
    this name to the bucket for reading (DBRP)."""

    organisation: str = ""
    """Organisation of the bucket (2)."""

    username: str | None = None
    """User of generation 1, when the server asks for one."""

    password: CredentialRef | None = None
    """Password of that user."""

    token: CredentialRef | None = None
    """Token of generations 2 and 3."""

    timeout_s: Seconds = 10.0
    """How long the server may say nothing while it takes or answers a request."""

    compression: Literal["auto", "gzip", "none"] = "auto"
    """Of what is written. Automatic: gzip, but not to a server on this machine, where it only costs time."""

    retry_after_s: Annotated[float, Field(ge=0.1, le=300)] = 2.0
    """When to try again if the server does not say."""

    @property
    def compresses(self) -> bool:
        """Whether what is written is compressed."""
        return self.compression == "gzip" or (
            self.compression == "auto" and not is_loopback(urlsplit(self.url).hostname or "")
        )

    @model_validator(mode="after")
    def _check(self) -> Self:
        parts = urlsplit(self.url)
        if parts.username is not None or parts.password is not None:
            raise SettingError(
                "E018", "the address holds a user or password", hint="use username and password", key="url"
            )
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
            raise SettingError(
                "E014", f"'{self.url}' is not an address like http://127.0.0.1:8086", key="url"
            )
        if (self.username is None) != (self.password is None):
            raise SettingError("E020", "username and password belong together", key="username")
        if self.generation == "1" and self.token is not None:
            raise SettingError("E020", "generation 1 takes username and password, not a token", key="token")
        if self.generation != "1" and self.username is not None:
            raise SettingError(
                "E020", f"generation {self.generation} takes a token, not a user", key="username"
            )
        return self
