"""Judging a file: flags for every row, and how many each rule gave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.qc.files.csv_file import Columns, csv_header, read_csv, write_csv
from pipeline.qc.files.evaluation import evaluate
from pipeline.qc.files.parquet_file import parquet_header, read_parquet, write_table
from pipeline.qc.table import BY_NAME, MISSING_MASK, RULES
from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from pipeline.qc.files.readings import Progress, Readings, Wanted
    from pipeline.qc.settings import ChannelQc

ALL_RULES = "all rules"


class Judged(NamedTuple):
    """Flags of the rows of a file, as they stand there."""

    channels: tuple[str, ...]
    flag: NDArray[np.uint8]
    """uint8[c, n]"""
    reason: NDArray[np.int64]
    """int64[c, n]"""
    by_rule: dict[str, dict[str, NDArray[np.uint8]]]
    """Channel to rule to the rule's own flags of the rows with a time, uint8[m]."""

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Count channel -> rule -> flag name; `ALL_RULES` counts the final flags of all rows."""
        return {
            channel: {name: count_flags(flags) for name, flags in self.by_rule[channel].items()}
            | {ALL_RULES: count_flags(self.flag[position])}
            for position, channel in enumerate(self.channels)
        }

    @property
    def findings(self) -> int:
        """Number of readings that are suspect, failed or missing."""
        return int(np.isin(self.flag, (Flag.SUSPECT, Flag.FAIL, Flag.MISSING)).sum())


def count_flags(flags: NDArray[np.uint8]) -> dict[str, int]:
    """Count each flag by name."""
    counts = np.bincount(flags, minlength=Flag.MISSING + 1)
    return {flag.name.lower(): int(counts[flag]) for flag in Flag}


def columns_of(path: Path, encoding: str) -> tuple[str, ...]:
    """Read only the names of the columns. Raises FileUnusableError, OSError."""
    return parquet_header(path) if path.suffix.lower() == ".parquet" else csv_header(path, encoding)


def read_readings(path: Path, wanted: Wanted, progress: Progress | None = None) -> Readings:
    """Read a file of readings by its suffix. Raises FileUnusableError, OSError."""
    if path.suffix.lower() == ".parquet":
        return read_parquet(path, wanted)
    return read_csv(path, wanted, progress)


def judge(readings: Readings, rules: Mapping[str, ChannelQc], interval_s: float | None = None) -> Judged:
    """Judge the channels of a file.

    A row without a time is missing in all channels and no neighbour to any other row.

    Args:
        readings: what was read; its channels all have rules.
        rules: column to its rules.
        interval_s: interval between readings, seconds; the data's own when None.

    Raises:
        ValueError: windows would take too much memory.
    """
    shape, timed = readings.values.shape, readings.timed
    flag = np.full(shape, Flag.MISSING, dtype=np.uint8)
    reason = np.full(shape, MISSING_MASK, dtype=np.int64)
    sets = [rules[name] for name in readings.channels]
    found = evaluate(
        readings.t_ns[timed], readings.values[:, timed], sets,
        per_rule=True, interval_s=interval_s, names=readings.channels,
    )  # fmt: skip
    flag[:, timed], reason[:, timed] = found.flag, found.reason
    each = found.by_rule or {}
    own = {
        channel: {name: flags[k] for name, flags in each.items() if _is_on(name, sets[k])}
        for k, channel in enumerate(readings.channels)
    }
    return Judged(readings.channels, flag, reason, own)


def _is_on(name: str, qc: ChannelQc) -> bool:
    rule = BY_NAME[name]
    if not rule.table:
        return True
    settings: Any = rule.settings_of(qc)
    return settings is not None and rule.encode(settings, 1.0) is not None


def reason_texts(reason: NDArray[np.int64]) -> dict[int, str]:
    """Name the rules of each mask that occurs, parted by blanks."""
    return {
        mask: " ".join(rule.name for rule in RULES if mask >> rule.bit & 1)
        for mask in np.unique(reason).tolist()
    }


def write_flagged(target: Path, readings: Readings, judged: Judged, encoding: str) -> None:
    """Write the file again with `<channel>.flag` and `<channel>.reason` for each channel.

    Delimited text keeps the text of its rows. A file that is there is replaced when the new one is whole.

    Raises:
        FileUnusableError: pyarrow is needed and not installed.
        OSError: it cannot be written.
    """
    columns = [
        Columns(channel, judged.flag[k], (judged.reason[k], reason_texts(judged.reason[k])))
        for k, channel in enumerate(judged.channels)
    ]
    part, parquet = target.with_name(target.name + ".part"), target.suffix.lower() == ".parquet"
    try:
        if parquet or readings.path.suffix.lower() == ".parquet":
            write_table(part, readings, columns, as_parquet=parquet)
        else:
            write_csv(readings.path, part, columns, encoding)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
