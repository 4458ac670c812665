"""A small file that one process changes and another one follows."""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Generic, TypeVar

import orjson

from gateway.durable import write_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOG = logging.getLogger(__name__)
T = TypeVar("T")
_UNREADABLE = (-1,)


def sha256_of(content: bytes | None) -> str:
    """SHA-256 of a file's content, in hexadecimal; "" for no file."""
    return "" if content is None else hashlib.sha256(content).hexdigest()


class WatchedFile(Generic[T]):
    """The content of a JSON file, read again when the file changes.

    A missing file is `empty`. One that is there and cannot be read is told once and, as `keeps` says, leaves
    in force what was known before, or nothing. Thread-safe: no.

    Args:
        path: the file.
        parse: makes the content of the parsed JSON; raises ValueError, TypeError, KeyError or AttributeError
            where it cannot.
        empty: the content of a missing file.
        advice: what to do about a damaged file.
        error: what a damaged file raises when it is to be changed.
        damaged: told in words of a file that cannot be read.
        keeps: a file that cannot be read leaves what was known before in force.
    """

    def __init__(
        self, path: Path, parse: Callable[[dict[str, object]], T], empty: T, *, advice: str,
        error: type[ValueError], damaged: Callable[[str], None] = LOG.error, keeps: bool = True,
    ) -> None:  # fmt: skip
        self.path = path
        self._parse = parse
        self._empty = empty
        self._advice = advice
        self._error = error
        self._damaged = damaged
        self._keeps = keeps
        self._version: tuple[int, ...] = ()
        self._known = empty
        self.announce: Callable[[str, str], None] | None = None
        """Told the hashes before and after a change that is about to be made; may prevent it by raising."""

    def current(self) -> T:
        """Give the content as it is now; never raises."""
        version = self._look()
        if version != self._version:
            self._version = version
            self._known = self._again(version)
        return self._known

    def _look(self) -> tuple[int, ...]:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError:
            return _UNREADABLE
        return (status.st_ino, status.st_size, status.st_mtime_ns)

    def _again(self, version: tuple[int, ...]) -> T:
        if version == ():
            return self._empty
        try:
            return self.read()
        except ValueError as error:
            self._damaged(str(error))
            return self._known if self._keeps else self._empty

    def read(self) -> T:
        """Read the file now.

        Raises:
            ValueError: of the type given, where it is damaged or cannot be read.
        """
        try:
            return self._parse(orjson.loads(self.path.read_bytes()))
        except FileNotFoundError:
            return self._empty
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise self._error(f"{self.path} is damaged ({error}); {self._advice}") from error

    def write(self, content: object) -> None:
        """Replace the file by this content as JSON, on disk when this returns.

        Raises:
            OSError: it cannot be written; the old content stands.
        """
        written = orjson.dumps(content, option=orjson.OPT_INDENT_2)
        if self.announce is not None:
            before = self.path.read_bytes() if self.path.exists() else None
            self.announce(sha256_of(before), sha256_of(written))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(self.path, written, mode=0o640)
