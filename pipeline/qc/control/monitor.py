"""The control rules over observations as they come: arrays in, flags and reasons out, history carried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
import numpy as np

from pipeline.qc.control import layout
from pipeline.qc.control.settings import MultiruleQc
from pipeline.qc.control.table import RULES, SCOPES, mask_of, names_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from pipeline.qc.control.charts import Chart
    from pipeline.qc.control.table import Scope

CHARTS_MAX = 1000
"""Charts of one monitor, 250 bytes each."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of n observations."""

    flag: NDArray[np.uint8]
    """QARTOD flag [n]: a rule that warns makes it suspect, one that rejects fail."""
    reason: NDArray[np.int64]
    """Rules that fired, by scope in the order of `SCOPES` [3, n]; bits of the control rules' own table."""
    unevaluated: NDArray[np.int64]
    """Rules that are on and had too few observations [3, n]."""
    z: NDArray[np.float64]
    """Distance from the centre line in SD [n], NaN where the observation is missing."""
    missing_before: NDArray[np.int64]
    """Missing observations of the chart between this one and its previous valid one [n]."""

    def fired(self, k: int) -> list[tuple[str, Scope]]:
        """List the rules that observation `k` completed, with the scope in which it did."""
        return [
            (name, scope)
            for row, scope in enumerate(SCOPES)
            for name in names_of(int(self.reason[row, k]))
        ]  # fmt: skip


