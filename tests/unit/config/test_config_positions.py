"""The position index knows exactly the paths that tomllib knows, and points at the right characters."""

import datetime as dt
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.toml_positions import Position, TomlPath, index_positions


def paths_of(value: Any, path: TomlPath = ()) -> set[TomlPath]:
    """The naive twin: walk what tomllib made of the document."""
    if isinstance(value, dict):
        inner = [((*path, key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [((*path, index), item) for index, item in enumerate(value)]
    else:
        inner = []
    return {step for step, _ in inner}.union(*(paths_of(item, step) for step, item in inner))


DOCUMENT = Path(__file__).with_name("every_construct.txt").read_text(encoding="utf-8")


def test_the_paths_of_a_document_with_every_construct_are_those_of_tomllib() -> None:
    assert index_positions(DOCUMENT).paths() == paths_of(tomllib.loads(DOCUMENT))


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("title",), (2, 1), (2, 9)),
        (("quoted key",), (3, 1), (3, 16)),
        (("spécial",), (4, 1), (4, 18)),
        (("multi",), (5, 1), (5, 9)),
        (("raw",), (9, 1), (9, 7)),
        (("a",), (11, 1), (11, 1)),
        (("a", "b", "c"), (11, 5), (11, 9)),
        (("a", "b", "d"), (12, 7), (12, 13)),
        (("list", 0), (13, 10), (13, 10)),
        (("list", 1, 1), (14, 7), (14, 7)),
        (("list", 2, "p"), (14, 14), (14, 18)),
        (("list", 2, "q", "r", 0), (14, 28), (14, 28)),
        (("deep",), (21, 2), (21, 1)),
        (("deep", "er"), (19, 7), (19, 1)),
        (("deep", "er", "table"), (19, 10), (19, 1)),
        (("instrument",), (23, 5), (23, 3)),
        (("instrument", 0), (23, 3), (23, 3)),
        (("instrument", 0, "serial", "port"), (26, 5), (26, 12)),
        (("instrument", 0, "channel", 1, "name"), (30, 5), (30, 12)),
        (("instrument", 1, "channel", "unit", "t"), (33, 3), (33, 7)),
        (("instrument", 0, "absent", "more"), (23, 3), (23, 3)),
        (("absent",), (1, 1), (1, 1)),
    ],
)
def test_keys_and_values_stand_where_a_reader_sees_them(
    path: TomlPath, key: tuple[int, int], value: tuple[int, int]
) -> None:
    positions = index_positions(DOCUMENT)
    assert positions.key(path) == Position(*key)
    assert positions.value(path) == Position(*value)


def test_windows_line_ends_do_not_shift_positions() -> None:
    document = DOCUMENT.replace("\n", "\r\n")
    positions, plain = index_positions(document), index_positions(DOCUMENT)
    assert positions.paths() == plain.paths()
    assert all(positions.value(path) == plain.value(path) for path in plain.paths())


BARE = st.text("abcdefgh-_0123", min_size=1, max_size=4)
KEY_TEXT = st.one_of(BARE, st.text(st.characters(blacklist_categories=["Cs"]), max_size=4))
STRINGS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    STRINGS,
    st.dates(),
    st.datetimes(timezones=st.just(dt.UTC)),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY_TEXT, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(KEY_TEXT, VALUES, max_size=4)
