"""All comparisons of a site: which block concerns which, and what they decide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.qc.crossing.watch import Link, Watch, link_of, rows_held
from pipeline.qc.decision import Decision
from pipeline.qc.settings_patterns import RedundancyQc
from pipeline.qc.table import BY_NAME, CROSSING
from pipeline.records.flags import SEVERITY, Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from pipeline.qc.settings import ChannelQc
    from pipeline.qc.settings_patterns import ScheduleQc
    from pipeline.records.block import Block

    Config = Mapping[str, Mapping[str, ChannelQc]]

ROWS_MAX = 20_000
"""Rows of one stream that may be held for a comparison."""
_NO_FLAGS = np.zeros(0, dtype=np.uint8)


def links(config: Config) -> Iterator[tuple[Link, RedundancyQc | ScheduleQc]]:
    """Go through the comparisons that a configuration asks for."""
    for instrument, channels in config.items():
        for channel, qc in channels.items():
            for rule in CROSSING:
                settings = rule.settings_of(qc)
                if settings is not None and settings.crosses:
                    yield link_of(instrument, channel, rule.name, settings), settings


def problems(config: Config, interval_s: Callable[[str, str], float]) -> Iterator[tuple[Link, str, str, str]]:
    """Find comparisons that cannot work: the link, the key to blame, what is wrong, what to do."""
    yield from _partners_missing(config, interval_s)
    for link, settings in links(config):
        partner = isinstance(settings, RedundancyQc)
        key = "partner" if partner else "setpoint"
        if link.other_instrument not in config:
            yield link, "instrument", f"there is no instrument '{link.other_instrument}'", (
                f"one of: {', '.join(config)}"
            )  # fmt: skip
        elif link.other_channel not in config[link.other_instrument]:
            yield link, key, f"'{link.other_instrument}' has no channel '{link.other_channel}'", (
                f"one of: {', '.join(config[link.other_instrument])}"
            )  # fmt: skip
        elif (link.instrument, link.channel) == (link.other_instrument, link.other_channel):
            yield link, key, "the channel would be compared with itself", "name another channel"
        else:
            yield from _too_slow(
                link,
                settings,
                interval_s(link.instrument, link.channel),
                interval_s(link.other_instrument, link.other_channel),
            )


def _partners_missing(
    config: Config, interval_s: Callable[[str, str], float]
) -> Iterator[tuple[Link, str, str, str]]:
    """Find channels whose partner in the same rows is not in all of these."""
    for instrument, channels in config.items():
        for channel, qc in channels.items():
            settings = qc.redundancy
            if settings is None or settings.crosses or settings.partner not in channels:
                continue
            often_s, own_s = interval_s(instrument, settings.partner), interval_s(instrument, channel)
            if often_s > interval_s(instrument, ""):
                link = Link(instrument, channel, "redundancy", instrument, settings.partner)
                yield link, "partner", (
                    f"'{settings.partner}' is read every {often_s:g} s, so that it is not in every row of "
                    f"'{channel}', read every {own_s:g} s"
                ), f'compare by time: instrument = "{instrument}", with align_tol_s and late_s'  # fmt: skip


def _too_slow(
    link: Link, settings: RedundancyQc | ScheduleQc, interval_s: float, other_s: float
) -> Iterator[tuple[Link, str, str, str]]:
    other = link.other_instrument
    if settings.late_s < other_s and link.instrument != other:
        yield link, "late_s", (
            f"late_s = {settings.late_s:g} s is shorter than the poll interval of '{other}', {other_s:g} s: "
            "most readings could not be judged"
        ), f"write at least {2 * other_s:g}"  # fmt: skip
    if isinstance(settings, RedundancyQc) and 2 * settings.align_tol_s < other_s:
        yield link, "align_tol_s", (
            f"align_tol_s = {settings.align_tol_s:g} s reaches too few readings of '{other}', "
            f"which is polled every {other_s:g} s"
        ), f"write at least {other_s:g}"  # fmt: skip
    rows = max(rows_held(settings, interval_s), rows_held(settings, other_s))
    if rows > ROWS_MAX:
        yield link, "late_s", (
            f"{rows} rows would have to be held, more than {ROWS_MAX}"
        ), "shorten late_s and the other durations of the table, or poll less often"  # fmt: skip


class Crossings:
    """The comparisons of a site.

    Verdicts come as `Decision`s of the instrument whose reading was judged, whichever block brought them.

    Args:
        config: instrument to channel to rules.
        interval_s: interval between readings of an instrument's channel, seconds.
    """

    def __init__(self, config: Config, interval_s: Callable[[str, str], float]) -> None:
        """Make a watch for each comparison."""
        self._watches = [
            Watch(
                link,
                settings,
                interval_s(link.instrument, link.channel),
                interval_s(link.other_instrument, link.other_channel),
            )
            for link, settings in links(config)
        ]
        self._lost: list[tuple[Link, NDArray[np.int64]]] = []
        """Readings that waited in a snapshot for a rule that is another now."""
        self._n_last: dict[str, int] = {}
        self._decided: dict[tuple[str, str], int] = {}

    def __bool__(self) -> bool:
        """Whether there is anything to compare."""
        return bool(self._watches or self._lost)

    def take(
        self, block: Block, n_first: int, flag: NDArray[np.uint8], unevaluated: NDArray[np.int64]
    ) -> list[Decision]:
        """See the rows of a block; enter into `flag` and `unevaluated` [c, n] what can never be judged.

        A long block is taken in pieces, so that what it says does not depend on where the stream was cut.
        """
        concerned = [
            watch
            for watch in self._watches
            if block.instrument in {watch.link.instrument, watch.link.other_instrument}
        ]
        step = min((watch.rows_max for watch in concerned), default=len(block)) or 1
        return [
            decision
            for start in range(0, len(block), step)
            for decision in self._take(
                block.rows(start, start + step),
                n_first + start,
                flag[:, start : start + step],
                unevaluated[:, start : start + step],
                concerned,
            )
        ]

    def _take(
        self, block: Block, n_first: int, flag: NDArray[np.uint8], unevaluated: NDArray[np.int64],
        concerned: list[Watch],
    ) -> list[Decision]:  # fmt: skip
        self._n_last[block.instrument] = n_first + len(block) - 1
        for watch in concerned:
            # A row that was not asked for the other channel says nothing of it.
            if (
                watch.link.other_instrument == block.instrument
                and watch.link.other_channel in block.layout.index
            ):
                watch.take_other(block)
            if watch.link.instrument == block.instrument and watch.link.channel in block.layout.index:
                position = block.layout.index[watch.link.channel]
                blind = watch.take(block, n_first)
                unevaluated[position, blind] |= 1 << BY_NAME[watch.link.rule].bit
                if watch.required:
                    better = SEVERITY[flag[position]] < SEVERITY[Flag.NOT_EVALUATED]
                    flag[position, blind & better] = Flag.NOT_EVALUATED
        found = [(watch.link, *watch.decide()) for watch in concerned]
        return self._decisions(found, {watch.link.instrument for watch in concerned} | {block.instrument})

    def give_up(self, instrument: str, *, time_known: bool) -> list[Decision]:
        """Close with 2 what waits on an instrument whose stream ends, or whose past is nobody knows when."""
        found = []
        for watch in self._watches:
            if watch.link.instrument == instrument:
                found.append((watch.link, *_unevaluated(watch.give_up())))
            if watch.link.other_instrument == instrument and not time_known:
                watch.clear_other()
        return self._decisions(found, {instrument})

    def _decisions(
        self, found: Iterable[tuple[Link, NDArray[np.int64], NDArray[np.uint8]]], instruments: Iterable[str]
    ) -> list[Decision]:
        lost = [(link, *_unevaluated(n)) for link, n in self._lost if link.instrument in set(instruments)]
        self._lost = [(link, n) for link, n in self._lost if link.instrument not in set(instruments)]
        told = [*lost, *found]
        pairs = sorted({(link.instrument, link.rule) for link, _, _ in told})
        decisions = [
            self._decision(*pair, [one for one in told if (one[0].instrument, one[0].rule) == pair])
            for pair in pairs
        ]
        return [decision for decision in decisions if decision is not None]

    def _decision(
        self, instrument: str, rule: str, told: list[tuple[Link, NDArray[np.int64], NDArray[np.uint8]]]
    ) -> Decision | None:
        waiting = [
            watch.first_waiting
            for watch in self._watches
            if (watch.link.instrument, watch.link.rule) == (instrument, rule)
        ]
        through = min((n - 1 for n in waiting if n is not None), default=self._n_last.get(instrument, -1))
        n = np.concatenate([one for _, one, _ in told])
        if not len(n) and self._decided.get((instrument, rule)) == through:
            return None
        self._decided[instrument, rule] = through
        required = {watch.link: watch.required for watch in self._watches}
        rows = sorted(
            (int(row), link.channel, int(flag), required.get(link, False))
            for link, rows, flags in told
            for row, flag in zip(rows, flags, strict=True)
        )
        return Decision(
            instrument, rule, through,
            np.array([row[0] for row in rows], dtype=np.int64),
            tuple(row[1] for row in rows),
            np.array([row[2] for row in rows], dtype=np.uint8),
            np.array([row[3] for row in rows], dtype=np.bool_),
        )  # fmt: skip

    def memory_bytes(self) -> int:
        """Return the most memory that the held rows may take, in bytes."""
        return sum(watch.memory_bytes() for watch in self._watches)

    def save(self) -> list[Any]:
        """State for a snapshot."""
        return [self._n_last, [watch.save() for watch in self._watches]]

    def load(self, saved: list[Any]) -> None:
        """Take up what `save` gave; what waited for a rule that is another now is closed with 2."""
        self._n_last, states = dict(saved[0]), saved[1]
        by_key = {watch.key: watch for watch in self._watches}
        for state in states:
            watch = by_key.get(state[5])
            if watch is None:
                self._lost.append((Link(*state[:5]), np.frombuffer(state[7][0], dtype="<i8")))
            else:
                watch.load(state)


def _unevaluated(n: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    return n, np.full(len(n), Flag.NOT_EVALUATED, dtype=np.uint8) if len(n) else _NO_FLAGS
