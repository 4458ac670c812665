"""What is wrong with a configuration, in the form that people and editors read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from config.catalogue import CATALOGUE
from config.toml_positions import Position, Positions, TomlPath

Severity: TypeAlias = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in one file. Line and column count from 1; they are None if the file was not read."""

    code: str
    severity: Severity
    file: str
    line: int | None
    col: int | None
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}:{self.col}"
        advice = f" — {self.hint}" if self.hint else ""
        return f"{place}: {self.severity}[{self.code}]: {self.message}{advice}"


class ConfigInvalid(Exception):  # noqa: N818 - it states a result: the commands print it and end with 78
    """A configuration cannot be used: nothing may start before its findings are put right.

    ``findings`` holds all of them, warnings too, in the order in which they stand in the file.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = sort_findings(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop a start, without the warnings."""
        return tuple(finding for finding in self.findings if finding.severity == "error")


class SettingError(ValueError):
    """Raised by a validator of a settings class to choose the code and the hint of its finding.

    ``key`` names the key of that table to point at; without it the finding points at the value or table.
    """

    def __init__(self, code: str, message: str, *, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message)
        if code not in CATALOGUE:
            raise AssertionError(f"{code} is not in the catalogue")
        self.code = code
        self.hint = hint
        self.key = key


class Report:
    """Collects findings by path; the positions of the file that is being checked turn a path into a place."""

    def __init__(self, file: str, positions: Positions) -> None:
        self._file = file
        self._positions = positions
        self._findings: list[Finding] = []

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was reported so far, in the order of the file."""
        return sort_findings(self._findings)

    def error(self, code: str, path: Sequence[str | int], message: str, hint: str | None = None) -> None:
        """Report something that stops a start, at the value that ``path`` leads to.

        A path whose value the file leaves out (a default) points at the nearest table that is there.
        """
        self._add("error", code, self._positions.value(tuple(path)), message, hint)

    def warning(self, code: str, path: Sequence[str | int], message: str, hint: str | None = None) -> None:
        """Report something that a person should look at but that stops nothing."""
        self._add("warning", code, self._positions.value(tuple(path)), message, hint)

    def error_at_key(self, code: str, path: TomlPath, message: str, hint: str | None = None) -> None:
        """Report something wrong with the key itself, not with its value."""
        self._add("error", code, self._positions.key(path), message, hint)

    def elsewhere(self, moved: Callable[[Positions], Positions]) -> "Report":
        """Give a report into the same findings, for data that stands elsewhere in the file than it says."""
        other = Report(self._file, moved(self._positions))
        other._findings = self._findings
        return other

    def _add(self, severity: Severity, code: str, at: Position, message: str, hint: str | None) -> None:
        if code not in CATALOGUE:
            raise AssertionError(f"{code} is not in the catalogue")
        self._findings.append(Finding(code, severity, self._file, at.line, at.col, message, hint))


def sort_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put findings in the order of the file, those without a position first."""
    return tuple(
        sorted(findings, key=lambda found: (found.file, found.line or 0, found.col or 0, found.code))
    )
