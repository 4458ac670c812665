"""Tables of results and their formulas in a registry file."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from config.errors import SettingError
from config.model import ChannelName, Settings
from pipeline.elements import method_shapes as shapes
from pipeline.elements.formulas.declared import check_formula
from pipeline.elements.formulas.language import FORMULA_LENGTH_MAX, FormulaError
from pipeline.elements.registry_base import NotNegative, Positive, ShortText
from pipeline.elements.vocabulary import Purpose, Rounding
from pipeline.records.units import UnitError

FormulaName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=32)]
"""A name as it can stand in a formula."""


class DecisionSettings(Settings):
    """Decision rule of a statement of conformity."""

    rule: Literal["simple", "guard-band"]
    """Accept up to the limit, or up to the limit minus the guard band."""
    low: float | None = None
    """Lower limit."""
    high: float | None = None
    """Upper limit."""
    guard_band: NotNegative = 0.0
    """w, in the unit of the result."""
    guard_factor: NotNegative | None = None
    """r of w = r U; takes the place of `guard_band`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.low is None and self.high is None:
            raise SettingError("E020", "a decision needs a limit", key="rule", hint="give low, high or both")
        if self.guard_factor is not None and self.guard_band:
            hint = "keep the one that the method states"
            raise SettingError(
                "E020", "guard_band and guard_factor are both given", key="guard_factor", hint=hint
            )
        return self


class FormulaInputSettings(Settings):
    """A name in a formula."""

    name: FormulaName
    """As it stands in the formula."""
    channel: ChannelName | None = None
    """Channel whose readings it is."""
    unit: str | None = None
    """Unit in which it is expected."""
    certified: ShortText | None = None
    """Quantity that the reference certifies; "*" for its first one."""
    stable_only: bool = False
    """Readings that the instrument calls stable only."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.channel is None) == (self.certified is None):
            hint = "give one of the two"
            raise SettingError("E020", "an input is a channel or a certified value", key="name", hint=hint)
        return self


class FormulaConstantSettings(Settings):
    """A fixed value in a formula."""

    name: FormulaName
    """As it stands in the formula."""
    value: float
    """In `unit`."""
    unit: str = ""
    """Unit of the figures."""
    u: NotNegative = 0.0
    """Standard uncertainty, in `unit`."""


class ResultSettings(Settings):
    """A result that tasks yield: by a declared formula, or by one that has a name."""

    quantity: ShortText
    """What it is called."""
    algorithm: Literal["formula", "net-weight", "check-weight", "pressure-drop"] = "formula"
    """How it is computed."""
    channel: ChannelName | None = None
    """From which channel, for a named one."""
    purposes: tuple[Purpose, ...] = ("test",)
    """For tasks of which purposes."""
    decision: DecisionSettings | None = None
    """Statement of conformity."""
    formula: Annotated[str, StringConstraints(max_length=FORMULA_LENGTH_MAX)] = ""
    """Formula; its language stands in docs/results.md."""
    inputs: tuple[FormulaInputSettings, ...] = ()
    """Names in the formula that are read or certified."""
    constants: tuple[FormulaConstantSettings, ...] = ()
    """Names in the formula that are fixed."""
    unit: str = ""
    """Unit of the result."""
    decimals: Annotated[int, Field(ge=0, le=12)] | None = None
    """Digits after the point on reports."""
    rounding: Rounding = "half-even"
    """How they are rounded, for display only."""
    coverage_factor: Positive = 2.0
    """k of U = k u."""
    coverage: Literal["factor", "student"] = "factor"
    """Whether k is coverage_factor, or Student's t of the effective degrees of freedom (about 95 %)."""
    correlation: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """r between readings of one channel, as far as its certificate's uncertainty goes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        declared = self.algorithm == "formula"
        if declared == (self.channel is not None) or declared != bool(self.formula):
            raise SettingError(
                "E020", f"a result by '{self.algorithm}' is not given so", key="quantity",
                hint="a declared result has formula and inputs; a named one has algorithm and channel",
            )  # fmt: skip
        if self.coverage == "student" and "coverage_factor" in self.model_fields_set:
            raise SettingError(
                "E020", "coverage_factor is given, and k comes from the degrees of freedom", key="coverage",
                hint="keep the one that the method states",
            )  # fmt: skip
        spec = self.shape()
        try:
            if declared:
                check_formula(spec.formula, spec.inputs, spec.constants, spec.unit)
        except FormulaError as error:
            told = f"formula, column {error.column}: {error.problem}"
            raise SettingError("E020", told, key="formula", hint="see docs/results.md") from error
        except UnitError as error:
            raise SettingError("E020", str(error), key="formula", hint="check the units") from error
        return self

    def shape(self) -> shapes.ResultSpec:
        """Give the record's data."""
        decision = None if self.decision is None else shapes.DecisionRule(**dict(self.decision))
        facts = dict(self) | {
            "channel": self.channel or "",
            "decision": decision,
            "inputs": tuple(shapes.FormulaInput(**dict(one)) for one in self.inputs),
            "constants": tuple(shapes.FormulaConstant(**dict(one)) for one in self.constants),
        }
        return shapes.ResultSpec(**facts)
