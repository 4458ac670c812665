"""Base class of every settings table and the constrained types that the settings share.

A settings class lives beside the code that it sets; this module only gives it its manners: frozen, closed
(an unknown key is an error), bounded, and never coerced from another type. TOML has real integers, floats,
booleans and dates, so a string where a number belongs is a mistake and is reported as one.

Rules for authors of settings classes:

- sequences are ``tuple[X, ...]`` (a TOML array fills them); a ``list`` or ``set`` is refused with the class;
- choices are ``Literal[...]``; an ``Enum`` or a ``frozenset`` needs ``Annotated[..., Strict(strict=False)]``;
- a union of tables has a discriminator, so that a mistake in one member is not reported for all of them;
- files and folders are ``FilePath``; secrets are ``CredentialRef``; points in time are ``Instant``;
- a docstring under each field becomes its description.
"""

import os
import stat
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, get_args, get_origin

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

STRING_LENGTH_MAX = 4096
CREDENTIAL_BYTES_MAX = 65536

Identifier: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=64)]
"""Id of an instrument, lab, gateway or method: lower case, digits and hyphens."""

EntryId: TypeAlias = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$", max_length=64)
]
"""Id of an entry of the registry, as it stands on a label."""

ChannelName: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Name of a channel: lower case, digits and underscores, so that it can be a field name in every store."""

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=366 * 86400)]
"""A duration above 0 and up to one year, in seconds."""

Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
"""A TCP or UDP port number."""

FilePath: TypeAlias = Annotated[Path, Strict(strict=False)]
"""A file or folder, written as a string; whether it exists is for the part that opens it to say."""

Instant: TypeAlias = AwareDatetime
"""A TOML offset date-time (``2026-03-01T08:00:00+08:00``); one without an offset is refused."""

Day: TypeAlias = date
"""A TOML local date (``2026-03-01``)."""


def _arrays_as_tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_arrays_as_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _arrays_as_tuples(item) for key, item in value.items()}
    return value


def _is_mutable(kind: Any) -> bool:
    return get_origin(kind) in {list, set} or kind in {list, set} or any(map(_is_mutable, get_args(kind)))


class Settings(BaseModel):
    """One table of a configuration file: frozen, closed, bounded, without coercion."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_default=True,
        use_attribute_docstrings=True,
        # An absent limit is an absent key; NaN or infinity would pass silently through every comparison.
        allow_inf_nan=False,
        str_max_length=STRING_LENGTH_MAX,
        # What was typed may be a secret in the wrong place; the loader says where, never what.
        hide_input_in_errors=True,
    )

    elsewhere: ClassVar[dict[str, str]] = {}
    """Keys that people look for in this table though it has none such, and what to do instead."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse a class with mutable fields where it is written, not where a file is first loaded."""
        super().__pydantic_init_subclass__(**kwargs)
        for name, field in cls.model_fields.items():
            if _is_mutable(field.annotation):
                raise TypeError(f"{cls.__name__}.{name}: settings are immutable, use tuple[..., ...]")

    @model_validator(mode="before")
    @classmethod
    def _take_arrays_for_tuples(cls, data: Any) -> Any:
        return _arrays_as_tuples(data)


class Text(Settings):
    """A text in both languages of the screens."""

    en: Annotated[str, StringConstraints(min_length=1)]
    """English."""

    zh: Annotated[str, StringConstraints(min_length=1)]
    """Chinese (simplified)."""


class CredentialUnavailableError(Exception):
    """A credential cannot be read: provide it as ``hint`` says, then start again."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(f"{message} — {hint}")
        self.hint = hint


class CredentialRef(Settings):
    """The name of a secret, never the secret: ``password = { credential = "mqtt-password" }``."""

    credential: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=128)]
    """Name of the credential."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_inline_secret(cls, data: Any) -> Any:
        if isinstance(data, str | int | float):
            raise PydanticCustomError("inline_secret", "a secret does not belong in a configuration file")
        return data

    def resolve(self, folder: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> bytes:
        """Read the secret's bytes, from systemd's credentials if they hold it, else from ``folder``.

        A file in ``folder`` must be closed to group and others (mode 0600). The service manager guards its
        own directory, where an access list can make the mode look wider than it is: no mode is asked there.
        Raises CredentialUnavailableError.
        """
        granted = environment.get("CREDENTIALS_DIRECTORY")
        if granted and (Path(granted) / self.credential).exists():
            return self._read(Path(granted) / self.credential, private=False)
        if folder is None:
            raise CredentialUnavailableError(
                f"credential '{self.credential}' was not passed by the service manager",
                hint=f"add LoadCredential={self.credential}:FILE to the unit",
            )
        return self._read(folder / self.credential, private=True)

    def resolve_text(self, folder: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> str:
        """Read the secret as UTF-8 text without its final line end. Raises CredentialUnavailableError."""
        raw = self.resolve(folder, environment=environment)
        try:
            return raw.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise CredentialUnavailableError(
                f"credential '{self.credential}' is not UTF-8 text", hint="write it again as plain text"
            ) from None

    def _read(self, file: Path, *, private: bool) -> bytes:
        try:
            # Non-blocking, so that a pipe put in the file's place cannot hang the start.
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise CredentialUnavailableError(
                f"credential '{self.credential}' cannot be read from {file}: {error.strerror}",
                hint=f"write the secret to {file}, owned by the user of the service, with mode 0600",
            ) from error
        with os.fdopen(descriptor, "rb") as stream:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise CredentialUnavailableError(
                    f"{file} is not a regular file", hint="write the secret to a file"
                )
            if private and mode & 0o077:
                raise CredentialUnavailableError(
                    f"credential '{self.credential}' is open to other users (mode {stat.S_IMODE(mode):04o})",
                    hint=f"chmod 600 {file}",
                )
            raw = stream.read(CREDENTIAL_BYTES_MAX + 1)
        if not raw or len(raw) > CREDENTIAL_BYTES_MAX:
            raise CredentialUnavailableError(
                f"credential '{self.credential}' is empty or above {CREDENTIAL_BYTES_MAX} bytes",
                hint=f"write the secret, and nothing else, to {file}",
            )
        return raw
