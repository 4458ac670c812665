"""Gather checked blocks of one instrument into frames, and late decisions into `flags` records."""

from __future__ import annotations

from collections import deque
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.records import Block, Flag
from pipeline.records.block import concatenate
from pipeline.records.frame import FlagSet, Frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pipeline.corrections import Plan
    from pipeline.qc import Decision, QcResult
    from pipeline.records import Item

FRAME_DELAY_NS = 100_000_000
"""Unless the settings say otherwise, a frame is closed at the latest this long after its oldest row."""
FRAME_ROWS_MAX = 1000
FRAME_CELLS_MAX = 200_000
"""Rows times channels of a frame: keeps its record far below the journal's limit, however wide it is."""
FLAGS_PERIOD_NS = 1_000_000_000
"""A rule whose rows all pass says how far it has decided at most this often."""
Saved = list[list[Any]]
"""State of late flags in a snapshot (msgpack)."""
STORED_FRAMES_MAX = 4096
"""Frames whose stored times are remembered for decisions still to come."""


def rows_max(channels: int) -> int:
    """Rows that a frame of so many channels may hold."""
    return max(1, min(FRAME_ROWS_MAX, FRAME_CELLS_MAX // max(1, channels)))


def pieces_of(item: Item) -> list[Item]:
    """Cut a block into pieces that a frame has room for; anything else is one piece."""
    if not isinstance(item, Block):
        return [item]
    rows = rows_max(len(item.layout.channels))
    if len(item) <= rows:
        return [item]
    return [item.rows(at, min(at + rows, len(item))) for at in range(0, len(item), rows)]


class OpenFrame:
    """Rows of one instrument, layout, service state and plan of corrections, not yet in the journal."""

    def __init__(self, n_first: int, service: str, plan: Plan | None, opened_ns: int) -> None:
        self.n_first = n_first
        self.service = service
        self.plan = plan
        """Corrections in force for its rows."""
        self.opened_ns = opened_ns
        self.rows = 0
        self._blocks: list[Block] = []
        self._results: list[QcResult] = []
        self._closed: Frame | None = None

    @property
    def full(self) -> bool:
        """Whether no further row may join."""
        return self.rows >= rows_max(len(self._blocks[0].layout.channels))

    def fits(self, block: Block, service: str, plan: Plan | None) -> bool:
        """Tell whether `block` may join: same layout, service state and corrections, and room for it."""
        return (
            self._closed is None
            and self._blocks[0].layout == block.layout
            and self.service == service
            and self.plan is plan
            and self.rows + len(block) <= rows_max(len(block.layout.channels))
            and (self._blocks[0].raw is None) == (block.raw is None)
        )

    def add(self, block: Block, result: QcResult) -> None:
        """Append the rows of a block with what QC said of them."""
        self._blocks.append(block)
        self._results.append(result)
        self.rows += len(block)

    def close(self, stored_offsets: Callable[[str, NDArray[np.int64]], NDArray[np.int64] | None]) -> Frame:
        """Make the frame, once: its stored times are decided here, however often its append is tried."""
        if self._closed is None:
            block, results = concatenate(self._blocks), self._results
            single = len(results) == 1
            corrected, uncorrected = ({}, {}) if self.plan is None else self.plan.apply(block)
            self._closed = Frame(
                block=block,
                n_first=self.n_first,
                flag=results[0].flag if single else np.concatenate([r.flag for r in results], axis=1),
                reason=results[0].reason if single else np.concatenate([r.reason for r in results], axis=1),
                unevaluated=(
                    results[0].unevaluated
                    if single
                    else np.concatenate([r.unevaluated for r in results], axis=1)
                ),
                service=self.service,
                t_store_off_ns=stored_offsets(block.instrument, block.t_utc_ns),
                corrected=corrected,
                uncorrected=uncorrected,
            )
        return self._closed


@dataclass(slots=True)
class _Undecided:
    """What one rule has decided since its last `flags` record."""

    decided_through_n: int = -1
    said_through_n: int = -1
    said_ns: int = 0
    n: list[int] = field(default_factory=list)
    channel: list[str] = field(default_factory=list)
    flag: list[int] = field(default_factory=list)


class LateFlags:
    """Decisions of the rules of one instrument that need the future, until a `flags` record carries them."""

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
        self._rules: dict[str, _Undecided] = {}
        self._stored: deque[tuple[int, NDArray[np.int64]]] = deque(maxlen=STORED_FRAMES_MAX)

    def remember(self, frame: Frame) -> None:
        """Keep the stored times of a frame: decisions about its rows are still to come.

        Every rule that needs the future has told how far it is by then: `add` comes first.
        """
        self._stored.append((frame.n_first, frame.t_store_ns))
        self._forget()

    def _forget(self) -> None:
        """Let go of the frames about which every rule has said all."""
        open_from = [
            min([*rule.n, max(rule.decided_through_n, rule.said_through_n) + 1])
            for rule in self._rules.values()
        ]
        while self._stored:
            first, times = self._stored[0]
            if open_from and first + len(times) > min(open_from):
                break
            self._stored.popleft()

    def add(self, decision: Decision) -> None:
        """Take what the engine decided."""
        rule = self._rules.setdefault(decision.rule, _Undecided())
        rule.decided_through_n = max(rule.decided_through_n, decision.decided_through_n)
        found = zip(decision.n, decision.channel, decision.flag, decision.required, strict=True)
        for n, channel, flag, required in found:
            # What a record has said already is not said again (replay after a restart). A rule that need
            # not be evaluated, and was not, leaves the final flag alone.
            if n > rule.said_through_n and (flag != Flag.NOT_EVALUATED or required):
                rule.n.append(int(n))
                rule.channel.append(channel)
                rule.flag.append(int(flag))

    def already_said(self, flags: FlagSet) -> None:
        """Forget what a `flags` record of the journal carries already (replay after a restart)."""
        rule = self._rules.setdefault(flags.rule, _Undecided())
        rule.said_through_n = max(rule.said_through_n, flags.decided_through_n)
        keep = [at for at, n in enumerate(rule.n) if n > flags.decided_through_n]
        rule.n = [rule.n[at] for at in keep]
        rule.channel = [rule.channel[at] for at in keep]
        rule.flag = [rule.flag[at] for at in keep]

    def save(self) -> Saved:
        """State for a snapshot: what is decided and not said, and the stored times of rows still pending."""
        stored = [[first, times.tobytes()] for first, times in self._stored]
        return [[[name, *astuple(rule)] for name, rule in self._rules.items()], stored]

    def load(self, saved: Saved) -> None:
        """Take up what `save` gave."""
        rules, stored = saved
        self._rules = {name: _Undecided(*state) for name, *state in rules}
        self._stored.extend((first, np.frombuffer(times, dtype=np.int64)) for first, times in stored)

    def due(self, now_ns: int, *, force: bool) -> list[FlagSet]:
        """Return what is to be recorded now: a flag that is no pass at once, mere progress rarely.

        Each is due until `said` tells that its record is appended.
        """
        sets = []
        for name, rule in self._rules.items():
            progress = rule.decided_through_n > rule.said_through_n
            if rule.n or (progress and (force or now_ns - rule.said_ns >= FLAGS_PERIOD_NS)):
                sets.append(self._flags_of(name, rule))
        return sets

    def _flags_of(self, name: str, rule: _Undecided) -> FlagSet:
        stored = [self._stored_time(n) for n in rule.n]
        known = [at for at, t_store_ns in enumerate(stored) if t_store_ns is not None]
        return FlagSet(
            instrument=self._instrument,
            rule=name,
            # Never backwards: a rule that began anew counts from before what was said already.
            decided_through_n=max(rule.decided_through_n, rule.said_through_n),
            n=np.array([rule.n[at] for at in known], dtype=np.int64),
            channel=tuple(rule.channel[at] for at in known),
            flag=np.array([rule.flag[at] for at in known], dtype=np.uint8),
            t_store_ns=np.array([stored[at] for at in known], dtype=np.int64),
        )

    def said(self, flags: FlagSet, now_ns: int) -> int:
        """Note that a set of `due` is recorded; returns how many verdicts it had to leave out."""
        rule = self._rules[flags.rule]
        unplaced = len(rule.n) - len(flags.n)
        rule.said_through_n, rule.said_ns = flags.decided_through_n, now_ns
        rule.n, rule.channel, rule.flag = [], [], []
        self._forget()
        return unplaced

    def _stored_time(self, n: int) -> int | None:
        for first, times in reversed(self._stored):
            if first <= n < first + len(times):
                return int(times[n - first])
        return None
