"""Who works here: a file of its own, correctable and erasable, from which only opaque ids reach a record.

The file is JSON, mode 0600, replaced as a whole and durably. Passwords and PINs are kept as argon2id
verifiers (RFC 9106) only.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import orjson
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from gateway.durable import write_durably

if TYPE_CHECKING:
    from pathlib import Path

Role = Literal["operator", "signatory", "administrator", "regulator"]
ROLES: tuple[Role, ...] = get_args(Role)
PERSON_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
"""Ids stand in records for ever, so they are codes: the same form as in a registry file."""
PASSWORD_LENGTH_MIN = 8
PIN_LENGTH_MIN = 6
SECRET_LENGTH_MAX = 1024
NAME_LENGTH_MAX = 200


class PersonsError(Exception):
    """The directory cannot do what was asked; the message says what to do instead."""


class AuthenticationError(Exception):
    """Person and secret do not belong together, or the person is disabled. Never says which."""


class UncheckedError(Exception):
    """The secret could not be checked, right or wrong: the machine lacks the memory or a thread for it."""


@dataclass(frozen=True, slots=True)
class Person:
    """One entry; `verifier` and `pin_verifier` are argon2id strings, empty when not set."""

    id: str
    name: str
    roles: tuple[Role, ...]
    verifier: str = ""
    pin_verifier: str = ""
    disabled: bool = False


class Directory:
    """Persons who can act, and the names behind opaque ids (persons and customers).

    Thread-safe: yes. A change is on disk before anybody sees it; one that cannot be written changes nothing.
    One process at a time writes: the daemon, or a set-up command while none runs.
    """

    def __init__(self, path: Path) -> None:
        """Open the directory at `path`; a missing file is an empty directory.

        Raises:
            PersonsError: the file is damaged or open to other users.
        """
        self._path = path
        self._hasher = PasswordHasher()
        self._persons: dict[str, Person] = {}
        self._names: dict[str, str] = {}
        self._changing = threading.Lock()
        # Verified for unknown persons too, so that the time of an answer does not tell who exists.
        self._nobody = self._hasher.hash(os.urandom(16).hex())
        if path.exists():
            self._load()

    def _load(self) -> None:
        if self._path.stat().st_mode & 0o077:
            raise PersonsError(f"{self._path} can be read by others; run: chmod 600 {self._path}")
        try:
            content = orjson.loads(self._path.read_bytes())
            self._persons = {p["id"]: Person(**{**p, "roles": tuple(p["roles"])}) for p in content["persons"]}
            self._names = dict(content["names"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise PersonsError(f"{self._path} is damaged ({error}); restore it from a backup") from error

    def _replace(self, persons: dict[str, Person], names: dict[str, str]) -> None:
        """Write the file, then let readers see it; called with the lock held."""
        content = {"persons": [asdict(person) for person in persons.values()], "names": names}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self._path, orjson.dumps(content, option=orjson.OPT_INDENT_2))
        self._persons, self._names = persons, names

    def add(self, person: str, name: str, roles: tuple[Role, ...], password: str, pin: str = "") -> Person:
        """Enrol a person.

        Raises:
            PersonsError: a known id or one that is no code, an unknown role, a weak secret.
        """
        if not 0 < len(name) <= NAME_LENGTH_MAX:
            raise PersonsError(f"a name has 1 to {NAME_LENGTH_MAX} characters")
        if not PERSON_ID.fullmatch(person):
            raise PersonsError(
                f"'{person}' is no id: letters, digits and . _ : / - as in p-0002; it stands in records, "
                "where no name may stand"
            )
        unknown = [role for role in roles if role not in ROLES]
        if unknown or not roles:
            raise PersonsError(
                f"roles are one or more of {', '.join(ROLES)}; not {', '.join(unknown) or 'none'}"
            )
        self._check_strength(password, pin)
        entry = Person(
            person, name, roles, self._hasher.hash(password), self._hasher.hash(pin) if pin else ""
        )
        with self._changing:
            if person in self._persons:
                raise PersonsError(
                    f"'{person}' is already enrolled; change the password with: yaosu person passwd {person}"
                )
            self._replace({**self._persons, person: entry}, {**self._names, person: name})
        return entry

    @staticmethod
    def _check_strength(password: str, pin: str) -> None:
        if len(password) < PASSWORD_LENGTH_MIN:
            raise PersonsError(f"a password has at least {PASSWORD_LENGTH_MIN} characters")
        if pin and (len(pin) < PIN_LENGTH_MIN or not pin.isdigit()):
            raise PersonsError(f"a PIN has at least {PIN_LENGTH_MIN} digits")
        if max(len(password), len(pin)) > SECRET_LENGTH_MAX:
            raise PersonsError(f"a password or PIN has at most {SECRET_LENGTH_MAX} characters")

    def set_password(self, person: str, password: str, pin: str = "") -> None:
        """Replace the secrets of a person; an empty `pin` keeps the old one."""
        self._known(person)
        self._check_strength(password, pin)
        verifier, pin_verifier = self._hasher.hash(password), self._hasher.hash(pin) if pin else ""
        with self._changing:
            known = self._known(person)
            changed = replace(known, verifier=verifier, pin_verifier=pin_verifier or known.pin_verifier)
            self._replace({**self._persons, person: changed}, self._names)

    def disable(self, person: str) -> None:
        """Shut a person out; the entry stays, because records name its id."""
        with self._changing:
            changed = replace(self._known(person), disabled=True)
            self._replace({**self._persons, person: changed}, self._names)

    def _known(self, person: str) -> Person:
        if person not in self._persons:
            raise PersonsError(
                f"nobody is enrolled as '{person}'; enrol them with: yaosu person add {person}"
            )
        return self._persons[person]

    def learn_names(self, names: dict[str, str]) -> None:
        """Take over names behind opaque ids from a registry file."""
        if names:
            with self._changing:
                self._replace(self._persons, {**self._names, **names})

    def names(self) -> dict[str, str]:
        """Names by opaque id, for the lab's own screens."""
        return dict(self._names)

    def persons(self) -> list[Person]:
        """Everybody enrolled."""
        return list(self._persons.values())

    def find(self, person: str) -> Person | None:
        """Give the entry of an id; None when nobody is enrolled under it."""
        return self._persons.get(person)

    def authenticate(self, person: str, secret: str, *, pin: bool = False) -> Person:
        """Return the person whose password (or PIN) this is. Takes 50 ms by design: call it off the loop.

        Raises:
            AuthenticationError: anything else.
            UncheckedError: neither is known; it counts as no attempt.
        """
        if len(secret) > SECRET_LENGTH_MAX:
            raise AuthenticationError("person and password do not match")
        known = self._persons.get(person)
        verifier = (known.pin_verifier if pin else known.verifier) if known else ""
        try:
            self._hasher.verify(verifier or self._nobody, secret)
        except (VerifyMismatchError, InvalidHashError):
            raise AuthenticationError("person and password do not match") from None
        except VerificationError as error:
            raise UncheckedError(str(error)) from error
        if known is None or not verifier or known.disabled:
            raise AuthenticationError("person and password do not match")
        return known
