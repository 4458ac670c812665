"""Bearer tokens of services: 256 random bits each, of which only the SHA-256 is kept.

A token is no password: nobody can guess it, so a fast hash keeps it well enough (a slow one, for secrets
that people choose, would cost 64 MiB a request).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.trust.keys import SERVICE_NAME
from gateway.trust.roles import ROLE_COMMANDS
from gateway.trust.watched import WatchedFile

if TYPE_CHECKING:
    from pathlib import Path

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
        self.file: WatchedFile[dict[str, Service]] = WatchedFile(
            path, parse_tokens, {}, error=ServiceTokensError, keeps=False,
            advice="move it away and issue the tokens anew: yaosu keys token",
        )  # fmt: skip

    def find(self, token: str) -> Service | None:
        """Tell whose token this is; None for one that is nobody's. Never raises."""
        if not token.startswith(PREFIX):
            return None
        asked, found = _hash(token), None
        for known, service in self.file.current().items():
            if hmac.compare_digest(known, asked):
                found = service
        return found

    def names(self) -> dict[str, str]:
        """Roles of the services by name."""
        return {service.name: service.role for service in self.file.read().values()}

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
        others = {known: service for known, service in self.file.read().items() if service.name != name}
        self._write({**others, _hash(token): Service(name, role)})
        return token

    def revoke(self, name: str) -> None:
        """End a service's token.

        Raises:
            ServiceTokensError: there is no such service, or the file is damaged.
        """
        known = self.file.read()
        rest = {digest: service for digest, service in known.items() if service.name != name}
        if len(rest) == len(known):
            raise ServiceTokensError(f"no service '{name}' has a token; see: yaosu keys show -c FILE")
        self._write(rest)

    def _write(self, services: dict[str, Service]) -> None:
        self.file.write(
            {service.name: {"role": service.role, "sha256": digest} for digest, service in services.items()}
        )


def parse_tokens(content: dict[str, Any]) -> dict[str, Service]:
    """Read the file's content: by hash of the token.

    Raises:
        TypeError, KeyError, AttributeError: it is none.
    """
    return {entry["sha256"]: Service(name, entry["role"]) for name, entry in content.items()}


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
