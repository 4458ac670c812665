"""The weighing itself: gross weight, zero and tare of one balance, shared by all its interfaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simulators.fault_board import FaultBoard
from simulators.instruments.balance import Balance

WEIGHT = frozenset({"weight"})
Status = Literal["S", "D", "+", "-", "I"]
ZERO_RANGE = 0.02
"""Zero may be set within this share of the capacity."""
OVERLOAD_INCREMENTS = 9
"""Overload begins so many increments above the capacity."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """One look at the display: stable, dynamic, overload, underload or not available."""

    status: Status
    net_g: float | None
    fault: str | None

    @property
    def is_final(self) -> bool:
        """Say whether waiting for stability would bring nothing else."""
        return self.status in {"S", "+", "-"}


class Scale:
    """The balance with the operator's zero and tare."""

    def __init__(self, balance: Balance, board: FaultBoard) -> None:
        self.balance = balance
        self.board = board
        self.zero_g = 0.0
        self.tare_g = 0.0

    def look(self, t_ns: int) -> Weighing:
        """Return what the display shows at scenario time `t_ns`; nothing is counted."""
        settings = self.balance.settings
        effects = self.board.effects(t_ns, WEIGHT)
        gross_g = effects.apply("weight", t_ns, self.balance.gross_g)
        if gross_g is None:
            return Weighing("I", None, effects.name())
        if gross_g > settings.capacity_g + OVERLOAD_INCREMENTS * self.balance.increment_g:
            return Weighing("+", None, effects.name())
        if gross_g < settings.underload_g:
            return Weighing("-", None, effects.name())
        stable = self.balance.is_at_rest(t_ns) and not effects.moves()
        return Weighing("S" if stable else "D", gross_g - self.zero_g - self.tare_g, effects.name())

    def count_reading(self, t_ns: int) -> None:
        """Count a reading that was sent, for faults that hit a limited number of them."""
        self.board.count_reading(self.board.effects(t_ns, WEIGHT), WEIGHT)

    def set_tare(self, net_g: float) -> None:
        """Take what is on the pan, net, into the tare."""
        self.tare_g += net_g

    def set_zero(self, net_g: float) -> bool:
        """Make the weight on the pan the new zero and clear the tare; False outside of the zero range."""
        new_zero_g = self.zero_g + self.tare_g + net_g
        if abs(new_zero_g) > ZERO_RANGE * self.balance.settings.capacity_g:
            return False
        self.zero_g, self.tare_g = new_zero_g, 0.0
        return True

    def format(self, net_g: float) -> str:
        """Return value and unit as sent: ten characters, right-aligned, one space, the unit."""
        shown = f"{net_g:.{self.balance.settings.decimals}f}"
        if float(shown) == 0.0:
            shown = shown.removeprefix("-")
        return f"{shown:>10} g"
