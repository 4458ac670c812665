"""Load one TOML file into its settings class, or say everything that is wrong with it at once."""

import hashlib
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from pydantic import ValidationError

from config.errors import ConfigInvalid, Finding, Report
from config.model import Settings
from config.toml_positions import Positions, index_positions
from config.validation import report_validation_errors

FILE_BYTES_MAX = 32 * 1024 * 1024
"""A hundred thousand channels written out take some 20 MB; reading them takes seconds and some 500 MB, most
of it only until they are read (docs/configuration.md)."""

S = TypeVar("S", bound=Settings)

Check: TypeAlias = Callable[[S, Report], None]
"""A check of sense. It runs only on a file of the right shape and reports by path."""


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """A configuration that may be used, and what identifies the file that it came from."""

    value: S
    sha256: str
    """Hash of the file's bytes, 64 hexadecimal digits."""
    path: Path
    positions: Positions
    warnings: tuple[Finding, ...]


def load_toml(path: Path, model: type[S], checks: Sequence[Check[S]] = ()) -> Loaded[S]:
    """Read, parse and check a file.

    Raises ConfigInvalid with every finding of the first stage that fails: reading, grammar, shape (all keys
    and types), sense (all ``checks``). Findings name the file as ``path`` does.
    """
    return parse_toml(_read(path), path, model, checks)


def parse_toml(raw: bytes, path: Path, model: type[S], checks: Sequence[Check[S]] = ()) -> Loaded[S]:
    """Parse and check bytes that were read from ``path``. Raises ConfigInvalid as load_toml does."""
    text = _decode(raw, str(path))
    data = _parse(text, str(path))
    try:
        positions = index_positions(text)
        report = Report(str(path), positions)
        value = _validate(data, model, report)
        for check in checks:
            check(value, report)
    except RecursionError:
        raise _too_deep(str(path)) from None
    if any(found.severity == "error" for found in report.findings):
        raise ConfigInvalid(report.findings)
    return Loaded(value, hashlib.sha256(raw).hexdigest(), path, positions, report.findings)


def _validate(data: dict[str, Any], model: type[S], report: Report) -> S:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        report_validation_errors(error, model, data, report)
        raise ConfigInvalid(report.findings) from None


def _invalid(
    code: str, file: str, message: str, hint: str | None, at: tuple[int, int] | None = None
) -> ConfigInvalid:
    line, col = at or (None, None)
    return ConfigInvalid([Finding(code, "error", file, line, col, message, hint)])


def _too_deep(file: str) -> ConfigInvalid:
    return _invalid(
        "E003", file, "values are nested too deeply", "use fewer levels of brackets and dots", (1, 1)
    )


def _read(path: Path) -> bytes:
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise _invalid(
            "E001", file, "there is no such file", "check the path; yaosu init makes a site file"
        ) from None
    except IsADirectoryError:
        raise _invalid(
            "E001", file, "this is a folder", f"name the file in it: {path / 'gateway.toml'}"
        ) from None
    except PermissionError:
        raise _invalid(
            "E001", file, "this user may not read the file", f"see its owner: ls -l {file}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _invalid("E001", file, f"cannot be read: {reason}", "check the path and the disk") from None
    if len(raw) > FILE_BYTES_MAX:
        limit = f"{FILE_BYTES_MAX // 2**20} MiB"
        hint = "is it a configuration file? check the path"
        raise _invalid("E001", file, f"is larger than {limit}", hint)
    return raw


def _decode(raw: bytes, file: str) -> str:
    try:
        # Some editors begin UTF-8 files with a byte order mark; it is no part of the text.
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line = before.count(b"\n") + 1
        col = len(before.rpartition(b"\n")[2].decode("utf-8", "replace").removeprefix("\ufeff")) + 1
        message = f"byte 0x{raw[error.start]:02X} is not UTF-8"
        hint = "save the file as UTF-8 (was it GBK or UTF-16?)"
        raise _invalid("E002", file, message, hint, (line, col)) from None


def _parse(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise _too_deep(file) from None
    except ValueError as error:
        message, at = _split_syntax_error(str(error), text)
        raise _invalid("E003", file, message, _syntax_hint(message, text, at), at) from None


def _split_syntax_error(message: str, text: str) -> tuple[str, tuple[int, int]]:
    """Take the position out of tomllib's message; an error at the end stands behind the last character."""
    match = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if match:
        at = (int(match[1]), int(match[2]))
        reason = message[: match.start()]
    else:
        at = (text.count("\n") + 1, len(text.rpartition("\n")[2]) + 1)
        reason = message.replace(" (at end of document)", " at the end of the file")
    # tomllib names a table as a tuple of its keys.
    reason = re.sub(r"\(('[^()]*'),?\)", lambda found: found[1].replace("', '", "."), reason)
    return reason[:1].lower() + reason[1:], at


_SYNTAX_HINTS = (
    ("cannot overwrite|cannot declare|cannot mutate", "it stands twice: take one of the two out"),
    (r"illegal character '\\n'|unterminated string", "a closing quotation mark is missing"),
    (
        "unescaped|invalid hex",
        "in double quotes a backslash is written twice; single quotes take it as it is",
    ),
    ("unclosed array|unclosed inline table", "a closing bracket is missing, or a comma between two items"),
    ("table declaration", "a table is written [name], a list of tables [[name]], alone on its line"),
    ("expected '=' after a key", "write: key = value"),
    ("invalid initial character", "a key is made of letters, digits, - and _; no comma stands before a }"),
    ("expected newline", "one key a line; a decimal number has a point, text double quotes"),
    ("invalid value", "a value is a number, true, false, or text in double quotes"),
)
"""What tomllib says, and what a person does about it."""


def _syntax_hint(reason: str, text: str, at: tuple[int, int]) -> str | None:
    """Say what to do: first about the two usual causes, Chinese punctuation and no quotes."""
    line = text.split("\n")[at[0] - 1].partition("#")[0]
    wide = next((char for char in line if char in "“”‘’，：＝［］｛｝"), None)
    if wide:
        return f"'{wide}' is full-width punctuation: type it with the English keyboard"
    if re.match(r"\s*[\w.-]+\s*=\s*[A-Za-z/]", line):
        return "text goes in double quotes"
    return next((hint for pattern, hint in _SYNTAX_HINTS if re.search(pattern, reason)), None)
