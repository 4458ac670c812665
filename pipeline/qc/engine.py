"""The streaming engine: blocks in, flags out, state carried between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np

from pipeline.qc.crossing import Crossings, problems
from pipeline.qc.decision import Decision
from pipeline.qc.explain import explain_row
from pipeline.qc.memory import ABSENT_STATUS, DECISION_FIELDS, OUT_DECISIONS, WARMING_BIT
from pipeline.qc.plan import Pending, Plan, Saved, SavedChannels, pending_of
from pipeline.qc.table import BY_NAME, FUTURE, MISSING_MASK, check_windows
from pipeline.records.block import Layout
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
        poll_interval_s: instrument to poll interval, seconds, and `instrument.channel` to that of a channel
            that is read more rarely. Sizes the windows: they hold readings that come up to 1.25 times as
            fast. `DEFAULT_INTERVAL_S` for an instrument that is not in it.

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
                    check_windows(qc, self._interval_s(instrument, name))
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

    def _interval_s(self, instrument: str, channel: str = "") -> float:
        own = self._intervals_s.get(f"{instrument}.{channel}") if channel else None
        return self._intervals_s.get(instrument, DEFAULT_INTERVAL_S) if own is None else own

    def _is_rare(self, instrument: str, channel: str) -> bool:
        """Tell whether a channel is missing in some rows of its instrument."""
        return f"{instrument}.{channel}" in self._intervals_s

    @property
    def ready(self) -> bool:
        """True once `warm` has ended: before that only missing values are found."""
        return self._drive is not None

    def warm(self) -> None:
        """Compile the kernels or load them from the cache; seconds when cold. May run in a thread."""
        from pipeline.qc.driver import compile_driver  # noqa: PLC0415 - importing Numba takes half a second

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
        places = plan.places(block.layout)
        values, status = _cells(plan, block, places)
        channels, rows = status.shape
        self._make_room(plan, channels * rows)
        flag = np.empty((channels, rows), dtype=np.uint8)
        masks = np.empty((2, channels, rows), dtype=np.int64)
        count = self._drive(
            values, status, block.t_run_ns, block.t_utc_ns, block.t_response_ns, n_first, plan.floats,
            plan.ints, flag, masks, self._scratch,
        )  # fmt: skip
        if places is not None:
            flag, masks = flag[places], masks[:, places]
        if rows:
            plan.n_last = n_first + rows - 1
        if plan.future:
            decisions += self._decisions(block.instrument, plan, count)
        if self._crossings:
            decisions += self._crossings.take(block, n_first, flag, masks[1])
        return QcResult(flag, masks[0], masks[1], decisions)

    def _make_room(self, plan: Plan, cells: int) -> None:
        """Make the scratch large enough for one call."""
        # Every future rule decides a row once: those of this block, and those that are still pending.
        decisions_max = len(plan.future) * cells + plan.pending_max
        needed = OUT_DECISIONS + DECISION_FIELDS * decisions_max
        if self._scratch.size < needed:
            self._scratch = np.zeros(2 * needed, dtype=np.int64)

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
        n_last, saved = self._restored.get(instrument, (-1, {}))
        forgotten: list[Pending] = []
        if plan is not None:
            forgotten, n_last = plan.forget(future_only=duration_known), plan.n_last
        pending = pending_of(saved)
        if saved:
            future = {rule.name for rule in FUTURE}
            kept = {
                channel: {name: one for name, one in rules.items() if duration_known and name not in future}
                for channel, rules in saved.items()
            }
            self._restored[instrument] = n_last, kept
        rules = {rule.name for rule, _ in plan.future} if plan is not None else set[str]()
        through = dict.fromkeys([*sorted(rules), *(row.rule for row in pending)], n_last)
        return self._close(instrument, [*forgotten, *pending], through)

    def flush(self, instrument: str) -> list[Decision]:
        """Close what is pending with "not evaluated": the stream ends here."""
        return self._crossings.give_up(instrument, time_known=True) + self.gap(instrument)

    def snapshot(self) -> bytes:
        """Return the state of all rules: another engine that restores it goes on bit for bit."""
        states = dict(self._restored)
        for name, plan in self._plans.items():
            rest = states[name][1] if name in states else {}
            states[name] = plan.n_last, {**rest, **plan.save()}
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
        """Lay out memory for a new layout; carry over the state of channels that are the same in it.

        A row without the channels that are read more rarely, or with those alone that are due, changes
        nothing: the layout that counts is that of all of them together.
        """
        instrument, old = block.instrument, self._plans.get(block.instrument)
        if old is not None and old.layout == block.layout:
            old.layout = block.layout
            return old, []
        if old is not None and _holds(old, block.layout):
            return old, []
        layout = block.layout if old is None else _united(old.layout, block.layout)
        plan = Plan(layout, self._config.get(instrument, {}), self._interval_s(instrument))
        plan.n_last, saved = self._restored.pop(instrument, (-1, {}))
        if old is not None:
            plan.n_last, saved = old.n_last, {**saved, **old.save()}
            plan.decided = old.decided
        later = {
            name: rules
            for name, rules in saved.items()
            if name not in layout.index and self._is_rare(instrument, name)
        }
        if later:
            self._restored[instrument] = plan.n_last, later
        lost = plan.load({name: rules for name, rules in saved.items() if name not in later})
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
        # Rows of channels that are due later, from before the restart, are still pending.
        later = pending_of(self._restored[instrument][1]) if instrument in self._restored else []
        for rule, slot in plan.future:
            oldest = int(self._scratch[slot])
            through_n = oldest - 2 if oldest else plan.n_last
            through_n = min([through_n, *(row.n - 1 for row in later if row.rule == rule.name)])
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
        places = plan.places(block.layout)
        enabled, required = plan.enabled, plan.required
        if places is not None:
            enabled, required = enabled[places], required[places]
        blind: Any = (required & ~MISSING_MASK) != 0
        flag = np.where(blind[:, None], np.uint8(Flag.NOT_EVALUATED), np.uint8(Flag.PASS))
        flag = np.where(missing, np.uint8(Flag.MISSING), flag)
        unevaluated = (enabled & ~MISSING_MASK) | (1 << WARMING_BIT)
        masks = np.repeat(unevaluated[:, None], len(block), axis=1)
        if self._crossings:
            decisions += self._crossings.take(block, n_first, flag, masks)
        return QcResult(flag, np.where(missing, MISSING_MASK, 0), masks, decisions)


def _holds(plan: Plan, layout: Layout) -> bool:
    """Tell whether a row's channels are some of a plan's, which are read more or less often."""
    if not _is_uneven(plan.layout):
        return False
    try:
        plan.places(layout)
    except KeyError:
        return False
    return True


def _is_uneven(layout: Layout) -> bool:
    return any(channel.every > 1 for channel in layout.channels)


def _united(old: Layout, new: Layout) -> Layout:
    """Return the channels of two layouts of one instrument; the new one's where both have one."""
    if not (_is_uneven(old) or _is_uneven(new)):
        return new
    kept = tuple(new.channels[new.index[c.name]] if c.name in new.index else c for c in old.channels)
    united = (*kept, *(channel for channel in new.channels if channel.name not in old.index))
    return new if united == new.channels else Layout(united)


def _cells(
    plan: Plan, block: Block, places: NDArray[np.intp] | None
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """Give values and status of all channels of a plan; those that the rows do not have are absent."""
    if places is None:
        return block.f8 if plan.plain else block.numeric(), block.status
    wide = np.full((len(plan.names), len(block)), np.nan)
    wide_status = np.full(wide.shape, ABSENT_STATUS, dtype=np.uint8)
    wide[places], wide_status[places] = block.numeric(), block.status
    return wide, wide_status


_NO_N = np.zeros(0, dtype=np.int64)
_NO_FLAG = np.zeros(0, dtype=np.uint8)
_NO_REQUIRED = np.zeros(0, dtype=np.bool_)
