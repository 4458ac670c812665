"""Bearer tokens of services: 256 random bits each, of which only the SHA-256 is kept.

A token is no password: nobody can guess it, so a fast hash keeps it well enough (a slow one, for secrets
that people choose, would cost 64 MiB a request).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from gateway.durable import write_durably
from gateway.edge.state import SERVICE_NAME
from gateway.remote.roles import ROLE_COMMANDS

if TYPE_CHECKING:
    from pathlib import Path

LOG = logging.getLogger(__name__)
PREFIX = "yst-"
"""Tells a service's token from a person's session at a glance, in logs of others too."""


@dataclass(frozen=True, slots=True)
class Service:
    """Another system that acts by itself."""

    name: str
    role: str


class ServiceTokensError(ValueError):
    """A token cannot be issued or revoked; the message says what to do."""


class ServiceTokens:
    """The file of tokens; read again when it changes. A file that cannot be read admits nobody.

    Args:
        path: the file; a missing one knows no service.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: tuple[int, ...] = ()
        self._services: dict[str, Service] = {}

    def find(self, token: str) -> Service | None:
        """Tell whose token this is; None for one that is nobody's. Never raises."""
        if not token.startswith(PREFIX):
            return None
        self._refresh()
        asked, found = _hash(token), None
        for known, service in self._services.items():
            if hmac.compare_digest(known, asked):
                found = service
        return found

    def names(self) -> dict[str, str]:
        """Roles of the services by name."""
        return {service.name: service.role for service in self._read().values()}

    def issue(self, name: str, role: str) -> str:
        """Make a token and return it: it is shown once and kept nowhere. An earlier one of the name ends.

        Raises:
            ServiceTokensError: the name or the role will not do, or the file is damaged.
        """
        if not SERVICE_NAME.fullmatch(name):
            raise ServiceTokensError(f"'{name}' is no name: lower-case letters, digits and hyphens")
        if role not in ROLE_COMMANDS:
            raise ServiceTokensError(f"there is no role '{role}'; known are {', '.join(ROLE_COMMANDS)}")
        token = PREFIX + secrets.token_urlsafe(32)
        others = {known: service for known, service in self._read().items() if service.name != name}
        self._write({**others, _hash(token): Service(name, role)})
        return token

    def revoke(self, name: str) -> None:
        """End a service's token.

        Raises:
            ServiceTokensError: there is no such service, or the file is damaged.
        """
        known = self._read()
        rest = {digest: service for digest, service in known.items() if service.name != name}
        if len(rest) == len(known):
            raise ServiceTokensError(f"no service '{name}' has a token; see: yaosu keys show -c FILE")
        self._write(rest)

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            version: tuple[int, ...] = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            version = ()
        if version == self._read_at:
            return
        self._read_at = version
        try:
            self._services = self._read()
        except ServiceTokensError as error:
            LOG.error("%s", error)  # noqa: TRY400 - the message says it all
            self._services = {}

    def _read(self) -> dict[str, Service]:
        try:
            content = orjson.loads(self._path.read_bytes())
            return {entry["sha256"]: Service(name, entry["role"]) for name, entry in content.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ServiceTokensError(
                f"{self._path} is damaged ({error}); move it away and issue the tokens anew: yaosu keys token"
            ) from error

    def _write(self, services: dict[str, Service]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            service.name: {"role": service.role, "sha256": digest} for digest, service in services.items()
        }
        write_durably(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2), mode=0o640)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
