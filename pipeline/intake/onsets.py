"""From flags to events: a person is told when a rule begins to fire on a channel, not at every reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.qc import RULES
from pipeline.records import Flag
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.records import Frame
    from pipeline.records.envelope import Body
    from pipeline.records.frame import FlagSet

QUIET_NS = 10_000_000_000
"""A rule that has not fired on a channel for this long begins anew when it fires again (gateway time)."""
_UNTOLD = frozenset({"missing", "stability"})
"""A missing value has its cause told already: the driver's own events and the gaps. *Stable* is no fault."""


class Onsets:
    """Remembers, for each channel and rule of one instrument, when it fired last."""

    def __init__(self) -> None:
        self._last_ns: dict[tuple[str, str], int] = {}

    def of_frame(self, frame: Frame) -> list[Body]:
        """Events for the rules that begin to fire in a frame."""
        if not frame.reason.any():
            return []
        block, events = frame.block, []
        for position, channel in enumerate(block.layout.channels):
            mask = int(np.bitwise_or.reduce(frame.reason[position]))
            for rule in RULES:
                if not mask >> rule.bit & 1 or rule.name in _UNTOLD:
                    continue
                rows = np.flatnonzero((frame.reason[position] >> rule.bit) & 1)
                first, last = int(rows[0]), int(rows[-1])
                begins = self._begins(
                    channel.name, rule.name, int(block.t_run_ns[first]), int(block.t_run_ns[last])
                )
                if begins:
                    flag = Flag(int(frame.flag[position, first])).name.lower()
                    value = float(block.numeric()[position, first])
                    events.append(
                        self._event(
                            block.instrument, channel.name, rule.name, flag, frame.n_first + first, value
                        )
                    )
        return events

    def of_flags(self, flags: FlagSet, now_ns: int) -> list[Body]:
        """Events for a rule that needs the future, when its verdicts are recorded."""
        events = []
        for channel, flag, n in zip(flags.channel, flags.flag, flags.n, strict=True):
            if flag in {Flag.SUSPECT, Flag.FAIL} and self._begins(channel, flags.rule, now_ns, now_ns):
                events.append(
                    self._event(
                        flags.instrument, channel, flags.rule, Flag(int(flag)).name.lower(), int(n), None
                    )
                )
        return events

    def _begins(self, channel: str, rule: str, first_ns: int, last_ns: int) -> bool:
        before_ns = self._last_ns.get((channel, rule))
        self._last_ns[channel, rule] = last_ns
        return before_ns is None or first_ns - before_ns >= QUIET_NS

    @staticmethod
    def _event(instrument: str, channel: str, rule: str, flag: str, n: int, value: float | None) -> Body:
        shown = {} if value is None else {"value": value}
        return event_body(
            "qc-onset", instrument=instrument, channel=channel, rule=rule, flag=flag, n=n, **shown
        )
