"""The pages' texts in both languages, and times as people read them."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pipeline.elements.texts import ENUMERATIONS, say
from pipeline.records.events import Language

if TYPE_CHECKING:
    from starlette.requests import Request

LANGUAGES: tuple[Language, ...] = get_args(Language)
COOKIE = "yaosu-lang"
_FOLDER = Path(__file__).parent / "messages"


class Messages:
    """The texts of one language. Called with a key (`table.key`) and the values of its placeholders."""

    def __init__(self, language: Language) -> None:
        self.language = language
        tables = tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
        self._tables: dict[str, dict[str, str]] = tables

    def __call__(self, key: str, **values: object) -> str:
        """Return a text. Raises KeyError: the key is in no catalogue (our bug)."""
        table, _, name = key.partition(".")
        text = self._tables[table][name]
        return text.format(**values) if values else text

    def word(self, table: str, name: str) -> str:
        """Return the word for a code: of the elements' own lists, or of a table of the catalogue.

        A code of a newer writer is shown as it is.
        """
        if table in ENUMERATIONS:
            return say(table, name, self.language)
        return self._tables[table].get(name, name)

    def table(self, name: str) -> dict[str, str]:
        """Return a whole table, as the scripts of the pages need it."""
        return self._tables[name]


@cache
def messages(language: Language) -> Messages:
    """Return the texts of a language."""
    return Messages(language)


def language_of(request: Request) -> Language:
    """Choose the language: `?lang=`, then the cookie, then what the browser prefers, then English."""
    for wanted in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return wanted
    preferred = request.headers.get("accept-language", "").lower()
    return "zh" if preferred.startswith("zh") else "en"


def utc_offset_min(t_utc_ns: int) -> int:
    """Return the offset of this machine's local time from UTC at an instant, in minutes."""
    offset = datetime.fromtimestamp(t_utc_ns // 1_000_000_000, tz=UTC).astimezone().utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60)


def offset_text(minutes: int) -> str:
    """Write an offset: +08:00."""
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def time_text(t_utc_ns: int | None) -> str:
    """Write an instant: 2026-03-01 08:00:00 UTC (16:00:00 +08:00), then local time and offset."""
    if t_utc_ns is None:
        return "–"
    at = datetime.fromtimestamp(t_utc_ns // 1_000_000_000, tz=UTC)
    local = at.astimezone()
    offset = offset_text(utc_offset_min(t_utc_ns))
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({local:%H:%M:%S} {offset})"


def value_text(value: Any, decimals: int | None) -> str | None:
    """Write a value with the instrument's own decimals, or exactly as it is; None stays None."""
    if isinstance(value, float):
        return repr(value) if decimals is None else f"{value:.{decimals}f}"
    return None if value is None else str(value)
