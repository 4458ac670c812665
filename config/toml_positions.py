"""Where each key and value of a TOML document stands, which ``tomllib`` does not say.

The scanner reads only documents that ``tomllib`` has accepted, so it looks for borders, not for mistakes.
Grammar: TOML 1.0.0, https://toml.io/en/v1.0.0.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

TomlPath: TypeAlias = tuple[str | int, ...]
"""Way to a value from the root: keys of tables, indices of arrays; ``("instrument", 0, "channels", 2)``."""


class Position(NamedTuple):
    """A place in a file, both counted from 1; the column counts characters."""

    line: int
    col: int


@dataclass(frozen=True, slots=True)
class Index:
    """Where everything stands, by path."""

    keys: dict[TomlPath, Position]
    values: dict[TomlPath, Position]


class Positions:
    """Index of a document: path to position, of the key and of the value.

    The value of a table written as ``[table]`` or ``[[table]]`` stands where its header begins. A table that
    exists only by a longer header or a dotted key stands where that first names it.

    Nothing is indexed before the first question: most files have no findings, and the index of a long one
    takes longer to make, and more memory, than all the rest of reading it.
    """

    def __init__(self, index: Callable[[], Index]) -> None:
        """Take what makes the index; it is called once, or never."""
        self._make = index

    @cached_property
    def _index(self) -> Index:
        return self._make()

    def value(self, path: TomlPath) -> Position:
        """Give the position of the value, or of the nearest table or array around it that exists."""
        return self._nearest(self._index.values, path)

    def key(self, path: TomlPath) -> Position:
        """Give the position of the key, or, where the last step is an index, of the array's element."""
        return self._index.keys.get(path) or self._nearest(self._index.values, path)

    def paths(self) -> set[TomlPath]:
        """Give every path of the document except the root."""
        return set(self._index.values) - {()}

    @staticmethod
    def _nearest(known: dict[TomlPath, Position], path: TomlPath) -> Position:
        while path not in known:
            path = path[:-1]
        return known[path]


_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# One to five quotes can end a multi-line string: two of them may belong to its text.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}|' + r"'''.*?'{3,5}|" + r'"(?:\\.|[^"\\])*"|' + r"'[^']*'", re.DOTALL
)
# A date and a time may be parted by a single space.
_SCALAR = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:[^\s,\]}#]*|[^\s,\]}#]+")


class _Scanner:
    """One pass over an accepted document; ``_at`` is the offset of the next unread character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._array_lengths: dict[TomlPath, int] = {}
        self._implicit: set[TomlPath] = set()
        self.keys: dict[TomlPath, Position] = {}
        self.values: dict[TomlPath, Position] = {(): Position(1, 1)}

    def scan(self) -> None:
        table: TomlPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._line_starts, offset)
        return Position(line, offset - self._line_starts[line - 1] + 1)

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise AssertionError(f"the document was not accepted by tomllib: {self._position(self._at)}")
        self._at = match.end()
        return match.group()

    def _header(self) -> TomlPath:
        start = self._position(self._at)
        width = 2 if self._text.startswith("[[", self._at) else 1
        self._at += width
        parts = self._dotted_key()
        self._at += width
        path: TomlPath = ()
        for name, at in parts[:-1]:
            path = self._latest((*path, name))
            self._note_implicit(path, at, start)
        name, at = parts[-1]
        path = (*path, name)
        if width == 1:
            # A header names a table once; before it only a longer header can have made the table.
            if path in self._implicit or path not in self.values:
                self.keys[path], self.values[path] = at, start
                self._implicit.discard(path)
            return path
        self.keys.setdefault(path, at)
        self.values.setdefault(path, start)
        index = self._array_lengths.get(path, 0)
        self._array_lengths[path] = index + 1
        self.values[(*path, index)] = start
        return (*path, index)

    def _latest(self, path: TomlPath) -> TomlPath:
        """Step into the newest element where the path is an array of tables."""
        return (*path, self._array_lengths[path] - 1) if path in self._array_lengths else path

    def _note_implicit(self, path: TomlPath, key: Position, value: Position) -> None:
        if path not in self.values:
            self.keys[path], self.values[path] = key, value
            self._implicit.add(path)

    def _pair(self, table: TomlPath) -> None:
        parts = self._dotted_key()
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        path = table
        for name, at in parts[:-1]:
            path = (*path, name)
            self._note_implicit(path, at, at)
        name, at = parts[-1]
        path = (*path, name)
        self.keys[path] = at
        self._value(path)

    def _dotted_key(self) -> list[tuple[str, Position]]:
        parts = []
        while True:
            self._skip(_SPACE)
            at = self._position(self._at)
            if self._text[self._at] in "\"'":
                raw = self._skip(_STRING)
                parts.append((str(tomllib.loads(f"key = {raw}")["key"]), at))
            else:
                parts.append((self._skip(_BARE_KEY), at))
            self._skip(_SPACE)
            if self._text[self._at] != ".":
                return parts
            self._at += 1

    def _value(self, path: TomlPath) -> None:
        self.values[path] = self._position(self._at)
        first = self._text[self._at]
        if first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._skip(_STRING if first in "\"'" else _SCALAR)

    def _array(self, path: TomlPath) -> None:
        self._at += 1
        index = 0
        self._skip(_BLANK)
        while self._text[self._at] != "]":
            self._value((*path, index))
            index += 1
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1

    def _inline_table(self, path: TomlPath) -> None:
        self._at += 1
        # TOML 1.0 keeps an inline table on one line, later versions do not: blank covers both.
        self._skip(_BLANK)
        while self._text[self._at] != "}":
            self._pair(path)
            self._skip(_BLANK)
            if self._text[self._at] == ",":
                self._at += 1
                self._skip(_BLANK)
        self._at += 1


def index_positions(text: str) -> Positions:
    """Index a document that ``tomllib.loads`` has accepted, once somebody asks."""

    def index() -> Index:
        scanner = _Scanner(text)
        scanner.scan()
        return Index(scanner.keys, scanner.values)

    return Positions(index)
