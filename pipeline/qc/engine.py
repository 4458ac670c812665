"""The streaming engine: blocks in, flags out, state carried between blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import numpy as np

from pipeline.qc.crossing import Crossings, problems
from pipeline.qc.decision import Decision, QcResult
from pipeline.qc.explain import explain_row
from pipeline.qc.kept import Kept, Pending
from pipeline.qc.memory import DECISION_FIELDS, OUT_DECISIONS, WARMING_BIT
from pipeline.qc.plan import Plan
from pipeline.qc.table import BY_NAME, MISSING_MASK, check_windows
from pipeline.qc.uneven import is_uneven, united, widened
from pipeline.records.block import Layout
from pipeline.records.flags import Flag
from pipeline.records.pieces import Pieces, binary_head

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from pipeline.qc.rule import Rule
    from pipeline.qc.settings import ChannelQc
    from pipeline.records.block import Block, Channel
    from pipeline.records.events import Language
    from pipeline.records.frame import Frame

SNAPSHOT_VERSION = 4
"""Of the bytes that `snapshot` returns."""
DEFAULT_INTERVAL_S = 0.1
"""Interval of readings assumed for an instrument that is not polled: it sizes the windows."""


class _Restored(NamedTuple):
    """What an instrument's rules knew before the restart, until its first block."""

    n_last: int
    """Ordinal of the last row."""
    uneven: tuple[Channel, ...]
    """All channels of an instrument of which some are read more rarely; else none."""
    kept: Kept


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
        self._compares = bool(self._crossings)
        self._plans: dict[str, Plan] = {}
        self._restored: dict[str, _Restored] = {}
        self._scratch = np.zeros(OUT_DECISIONS, dtype=np.int64)
        self._told = self._scratch.data
        """The scratch, read slot by slot: three times as fast as from the array."""
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
        """Load the kernels from the cache; many seconds where they must be compiled. May run in a thread.

        `pipeline.compiled.compiling.WarmUp` tells how it goes.
        """
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
        values, status = block.f8 if plan.plain else block.numeric(), block.status
        if plan.layout is block.layout:
            flag, masks = self._judge(plan, values, status, block, n_first, decisions)
        else:
            places = plan.places(block.layout)
            wide = widened(len(plan.layout.channels), places, values, status)
            flag, masks = self._judge(plan, *wide, block, n_first, decisions)
            flag, masks = flag[places], masks[:, places]
        reason, unevaluated = masks[0], masks[1]  # iterating takes three times as long
        if self._compares:
            decisions += self._crossings.take(block, n_first, flag, unevaluated)
        return QcResult(flag, reason, unevaluated, decisions)

    def _judge(
        self, plan: Plan, values: NDArray[np.float64], status: NDArray[np.uint8], block: Block, n_first: int,
        decisions: list[Decision],
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:  # fmt: skip
        """Let the driver judge the rows of all channels of a plan; adds to `decisions`.

        Returns:
            Flags, uint8[c, n]; reasons and what could not be evaluated, int64[2, c, n].
        """
        if plan.kept.held:
            plan.kept.keep()
        shape = status.shape
        if shape != plan.shape:
            self._make_room(plan, shape)
        flag, masks = _empty(plan.shape, _FLAGS), _empty(plan.masks_shape, _MASKS)
        count = self._drive(  # type: ignore[misc]  # the caller has seen that it is there
            values, status, block.t_run_ns, block.t_utc_ns, block.t_response_ns, n_first, plan.memory, flag,
            masks, self._scratch,
        )  # fmt: skip
        if count < 0:
            raise ValueError(f"a block of '{block.instrument}' has arrays that are not C-contiguous")
        if shape[1]:
            plan.n_last = n_first + shape[1] - 1
        if plan.future:
            self._decide(block.instrument, plan, count, decisions)
        return flag, masks

    def _make_room(self, plan: Plan, shape: tuple[int, ...]) -> None:
        """Prepare for blocks of a number of channels and rows."""
        channels, rows = shape
        plan.shape, plan.masks_shape = shape, (2, channels, rows)
        # Every future rule decides a row once: those of this block, and those that are still pending.
        decisions_max = len(plan.future) * channels * rows + plan.pending_max
        needed = OUT_DECISIONS + DECISION_FIELDS * decisions_max
        if self._scratch.size < needed:
            self._scratch = np.zeros(2 * needed, dtype=np.int64)
            self._told = self._scratch.data

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
            pending = plan.kept.forget(future_only=duration_known)
            return self._close(instrument, pending, {rule.name: plan.n_last for rule, _ in plan.future})
        if instrument not in self._restored:
            return []
        restored = self._restored[instrument]
        pending = restored.kept.forget(future_only=duration_known)
        return self._close(instrument, pending, {row.rule: restored.n_last for row in pending})

    def flush(self, instrument: str) -> list[Decision]:
        """Close what is pending with "not evaluated": the stream ends here."""
        return self._crossings.give_up(instrument, time_known=True) + self.gap(instrument)

    def snapshot(self) -> Pieces:
        """Return the state of all rules: another engine that restores it goes on bit for bit.

        The state of this moment; that of an instrument is copied when its piece is taken, or when its next
        block comes first. Nothing else is copied, so that the largest piece is that of one instrument.
        """
        states = self._restored | {
            name: _Restored(plan.n_last, plan.layout.channels if plan.uneven else (), plan.kept)
            for name, plan in self._plans.items()
        }
        head = msgpack.Packer()
        parts = [head.pack_array_header(3) + msgpack.packb(SNAPSHOT_VERSION)]
        parts.append(head.pack_map_header(len(states)))
        for instrument, (n_last, uneven, kept) in states.items():
            about = msgpack.packb(instrument) + head.pack_array_header(4) + msgpack.packb(n_last)
            held = kept.hold()
            layout = msgpack.packb(Layout(uneven).packed)
            parts += [about, layout, msgpack.packb(kept.index), binary_head(held.nbytes), held]
        return Pieces([*parts, msgpack.packb(self._crossings.save())])

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
                name: _Restored(
                    int(n_last),
                    Layout.unpacked(uneven).channels,
                    Kept(bytes(index), np.frombuffer(slots, dtype="<i8").copy()),
                )
                for name, (n_last, uneven, index, slots) in states.items()
            }
            for one in restored.values():
                one.kept.pending()  # reads all of the index: what does not fit is found here, not at a block
            self._crossings.load(crossings)
        except (ValueError, TypeError, AttributeError, LookupError, msgpack.UnpackException):
            return False
        self._restored, self._compares = restored, bool(self._crossings)
        return True

    def memory_bytes(self) -> int:
        """Return the memory of all parameters, states and windows, in bytes."""
        return sum(plan.memory.nbytes for plan in self._plans.values()) + self._crossings.memory_bytes()

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
        if old is not None:
            if old.layout == block.layout:
                old.layout = block.layout
            if old.layout is block.layout or (old.uneven and old.has(block.layout)):
                return old, []
        restored = None if old is not None else self._restored.pop(instrument, None)
        before: tuple[Channel, ...] = ()
        if old is not None and (old.uneven or is_uneven(block.layout)):
            before = old.layout.channels
        elif restored is not None:
            before = tuple(one for one in restored.uneven if self._is_rare(instrument, one.name))
        layout = united(before, block.layout)
        plan = Plan(layout, self._config.get(instrument, {}), self._interval_s(instrument))
        saved = None
        if old is not None:
            plan.n_last, plan.decided, saved = old.n_last, old.decided, old.kept
        elif restored is not None:
            plan.n_last, saved = restored.n_last, restored.kept
        lost = [] if saved is None else plan.kept.load(saved)
        self._plans[instrument] = plan
        through = {row.rule: plan.n_last for row in lost}
        for row in plan.kept.pending() if lost else ():
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

    def _decide(self, instrument: str, plan: Plan, count: int, decisions: list[Decision]) -> None:
        """Add the decisions of one call, from the scratch."""
        for rule, slot in plan.future:
            oldest = self._told[slot]
            through_n = oldest - 2 if oldest else plan.n_last
            listed = self._listed(instrument, plan, rule, through_n, count) if count else None
            if listed is not None:
                decisions.append(listed)
            elif plan.decided.get(rule.name) != through_n:
                decisions.append(
                    Decision(instrument, rule.name, through_n, _NO_N, (), _NO_FLAG, _NO_REQUIRED)
                )
            plan.decided[rule.name] = through_n

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
            tuple(plan.layout.channels[position].name for position in positions[mine]),
            flags[mine].astype(np.uint8),
            (plan.required[positions[mine]] >> rule.bit & 1).astype(np.bool_),
        )

    def _warming(self, plan: Plan, block: Block, n_first: int, decisions: list[Decision]) -> QcResult:
        """Find missing values without the kernels; every other rule says 2.

        The rules will not have seen these rows, so that what they knew of the rows before is forgotten.
        """
        pending = plan.kept.forget(future_only=False)
        plan.n_last = n_first + len(block) - 1 if len(block) else plan.n_last
        through = {rule.name: plan.n_last for rule, _ in plan.future}
        decisions += self._close(block.instrument, pending, through)
        text = np.array([[channel.kind == "text"] for channel in block.layout.channels], dtype=np.bool_)
        missing = (block.status != 0) | (np.isnan(block.numeric()) & ~text.reshape(-1, 1))
        enabled, required = plan.enabled, plan.required
        if plan.layout is not block.layout:
            places = plan.places(block.layout)
            enabled, required = enabled[places], required[places]
        blind: Any = (required & ~MISSING_MASK) != 0
        flag = np.where(blind[:, None], np.uint8(Flag.NOT_EVALUATED), np.uint8(Flag.PASS))
        flag = np.where(missing, np.uint8(Flag.MISSING), flag)
        unevaluated = (enabled & ~MISSING_MASK) | (1 << WARMING_BIT)
        masks = np.repeat(unevaluated[:, None], len(block), axis=1)
        if self._crossings:
            decisions += self._crossings.take(block, n_first, flag, masks)
        return QcResult(flag, np.where(missing, MISSING_MASK, 0), masks, decisions)


_empty = np.empty
_FLAGS, _MASKS = np.dtype(np.uint8), np.dtype(np.int64)
_NO_N = np.zeros(0, dtype=np.int64)
_NO_FLAG = np.zeros(0, dtype=np.uint8)
_NO_REQUIRED = np.zeros(0, dtype=np.bool_)