BLANKS = st.sampled_from(["", " ", "\t", "  "])
BREAKS = st.sampled_from(["", " ", "\n", " # ] } \" ''' , x = 1\n", "\r\n\t"])


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class Writer:
    """Writes TOML in every legal form, choosing by hypothesis, and notes where it put things."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.places: dict[TomlPath, int] = {}

    def put(self, text: str) -> None:
        self.text += text

    def key(self, name: str) -> None:
        plain = name.isascii() and name and all(char.isalnum() or char in "-_" for char in name)
        literal = "'" not in name and all(char.isprintable() for char in name)
        forms = [quoted(name)] + ([name] if plain else []) + ([f"'{name}'"] if literal else [])
        self.put(self.draw(st.sampled_from(forms)))

    def string(self, value: str) -> None:
        safe = all(char.isprintable() or char == "\n" for char in value)
        forms = [quoted(value), f'"""{quoted(value)[1:-1]}"""', f'"""\n{quoted(value)[1:-1]}\\""""']
        if safe and "'''" not in value:
            forms += [f"'''\n{value}'''", f"'''{value.strip(chr(39))}''''"]
        if safe and "'" not in value and "\n" not in value:
            forms.append(f"'{value}'")
        self.put(self.draw(st.sampled_from(forms)))

    def value(self, path: TomlPath, value: Any) -> None:
        self.places[path] = len(self.text)
        match value:
            case bool():
                self.put(str(value).lower())
            case str():
                self.string(value)
            case list():
                self.array(path, value)
            case dict():
                self.inline(path, value)
            case dt.datetime():
                self.put(value.isoformat(sep=self.draw(st.sampled_from(["T", " "]))))
            case dt.date():
                self.put(value.isoformat())
            case float():
                self.put(repr(value))
            case _:
                self.put(str(value))

    def array(self, path: TomlPath, items: list[Any]) -> None:
        self.put("[" + self.draw(BREAKS))
        for index, item in enumerate(items):
            self.value((*path, index), item)
            last = index == len(items) - 1
            self.put(
                self.draw(BREAKS) + ("" if last and self.draw(st.booleans()) else ",") + self.draw(BREAKS)
            )
        self.put("]")

    def inline(self, path: TomlPath, table: dict[str, Any]) -> None:
        self.put("{")
        for index, (name, item) in enumerate(table.items()):
            self.put(("," if index else "") + self.draw(BLANKS))
            self.pair(path, name, item)
        self.put(self.draw(BLANKS) + "}")

    def pair(self, path: TomlPath, name: str, item: Any) -> None:
        self.key(name)
        step: TomlPath = (*path, name)
        while isinstance(item, dict) and len(item) == 1 and self.draw(st.booleans()):
            ((name, item),) = item.items()
            self.put(self.draw(BLANKS) + "." + self.draw(BLANKS))
            self.key(name)
            step = (*step, name)
        self.put(self.draw(BLANKS) + "=" + self.draw(BLANKS))
        self.value(step, item)

    def body(self, path: TomlPath, table: dict[str, Any]) -> None:
        for name, item in table.items():
            self.put(self.draw(BLANKS))
            self.pair(path, name, item)
            self.put(self.draw(st.sampled_from(["\n", " # [x]\n", "\r\n\r\n"])))

    def header(self, names: list[str], *, many: bool) -> None:
        self.put(self.draw(BLANKS) + ("[[" if many else "[") + self.draw(BLANKS))
        for index, name in enumerate(names):
            self.put("." if index else "")
            self.key(name)
        self.put(self.draw(BLANKS) + ("]]" if many else "]") + self.draw(st.sampled_from(["\n", " # c\n"])))


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    writer.body((), {f"root{name}": item for name, item in draw(BODIES).items()})
    for name in draw(st.lists(BARE, unique=True, max_size=3)):
        if draw(st.booleans()):
            sub = draw(KEY_TEXT)
            writer.header([f"t{name}", f"t{sub}"], many=False)
            writer.body((f"t{name}", f"t{sub}"), draw(BODIES))
            writer.header([f"t{name}"], many=False)
            continue
        for index in range(draw(st.integers(1, 3))):
            writer.header([f"m{name}"], many=True)
            writer.body((f"m{name}", index), {f"k{key}": item for key, item in draw(BODIES).items()})
            for inner in range(draw(st.integers(0, 2))):
                writer.header([f"m{name}", "inner"], many=True)
                writer.body((f"m{name}", index, "inner", inner), draw(BODIES))
    return writer


# A shared machine may be slow; what is slow here is making documents, not reading them.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(documents())
def test_any_document_has_the_paths_of_tomllib_and_values_stand_where_they_were_written(
    written: Writer,
) -> None:
    positions = index_positions(written.text)
    assert positions.paths() == paths_of(tomllib.loads(written.text))
    for path, offset in written.places.items():
        before = written.text[:offset]
        assert positions.value(path) == Position(before.count("\n") + 1, offset - before.rfind("\n"))
