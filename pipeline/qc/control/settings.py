"""Settings of the control rules: which rules warn, which reject, in which scope."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Literal, Self

from pydantic import Field, model_validator

from config.errors import SettingError
from config.model import Settings
from pipeline.qc.control.table import BY_NAME, MISSING_BIT, SCOPES, Scope


class MultiruleQc(Settings):
    """Control rules for the control samples of one method; by default Westgard's multirule procedure."""

    warn: tuple[str, ...] = ("1-2s",)
    """Rules after which an observation is suspect."""
    reject: tuple[str, ...] = ("1-3s", "2-2s", "R-4s", "4-1s", "10x")
    """Rules after which an observation fails."""
    required: tuple[str, ...] = ()
    """Rules of the above without which an observation does not pass but is "not evaluated"."""
    scopes: dict[str, tuple[Scope, ...]] = Field(default_factory=dict)
    """Scopes of a rule where its own are not wanted."""
    r_4s: Literal["opposite", "range"] = "opposite"
    """R-4s: one value beyond +2 SD and one beyond -2 SD in a run, or a range of more than 4 SD in a run."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in ("warn", "reject", "required", "scopes"):
            for name in getattr(self, key):
                _known(name, key)
        both = set(self.warn) & set(self.reject)
        if both:
            raise SettingError("E020", f"{_listed(both)} would warn and reject", key="warn",
                               hint="name a rule in one of the two")  # fmt: skip
        off = ({*self.required, *self.scopes}) - {*self.warn, *self.reject}
        if off:
            raise SettingError("E020", f"{_listed(off)} is not on", hint="name it in 'warn' or 'reject' too")
        if not self.warn and not self.reject:
            raise SettingError("E020", "no control rule is on", hint="name rules in 'warn' or 'reject'")
        for name, scopes in self.scopes.items():
            self._check_scopes(name, scopes)
        return self

    @staticmethod
    def _check_scopes(name: str, scopes: tuple[Scope, ...]) -> None:
        senseless = [scope for scope in scopes if scope not in BY_NAME[name].scopes]
        if senseless or not scopes:
            raise SettingError(
                "E020",
                f"{name} cannot be used {_listed(senseless) or 'in no scope'}",
                hint=f"use it {_listed(BY_NAME[name].scopes)}",
                key="scopes",
            )

    def scopes_of(self, name: str) -> tuple[Scope, ...]:
        """Return the scopes in which a rule is used; none where it is off."""
        if name not in {*self.warn, *self.reject}:
            return ()
        return self.scopes.get(name, BY_NAME[name].default)

    def mask(self, scope: Scope) -> int:
        """Return the mask of the rules that are used in a scope."""
        bits = [BY_NAME[name].bit for name in {*self.warn, *self.reject} if scope in self.scopes_of(name)]
        return sum(1 << bit for bit in bits)

    def masks(self) -> tuple[int, ...]:
        """Return the masks of all scopes, in the order of `SCOPES`."""
        return tuple(self.mask(scope) for scope in SCOPES)


def _listed(names: object) -> str:
    return ", ".join(str(name) for name in sorted(names))  # type: ignore[call-overload]  # any iterable of str


def _known(name: str, key: str) -> None:
    rule = BY_NAME.get(name)
    if rule is None or rule.bit == MISSING_BIT:
        close = get_close_matches(name, BY_NAME, 1, 0.5)
        hint = f"did you mean '{close[0]}'?" if close else f"take one of {', '.join(list(BY_NAME)[1:])}"
        raise SettingError("E025", f"no control rule '{name}'", hint=hint, key=key)