class ControlMonitor:
    """Judges the control samples of one method on one instrument.

    Observations come in the order in which they were measured, those of one run together; a run number that
    comes back after another one is a new run. A chart in a new version starts with an empty history. Not
    thread-safe. Memory: 250 bytes for each chart, whatever the number of observations.
    """

    def __init__(self, charts: Sequence[Chart], settings: MultiruleQc | None = None) -> None:
        """Take the charts; observations refer to them by position.

        Raises:
            ValueError: there is none or too many, one is not approved, or two have the same id.
        """
        if not 0 < len(charts) <= CHARTS_MAX:
            raise ValueError(f"a monitor has 1 to {CHARTS_MAX} charts, not {len(charts)}")
        proposed = [chart for chart in charts if chart.status != "approved"]
        if proposed:
            raise ValueError(f"version {proposed[0].version} of {proposed[0].id} is not approved yet")
        if len({chart.id for chart in charts}) != len(charts):
            raise ValueError("two charts have the same id: give the version in force of each")
        self.charts = tuple(charts)
        self.settings = MultiruleQc() if settings is None else settings
        self._lines = np.array([_line_row(chart) for chart in charts])
        self._words = np.zeros((len(charts) + 2, layout.WORDS), np.int64)
        self._numbers = np.zeros((len(charts) + 2, layout.NUMBERS))
        self._empty()
        self._options = _options(self.settings)
        from pipeline.qc.control.kernel import compiled_judge  # noqa: PLC0415 - not every role may load Numba

        self._judge = compiled_judge()

    def judge(self, values: ArrayLike, charts: ArrayLike, runs: ArrayLike) -> Judged:
        """Judge observations in order.

        Args:
            values: float64 [n] in the unit of their charts; NaN is missing.
            charts: position of each one's chart [n].
            runs: number of the run (batch) that each belongs to [n], 0 or more.

        Raises:
            ValueError: lengths differ, a chart is not there, or a run is negative.
        """
        x, c, r = _column(values, np.float64), _column(charts, np.int64), _column(runs, np.int64)
        n = len(x)
        if not len(c) == len(r) == n:
            raise ValueError(f"{n} values, {len(c)} charts and {len(r)} runs: give as many of each")
        if n and (c.min() < 0 or c.max() >= len(self.charts)):
            raise ValueError(f"positions of charts lie between 0 and {len(self.charts) - 1}")
        if n and r.min() < 0:
            raise ValueError("runs are numbered from 0")
        flag, z, missing = np.empty(n, np.uint8), np.empty(n), np.empty(n, np.int64)
        masks = np.empty((2, len(SCOPES), n), np.int64)
        self._judge(
            x, c, r, self._lines, self._words, self._numbers, self._options, flag, masks, z, missing
        )  # fmt: skip
        return Judged(flag, masks[0], masks[1], z, missing)

    def missing(self) -> tuple[int, ...]:
        """Return how many observations of each chart's version were missing."""
        return tuple(int(count) for count in self._words[: len(self.charts), layout.MISSING_TOTAL])

    def snapshot(self) -> bytes:
        """Return the history as bytes; rules and settings are not part of it."""
        return _packed({
            "version": layout.VERSION,
            "charts": [list(_name(chart)) for chart in self.charts],
            "words": self._words.astype("<i8").tobytes(),
            "numbers": self._numbers.astype("<f8").tobytes(),
        })  # fmt: skip

    def restore(self, state: bytes) -> tuple[Chart, ...]:
        """Take up the history that `snapshot` saved; return the charts that start with an empty one.

        A chart that is not there, or in another version, starts anew, and with it the run at hand and the
        history across materials. A snapshot of another layout restores nothing.

        Raises:
            ValueError: the bytes are not a snapshot.
        """
        try:
            saved = msgpack.unpackb(state)
            if saved["version"] != layout.VERSION:
                return self.charts
            names = [tuple(name) for name in saved["charts"]]
            words = np.frombuffer(saved["words"], "<i8").reshape(len(names) + 2, layout.WORDS)
            numbers = np.frombuffer(saved["numbers"], "<f8").reshape(len(names) + 2, layout.NUMBERS)
            last = [names[stream[layout.LAST_CHART]] for stream in words[-2:]]
        except (IndexError, KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
            raise ValueError(f"not a snapshot of control rules: {error!r}") from error
        own = [_name(chart) for chart in self.charts]
        self._empty()
        if set(names) == set(own):
            self._words[-2:], self._numbers[-2:] = words[-2:], numbers[-2:]
            self._words[-2:, layout.LAST_CHART] = [own.index(name) for name in last]
        self._take(own, names, words, numbers)
        return tuple(chart for chart, name in zip(self.charts, own, strict=True) if name not in names)

    def _take(
        self, own: list[Any], names: list[Any], words: NDArray[np.int64], numbers: NDArray[np.float64]
    ) -> None:
        for position, name in enumerate(own):
            if name in names:
                saved = names.index(name)
                self._words[position], self._numbers[position] = words[saved], numbers[saved]
                self._words[position, layout.LAST_CHART] = position

    def _empty(self) -> None:
        self._words[:], self._numbers[:] = 0, 0
        self._words[:-2, layout.LAST_CHART] = range(len(self.charts))


def _column(values: ArrayLike, kind: Any) -> NDArray[Any]:
    column = np.ascontiguousarray(values)
    if column.ndim != 1:
        raise ValueError("values, charts and runs are columns of one dimension")
    if kind is np.int64 and column.size and column.dtype.kind not in "iu":
        raise ValueError("charts and runs are whole numbers")
    return column.astype(kind, copy=False)


def _line_row(chart: Chart) -> list[float]:
    lines = chart.lines()
    return [
        chart.centre, chart.sd, lines.low_3, lines.low_2, lines.low_1, lines.high_1, lines.high_2,
        lines.high_3,
    ]  # fmt: skip


def _options(settings: MultiruleQc) -> NDArray[np.int64]:
    options = np.zeros(layout.OPTIONS, np.int64)
    options[layout.WARN] = mask_of(settings.warn)
    options[layout.REJECT] = mask_of(settings.reject)
    options[layout.REQUIRED] = mask_of(settings.required)
    options[layout.RANGE] = settings.r_4s == "range"
    options[layout.ENABLED : layout.ENABLED + len(SCOPES)] = settings.masks()
    for count in range(layout.COUNT_MAX + 1):
        short = mask_of(tuple(rule.name for rule in RULES if rule.points > count))
        options[layout.TOO_SHORT + count] = short
    return options


def _name(chart: Chart) -> tuple[str | int, ...]:
    return chart.id.quantity, chart.id.material, chart.id.level, chart.version, chart.lot


def _packed(state: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(state)
    return packed
