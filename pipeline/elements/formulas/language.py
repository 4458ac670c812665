"""The language in which a method declares how a result is computed.

    formula = sum
    sum     = product { ("+" | "-") product }
    product = signed { ("*" | "/") signed }
    signed  = ["-" | "+"] power
    power   = atom [ ("^" | "**") ["-"] whole number ]
    atom    = number | name | name "(" sum { "," sum } ")" | "(" sum ")"

A name is an input, a constant, or before a bracket a function. Nothing else can be written: a formula reads
no file, has no loop and ends. Every node knows its column, so that an error points at it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

FORMULA_LENGTH_MAX = 1000
DEPTH_MAX = 50
EXPONENT_MAX = 12

SERIES_FUNCTIONS = (
    "first", "last", "min", "max", "mean", "sd", "count", "gross", "tare", "net", "loaded",
)  # fmt: skip
"""Functions of the readings of a channel; `formulas.series` says what each is."""
NUMBER_FUNCTIONS = ("abs", "sqrt", "ln", "log10", "exp", "kelvin")
"""Functions of one value."""


class FormulaError(ValueError):
    """A formula that cannot be read or used; `column` counts from 1."""

    def __init__(self, column: int, problem: str) -> None:
        super().__init__(f"column {column}: {problem}")
        self.column = column
        self.problem = problem


class NoValueError(FormulaError):
    """A formula without a value for these readings: a division by 0, a root of a negative number."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written."""

    value: Fraction
    column: int


@dataclass(frozen=True, slots=True)
class Name:
    """An input or a constant."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Call:
    """A function of one argument."""

    function: str
    argument: Node
    column: int


@dataclass(frozen=True, slots=True)
class Operation:
    """`+ - * /`, or `^` with a whole exponent as `right`."""

    operator: str
    left: Node
    right: Node
    column: int


Node: TypeAlias = Number | Name | Call | Operation


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)"
    r"|(?P<name>[^\W\d]\w*)|(?P<mark>\*\*|[-+*/^(),]))"
)


@lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Read a formula.

    Raises:
        FormulaError: it is not of the language; the first place at which it is not.
    """
    if len(text) > FORMULA_LENGTH_MAX:
        raise FormulaError(FORMULA_LENGTH_MAX, f"a formula has up to {FORMULA_LENGTH_MAX} characters")
    reader = _Reader(list(_tokens(text)), len(text.rstrip()) + 1)
    node = reader.sum(0)
    if reader.here is not None:
        raise FormulaError(reader.here.column, f"'{reader.here.text}' is not expected here")
    return node


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            column = position + len(text[position:]) - len(text[position:].lstrip()) + 1
            raise FormulaError(column, f"'{text[column - 1]}' is no part of a formula")
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind), match.start(kind) + 1)
        position = match.end()


