"""The streaming engine: blocks in, flags out, state carried between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np

from pipeline.qc.crossing import Crossings, problems
from pipeline.qc.decision import Decision
from pipeline.qc.explain import explain_row
from pipeline.qc.memory import DECISION_FIELDS, OUT_DECISIONS, WARMING_BIT
from pipeline.qc.plan import Pending, Plan, Saved, SavedChannels, pending_of
from pipeline.qc.table import BY_NAME, FUTURE, MISSING_MASK, check_windows
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from pipeline.qc.rule import Rule
    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Block
    from pipeline.records.events import Language
    from pipeline.records.frame import Frame

SNAPSHOT_VERSION = 2
"""Of the bytes that `snapshot` returns."""
DEFAULT_INTERVAL_S = 0.1
"""Interval of readings assumed for an instrument that is not polled: it sizes the windows."""


class QcResult(NamedTuple):
    """What the rules say about a block, and what they now know about rows before it."""

    flag: NDArray[np.uint8]
    """uint8[c, n]: worst verdict of the rules that need no future."""
    reason: NDArray[np.int64]
    """int64[c, n]: bits of the rules that fired."""
    unevaluated: NDArray[np.int64]
    """int64[c, n]: bits of the enabled rules that could not be evaluated, and `WARMING_BIT`."""
    decisions: list[Decision]


class QcEngine:
    """Judges the readings of all instruments, block by block.

    The answer depends on the readings alone, not on how they were cut into blocks. A verdict that is known at
    once stands in the row, "not evaluated" included; only what later readings decide comes as a `Decision`.
    Not safe for use from several threads at a time; `warm` alone may run in another one.

    Args:
        config: instrument to channel to rules; without rules a channel is only looked at for missing values.
        poll_interval_s: instrument to poll interval, seconds. Sizes the windows: they hold readings that come
            up to 1.25 times as fast. `DEFAULT_INTERVAL_S` for an instrument that is not in it.

    Raises:
        ValueError: the windows of a channel would take too much memory.
    """

    def __init__(
        self, config: Mapping[str, Mapping[str, ChannelQc]], poll_interval_s: Mapping[str, float]
    ) -> None:
        """Check the windows; memory is laid out when an instrument's first block shows its layout."""
        self._config = config
        self._intervals_s = poll_interval_s
        for instrument, channels in config.items():
            for name, qc in channels.items():
                try:
                    check_windows(qc, poll_interval_s.get(instrument, DEFAULT_INTERVAL_S))
                except ValueError as error:
                    raise ValueError(f"channel '{name}' of instrument '{instrument}': {error}") from error
        for link, _, what, advice in problems(config, self._interval_s):
            raise ValueError(
                f"channel '{link.channel}' of instrument '{link.instrument}', rule '{link.rule}': "
                f"{what}; {advice}"
            )
        self._crossings = Crossings(config, self._interval_s)
        self._plans: dict[str, Plan] = {}
        self._restored: dict[str, tuple[int, SavedChannels]] = {}
        self._scratch = np.zeros(OUT_DECISIONS, dtype=np.int64)
        self._drive: Callable[..., int] | None = None

    def _interval_s(self, instrument: str) -> float:
        return self._intervals_s.get(instrument, DEFAULT_INTERVAL_S)

    @property
    def ready(self) -> bool:
        """True once `warm` has ended: before that only missing values are found."""
        return self._drive is not None

    def warm(self, compiling: Callable[[], None] = lambda: None) -> None:
        """Compile the kernels or load them from the cache; many seconds when cold. May run in a thread.

        Args:
            compiling: called when they are not in the cache, before they are compiled.
        """
        from pipeline.qc.driver import compile_driver  # noqa: PLC0415 - importing Numba takes half a second
        from pipeline.qc.jit import telling  # noqa: PLC0415

        with telling(compiling):
            self._drive = compile_driver()

    def process(
        self,
        block: Block,
        n_first: int,
        service: str = "in-use",  # noqa: ARG002 - rules are carried on in every service state
    ) -> QcResult:
        """Judge the rows of one block and carry the state on.

        Args:
            block: rows of one instrument, c channels, n rows.
            n_first: ordinal of the first row.
            service: service state of the instrument.
        """
        plan = self._plans.get(block.instrument)
        decisions: list[Decision] = []
        if plan is None or plan.layout is not block.layout:
            plan, decisions = self._adopt(block)
        if self._drive is None:
            return self._warming(plan, block, n_first, decisions)
        channels, rows = block.status.shape
        # Every future rule decides a row once: those of this block, and those that are still pending.
        decisions_max = len(plan.future) * channels * rows + plan.pending_max
        needed = OUT_DECISIONS + DECISION_FIELDS * decisions_max
        if self._scratch.size < needed:
            self._scratch = np.zeros(2 * needed, dtype=np.int64)
        flag = np.empty((channels, rows), dtype=np.uint8)
        masks = np.empty((2, channels, rows), dtype=np.int64)
        count = self._drive(
            block.f8 if plan.plain else block.numeric(), block.status, block.t_run_ns, block.t_utc_ns,
            block.t_response_ns, n_first, plan.floats, plan.ints, flag, masks, self._scratch,
        )  # fmt: skip
        if rows:
            plan.n_last = n_first + rows - 1
        if plan.future:
            decisions += self._decisions(block.instrument, plan, count)
        if self._crossings:
            decisions += self._crossings.take(block, n_first, flag, masks[1])
        return QcResult(flag, masks[0], masks[1], decisions)

    def gap(self, instrument: str, *, duration_known: bool = True) -> list[Decision]:
        """Close what is pending with "not evaluated": polls were left out, neighbours are no neighbours.

        Args:
            instrument: whose stream is interrupted.
            duration_known: False when gateway time does not say how long the interruption was (a downtime
                that no clock vouches for): every rule then starts anew, as after a gap beyond any limit.
        """
        crossed = [] if duration_known else self._crossings.give_up(instrument, time_known=False)
        return crossed + self._interrupt(instrument, duration_known=duration_known)

    def _interrupt(self, instrument: str, *, duration_known: bool) -> list[Decision]:
        """Close what waits for neighbours, and forget what an interruption makes worthless."""
        plan = self._plans.get(instrument)
        if plan is not None:
            pending = plan.forget(future_only=duration_known)
            return self._close(instrument, pending, {rule.name: plan.n_last for rule, _ in plan.future})
        n_last, saved = self._restored.get(instrument, (-1, {}))
        pending = pending_of(saved)
        if saved:
            future = {rule.name for rule in FUTURE}
            kept = {
                channel: {name: one for name, one in rules.items() if duration_known and name not in future}
                for channel, rules in saved.items()
            }
            self._restored[instrument] = n_last, kept
        return self._close(instrument, pending, {row.rule: n_last for row in pending})

    def flush(self, instrument: str) -> list[Decision]:
        """Close what is pending with "not evaluated": the stream ends here."""
        return self._crossings.give_up(instrument, time_known=True) + self.gap(instrument)

    def snapshot(self) -> bytes:
        """Return the state of all rules: another engine that restores it goes on bit for bit."""
        states = dict(self._restored)
        states.update({name: (plan.n_last, plan.save()) for name, plan in self._plans.items()})
        packed: bytes = msgpack.packb([SNAPSHOT_VERSION, states, self._crossings.save()])
        return packed

    def restore(self, state: bytes) -> bool:
        """Take up a snapshot before the first block; a rule that has changed since starts anew by itself.

        Returns:
            False when the bytes cannot be read: every rule then starts anew.
        """
        try:
            version, *content = msgpack.unpackb(state)
            if version != SNAPSHOT_VERSION:
                return False
            states, crossings = content
            restored = {
                name: (int(n_last), {
                    channel: {rule: Saved(str(key), bytes(data)) for rule, (key, data) in rules.items()}
                    for channel, rules in channels.items()
                })
                for name, (n_last, channels) in states.items()
            }  # fmt: skip
            self._crossings.load(crossings)
        except (ValueError, TypeError, AttributeError, msgpack.UnpackException):
            return False
        self._restored = restored
        return True

    def memory_bytes(self) -> int:
        """Return the memory of all parameters, states and windows, in bytes."""
        return sum(plan.ints.nbytes for plan in self._plans.values()) + self._crossings.memory_bytes()

    def explain(
        self, frame: Frame, row: int, channel: str, language: Language, *, decided: Collection[str] = ()
    ) -> list[str]:
        """Say why a reading has its flag, by the rules in force.

        Args:
            frame: the frame that holds the reading.
            row: its position in the frame.
            channel: its channel.
            language: of the answer.
            decided: names of future rules that flagged the reading later.
        """
        qc = self._config.get(frame.block.instrument, {}).get(channel)
        return explain_row(frame, row, channel, qc, language, decided=decided)

    def _adopt(self, block: Block) -> tuple[Plan, list[Decision]]:
        """Lay out memory for a new layout; carry over the state of channels that are the same in it."""
        instrument, old = block.instrument, self._plans.get(block.instrument)
        if old is not None and old.layout == block.layout:
            old.layout = block.layout
            return old, []
        plan = Plan(block.layout, self._config.get(instrument, {}), self._interval_s(instrument))
        if old is not None:
            plan.n_last, saved = old.n_last, old.save()
            plan.decided = old.decided
        else:
            plan.n_last, saved = self._restored.pop(instrument, (-1, {}))
        lost = plan.load(saved)
        self._plans[instrument] = plan
        through = {row.rule: plan.n_last for row in lost}
        for row in plan.pending():
            if row.rule in through:
                through[row.rule] = min(through[row.rule], row.n - 1)
        return plan, self._close(instrument, lost, through)

    def _close(self, instrument: str, rows: Iterable[Pending], through: Mapping[str, int]) -> list[Decision]:
        """Make the decisions that say 2 for `rows`; `through`: rule to the last ordinal that is decided."""
        decisions = []
        channels = self._config.get(instrument, {})
        for name, decided_through_n in through.items():
            mine = sorted((row for row in rows if row.rule == name), key=lambda row: row.n)
            if instrument in self._plans:
                if not mine and self._plans[instrument].decided.get(name) == decided_through_n:
                    continue
                self._plans[instrument].decided[name] = decided_through_n
            settings = [BY_NAME[name].settings_of(channels.get(row.channel)) for row in mine]
            decisions.append(Decision(
                instrument,
                name,
                decided_through_n,
                np.array([row.n for row in mine], dtype=np.int64),
                tuple(row.channel for row in mine),
                np.full(len(mine), Flag.NOT_EVALUATED, dtype=np.uint8),
                np.array([found is not None and found.required for found in settings], dtype=np.bool_),
            ))  # fmt: skip
        return decisions

    def _decisions(self, instrument: str, plan: Plan, count: int) -> list[Decision]:
        """Read the decisions of one call from the scratch."""
        decisions = []
        for rule, slot in plan.future:
            oldest = int(self._scratch[slot])
            through_n = oldest - 2 if oldest else plan.n_last
            listed = self._listed(instrument, plan, rule, through_n, count) if count else None
            if listed is not None:
                decisions.append(listed)
            elif plan.decided.get(rule.name) != through_n:
                decisions.append(
                    Decision(instrument, rule.name, through_n, _NO_N, (), _NO_FLAG, _NO_REQUIRED)
                )
            plan.decided[rule.name] = through_n
        return decisions

    def _listed(self, instrument: str, plan: Plan, rule: Rule, through_n: int, count: int) -> Decision | None:
        """Gather the rows that did not pass one rule; None when all did."""
        written = self._scratch[OUT_DECISIONS : OUT_DECISIONS + DECISION_FIELDS * count]
        bits, positions, n, flags = written.reshape(-1, DECISION_FIELDS).T
        mine = np.flatnonzero(bits == rule.bit)
        if not len(mine):
            return None
        mine = mine[np.lexsort((positions[mine], n[mine]))]
        return Decision(
            instrument,
            rule.name,
            through_n,
            n[mine],
            tuple(plan.names[position] for position in positions[mine]),
            flags[mine].astype(np.uint8),
            (plan.required[positions[mine]] >> rule.bit & 1).astype(np.bool_),
        )

    def _warming(self, plan: Plan, block: Block, n_first: int, decisions: list[Decision]) -> QcResult:
        """Find missing values without the kernels; every other rule says 2.

        The rules will not have seen these rows, so that what they knew of the rows before is forgotten.
        """
        pending = plan.forget(future_only=False)
        plan.n_last = n_first + len(block) - 1 if len(block) else plan.n_last
        through = {rule.name: plan.n_last for rule, _ in plan.future}
        decisions += self._close(block.instrument, pending, through)
        text = np.array([[channel.kind == "text"] for channel in block.layout.channels], dtype=np.bool_)
        missing = (block.status != 0) | (np.isnan(block.numeric()) & ~text.reshape(-1, 1))
        blind: Any = (plan.required & ~MISSING_MASK) != 0
        flag = np.where(blind[:, None], np.uint8(Flag.NOT_EVALUATED), np.uint8(Flag.PASS))
        flag = np.where(missing, np.uint8(Flag.MISSING), flag)
        unevaluated = (plan.enabled & ~MISSING_MASK) | (1 << WARMING_BIT)
        masks = np.repeat(unevaluated[:, None], len(block), axis=1)
        if self._crossings:
            decisions += self._crossings.take(block, n_first, flag, masks)
        return QcResult(flag, np.where(missing, MISSING_MASK, 0), masks, decisions)


_NO_N = np.zeros(0, dtype=np.int64)
_NO_FLAG = np.zeros(0, dtype=np.uint8)
_NO_REQUIRED = np.zeros(0, dtype=np.bool_)
