"""What a rule is, and how its settings become parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.qc.memory import ABSENT_NS

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.model import Settings
    from pipeline.qc.describe import Case, Evidence
    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Channel, Layout

Parameter = float | int
"""A float fills a float64 slot, an int an int64 slot."""

RING_SLACK = 1.25
"""A window has room for readings that come this much faster than polled, and `RING_SPARE` more."""
RING_SPARE = 8


def _nothing(_channel: Channel, _layout: Layout, _settings: Any) -> tuple[Parameter, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `bit` is its position in the table."""

    name: str
    title: tuple[str, str]
    """Name for people (en, zh)."""
    version: int
    bit: int
    table: str
    """Field of `ChannelQc` that switches the rule on; empty: always on."""
    settings: type[Settings] | None
    kernel: str
    """Name of the function in `kernels`."""
    parameters: int
    """Slots of parameters; a rule that takes a table may have more behind them."""
    state: int
    """Slots of state, without rings."""
    encode: Callable[[Any, float], tuple[Parameter, ...] | None]
    """Settings and poll interval (s) to the parameters; None when these settings leave the rule off."""
    describe: Callable[[Any, Evidence], Case]
    """Settings and evidence to the case of `texts` that applies and the values for it."""
    texts: dict[str, tuple[str, str]]
    """Case to explanation (en, zh); `unevaluated` says what the rule lacks."""
    rings: Callable[[tuple[Parameter, ...]], int] = lambda _: 0
    """Slots of the rings behind the state, from the parameters."""
    future: bool = False
    """The rule judges a row once later ones came. Its first state slot: ordinal + 1 of the oldest pending."""
    pending_ring: bool = False
    """Several rows may be pending: state slots 1 to 3 hold their number, how many places there are for them
    and the place of the oldest; the places begin behind the state."""
    local: Callable[[Channel, Layout, Any], tuple[Parameter, ...]] = _nothing
    """Parameters that come from the layout in force, put in front of the others; they do not end the
    state."""
    partner: bool = False
    """The kernel is given the difference from the channel at the position in the first parameter."""
    crosses: bool = False
    """Its settings tell (`crosses`) whether verdicts wait for a channel with a stream of its own: these are
    found by `crossing`, not by the kernel."""
    survives: bool = False
    """The state is kept when unit, kind or parameters change: the rule itself looks for such a change."""

    def waits(self, settings: Any) -> bool:
        """Tell whether verdicts of this rule with these settings come after the row."""
        return settings is not None and (self.future or (self.crosses and settings.crosses))

    @property
    def layout_bound(self) -> bool:
        """Whether some of its parameters come from the layout in force."""
        return self.local is not _nothing

    @property
    def later(self) -> bool:
        """Whether verdicts may come after the row, in `flags` records."""
        return self.future or self.crosses

    def settings_of(self, qc: ChannelQc | None) -> Any:
        """Return the rule's settings of a channel, None when it has none."""
        return None if qc is None or not self.table else getattr(qc, self.table)


def nanoseconds(seconds: float) -> int:
    """Convert a duration of the settings to ns; the nearest, as 0.1 s is no binary fraction.

    At least 1 where it is above 0: a window of no length would never hold the reading that ends it.
    """
    return max(round(seconds * 1e9), int(seconds > 0))


def nanoseconds_or_never(seconds: float | None) -> int:
    """Convert a duration that may be absent; an absent one is never reached."""
    return ABSENT_NS if seconds is None else nanoseconds(seconds)


def or_nan(limit: float | None, scale: float = 1.0) -> float:
    """Return a limit over `scale`; NaN, which no comparison ever exceeds, for an absent one."""
    return math.nan if limit is None else limit / scale


def ring_capacity(duration_s: float, interval_s: float) -> int:
    """Return how many readings a window of `duration_s` has room for at a poll interval, both in seconds."""
    return math.ceil(RING_SLACK * duration_s / interval_s) + RING_SPARE