class _Reader:
    """Recursive descent over the tokens; each rule of the grammar is a method of its name."""

    def __init__(self, tokens: list[_Token], end_column: int) -> None:
        self._tokens = tokens
        self._position = 0
        self._end_column = end_column

    @property
    def here(self) -> _Token | None:
        return self._tokens[self._position] if self._position < len(self._tokens) else None

    def _take(self, *marks: str) -> _Token | None:
        token = self.here
        if token is None or token.kind != "mark" or token.text not in marks:
            return None
        self._position += 1
        return token

    def sum(self, depth: int) -> Node:
        node = self._product(depth)
        while (token := self._take("+", "-")) is not None:
            node = Operation(token.text, node, self._product(depth), token.column)
        return node

    def _product(self, depth: int) -> Node:
        node = self._signed(depth)
        while (token := self._take("*", "/")) is not None:
            node = Operation(token.text, node, self._signed(depth), token.column)
        return node

    def _signed(self, depth: int) -> Node:
        token = self._take("-", "+")
        if token is None or token.text == "+":
            return self._power(depth)
        return Operation("*", Number(Fraction(-1), token.column), self._power(depth), token.column)

    def _power(self, depth: int) -> Node:
        base = self._atom(depth)
        token = self._take("^", "**")
        if token is None:
            return base
        sign = -1 if self._take("-") else 1
        exponent = self.here
        if exponent is None or exponent.kind != "number" or not exponent.text.isdigit():
            raise FormulaError(token.column, "an exponent is a whole number; for a root write sqrt(x)")
        self._position += 1
        if int(exponent.text) > EXPONENT_MAX:
            raise FormulaError(exponent.column, f"exponents go up to {EXPONENT_MAX}")
        return Operation(
            "^", base, Number(Fraction(sign * int(exponent.text)), exponent.column), token.column
        )

    def _atom(self, depth: int) -> Node:
        token = self.here
        if token is None:
            raise FormulaError(self._end_column, "the formula ends where a value is expected")
        if depth > DEPTH_MAX:
            raise FormulaError(token.column, f"brackets go {DEPTH_MAX} deep at most")
        self._position += 1
        if token.kind == "number":
            return Number(Fraction(token.text), token.column)
        if token.text == "(":
            return self._close(self.sum(depth + 1), token)
        if token.kind != "name":
            raise FormulaError(token.column, f"'{token.text}' stands where a value is expected")
        if self._take("(") is None:
            return Name(token.text, token.column)
        if token.text not in {*SERIES_FUNCTIONS, *NUMBER_FUNCTIONS}:
            raise FormulaError(token.column, _unknown("function", token.text, _FUNCTIONS))
        return Call(token.text, self._close(self.sum(depth + 1), token), token.column)

    def _close(self, inner: Node, opened: _Token) -> Node:
        if self._take(")") is None:
            column = self._end_column if self.here is None else self.here.column
            raise FormulaError(column, f"the bracket opened in column {opened.column} is not closed")
        return inner


_FUNCTIONS = (*SERIES_FUNCTIONS, *NUMBER_FUNCTIONS)


def _unknown(what: str, name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known)) or 'none'}"
    return f"unknown {what} '{name}'; {hint}"


def check_names(node: Node, series: Collection[str], values: Collection[str]) -> None:
    """See that every name is there and used as what it is.

    Args:
        node: a formula.
        series: names of inputs from channels; they stand alone inside a function of readings.
        values: names of certified values and constants.

    Raises:
        FormulaError: a name is unknown, or a channel stands where a value is expected.
    """
    if isinstance(node, Operation):
        check_names(node.left, series, values)
        check_names(node.right, series, values)
    elif isinstance(node, Call) and node.function in SERIES_FUNCTIONS:
        argument = node.argument
        if not isinstance(argument, Name):
            raise FormulaError(node.column, f"{node.function}() takes the name of an input from a channel")
        if argument.name not in series:
            raise FormulaError(argument.column, _unknown("input from a channel", argument.name, series))
    elif isinstance(node, Call):
        check_names(node.argument, series, values)
    elif isinstance(node, Name) and node.name not in values:
        if node.name in series:
            problem = f"'{node.name}' is many readings; say which, such as mean({node.name})"
            raise FormulaError(node.column, problem)
        raise FormulaError(node.column, _unknown("name", node.name, [*series, *values]))


def leaves(node: Node) -> Iterator[tuple[str, str]]:
    """List what a formula needs, each once and in order: (function of readings, input), or ("", name)."""
    yield from dict.fromkeys(_leaves(node))


def _leaves(node: Node) -> Iterator[tuple[str, str]]:
    if isinstance(node, Operation):
        yield from _leaves(node.left)
        if node.operator != "^":
            yield from _leaves(node.right)
    elif isinstance(node, Call):
        if node.function in SERIES_FUNCTIONS and isinstance(node.argument, Name):
            yield node.function, node.argument.name
        else:
            yield from _leaves(node.argument)
    elif isinstance(node, Name):
        yield "", node.name
