"""The regulator's table of spot checks, as a TOML file that the regulator edits.

The shipped one, `config/examples/spot-check/illustrative.toml`, is an illustration: nobody issued it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from config.loader import load_toml
from config.model import Day, Settings
from pipeline.elements.codec import to_body
from pipeline.elements.risk.state import SpotCheckRow, SpotCheckTable

if TYPE_CHECKING:
    from pathlib import Path

    from config.errors import Report

_Text = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RowSettings(Settings):
    """Spot checks of one class."""

    credit_class: Literal["A", "B", "C", "D"]
    """Official credit-risk class (信用风险类别)."""
    proportion: Annotated[float, Field(ge=0, le=1)]
    """Share that is drawn (抽查比例), 0.05 being 5 %."""
    per_year: Annotated[float, Field(ge=0, le=366)]
    """Times a year (抽查频次)."""
    note: Annotated[str, StringConstraints(max_length=500)] = ""
    """What else the regulator says of the class."""


class SpotCheckSettings(Settings):
    """The table."""

    title: _Text
    """As issued."""
    issuer: _Text
    """Who issued it."""
    issued_on: Day
    """When."""
    illustrative: bool = False
    """True for a table that nobody issued: it is shown as such everywhere."""
    row: tuple[RowSettings, ...] = Field(min_length=1, max_length=4)
    """One row for each class."""


def _each_class_once(settings: SpotCheckSettings, report: Report) -> None:
    seen: set[str] = set()
    for position, row in enumerate(settings.row):
        if row.credit_class in seen:
            report.error(
                "E021", ("row", position, "credit_class"), f"class {row.credit_class} is there already"
            )
        seen.add(row.credit_class)


def read_spot_checks(path: Path) -> dict[str, Any]:
    """Read the regulator's table as the argument of the command `risk.table`.

    Raises:
        ConfigInvalid: every finding with file and line.
    """
    loaded = load_toml(path, SpotCheckSettings, [_each_class_once])
    value = loaded.value
    table = SpotCheckTable(
        value.title, value.issuer, value.issued_on.isoformat(), value.illustrative, loaded.sha256,
        [SpotCheckRow(row.credit_class, row.proportion, row.per_year, row.note) for row in value.row],
    )  # fmt: skip
    body: dict[str, Any] = to_body(table)
    return {name: body[name] for name in ("title", "issuer", "issued_on", "illustrative", "sha256", "rows")}
