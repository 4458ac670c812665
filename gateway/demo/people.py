"""The three people of the demonstration, and its regulator."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.persons import Role


def _password() -> str:
    return secrets.token_urlsafe(9)


def _pin() -> str:
    return f"{secrets.randbelow(10**6):06d}"


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """Somebody enrolled for one demonstration; the secrets are new each time."""

    id: str
    name: str
    roles: tuple[Role, ...]
    password: str = field(default_factory=_password)
    pin: str = field(default_factory=_pin)


def make_people() -> dict[str, DemoPerson]:
    """Three people of the demonstration's registry, the signatory also its administrator, and a regulator."""
    return {
        "qin": DemoPerson("p-0003", "秦望舒", ("administrator", "signatory")),
        "lin": DemoPerson("p-0001", "林晓禾", ("operator",)),
        "su": DemoPerson("p-0002", "苏沐阳", ("operator",)),
        "regulator": DemoPerson("r-0001", "监管员", ("regulator",)),
    }
