r"""Lines of MT-SICS: pure functions from bytes to what the balance said.

A line is `ID STATUS [parameters] CR LF`. Weights: ``S S     100.00 g`` (id, S stable or D dynamic, value
right aligned in ten characters, unit). Failures: ``S I`` not executable now, ``S +`` overload, ``S -``
underload, ``S L`` parameter not allowed; ``ES`` syntax error, ``ET`` transmission error, ``EL`` logical
error, without id. ``x B`` announces more lines of one command, ``x A`` ends or acknowledges it, with texts in
quotes: ``I4 A "B123456789"``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.errors import BadFrame

LINE_BYTES_MAX = 256
_WEIGHT = re.compile(r"(S|SI|SIR|SR|T|TI|TA|Z|M) +([SD]) +([+-]? ?\d+(?:\.(\d+))?) *(\S*) *")
_REPLY = re.compile(r"([A-Z]{1,3}\d{0,3}) +([ABILDS+-])(?: +(.*))?")
_ERRORS = {"ES": "syntax error", "ET": "transmission error", "EL": "logical error"}


@dataclass(frozen=True, slots=True)
class WeightLine:
    """A measured value."""

    command: str
    """Id: S for weights, T and TA for tare values."""
    stable: bool
    value: float
    decimals: int
    unit: str


@dataclass(frozen=True, slots=True)
class StatusLine:
    """Any other answer of one command."""

    command: str
    status: str
    """A, B, I, L, +, -."""
    texts: tuple[str, ...]
    """Parameters, quotes taken off."""


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """An answer without id: the balance could not tell, or not do, what was asked."""

    code: str
    meaning: str


Line = WeightLine | StatusLine | ErrorLine


def parse_line(data: bytes) -> Line:
    """Parse one line without its CR LF.

    Raises:
        BadFrame: the bytes are no line of MT-SICS.
    """
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise BadFrame(f"no text: {data[:32]!r}", raw=data, hint="check baud rate and parity") from None
    if text.strip() in _ERRORS:
        return ErrorLine(text.strip(), _ERRORS[text.strip()])
    weight = _WEIGHT.fullmatch(text)
    if weight is not None:
        command, status, number, fraction, unit = weight.groups()
        return WeightLine(command, status == "S", float(number.replace(" ", "")), len(fraction or ""), unit)
    reply = _REPLY.fullmatch(text.rstrip())
    if reply is None or (reply[1] == "S" and reply[2] in "SD"):
        raise BadFrame(f"no line of MT-SICS: {text[:32]!r}", raw=data, hint="is the balance set to MT-SICS?")
    return StatusLine(reply[1], reply[2], _texts(reply[3] or ""))


def _texts(parameters: str) -> tuple[str, ...]:
    """Split parameters; a text in quotes is one, with its inner quotes doubled by backslash."""
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', parameters)
    return tuple(quoted.replace('\\"', '"') if quoted else plain for quoted, plain in found)


def cut_line(buffer: bytes | bytearray) -> tuple[bytes, int] | None:
    """Return the first line of `buffer` and the bytes that it takes with its end; None while incomplete.

    A line ends with LF, with or without CR. Longer than `LINE_BYTES_MAX` is a line too: it will not parse.
    """
    end = buffer.find(b"\n")
    if end < 0:
        return (bytes(buffer), len(buffer)) if len(buffer) > LINE_BYTES_MAX else None
    return bytes(buffer[:end]).removesuffix(b"\r"), end + 1
