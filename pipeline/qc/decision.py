"""What the rules say: of the rows of a block, and later of rows that were handed out before."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Decision(NamedTuple):
    """Verdicts of one rule on rows handed out before. Lists only rows that did not pass, by ordinal."""

    instrument: str
    """Whose rows; another than the block's where instruments are compared."""
    rule: str
    decided_through_n: int
    """Every row up to and including this ordinal is decided for this rule; -1 when none is."""
    n: NDArray[np.int64]
    """int64[m]: ordinals."""
    channel: tuple[str, ...]
    """Names of the channels [m]."""
    flag: NDArray[np.uint8]
    """uint8[m]: the rule's own verdict."""
    required: NDArray[np.bool_]
    """bool[m]: a verdict of 2 makes the reading's final flag 2 only where this is true."""


class QcResult(NamedTuple):
    """What the rules say about a block, and what they now know about rows before it."""

    flag: NDArray[np.uint8]
    """uint8[c, n]: worst verdict of the rules that need no future."""
    reason: NDArray[np.int64]
    """int64[c, n]: bits of the rules that fired."""
    unevaluated: NDArray[np.int64]
    """int64[c, n]: bits of the enabled rules that could not be evaluated, and `WARMING_BIT`."""
    decisions: list[Decision]
