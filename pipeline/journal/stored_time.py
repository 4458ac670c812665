"""Stored times: under which time a store keeps each reading, decided before the record is appended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.records.frame import last_stored_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from pipeline.records import Record


class StoredTimes:
    """The last stored time of each key within an epoch; memory is one integer a key."""

    def __init__(self, last: Mapping[str, int] | None = None) -> None:
        """Go on from the last stored time of each key."""
        self.last: dict[str, int] = dict(last or {})

    def offsets(self, key: str, t_utc_ns: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """int64[n] to add to t_utc_ns so that stored times strictly increase; None when all are zero.

        The smallest such times: s[i] = max(t[i], s[i-1] + 1), written without a loop as a running maximum of
        t[i] - i.
        """
        count = len(t_utc_ns)
        if count == 0:
            return None
        steps = np.arange(count, dtype=np.int64)
        free = t_utc_ns - steps
        last = self.last.get(key)
        if last is not None and free[0] <= last:
            free[0] = last + 1
        stored = np.maximum.accumulate(free) + steps
        self.last[key] = int(stored[-1])
        offsets = stored - t_utc_ns
        return offsets if bool(offsets.any()) else None

    def claim(self, key: str, stored_ns: int) -> None:
        """Take a stored time from a record that is already written."""
        self.last[key] = max(stored_ns, self.last.get(key, stored_ns))


def claim_of(record: Record) -> tuple[str, int] | None:
    """Return the key and the last stored time that a record uses up; None when it uses none.

    Frames count under their instrument's id, any other record that carries `t_store_off_ns` under
    `kind/instrument`. A body of another shape (a newer writer's) claims nothing.
    """
    try:
        if record.kind == "data":
            last_ns = last_stored_ns(record.body)
            return None if last_ns is None else (str(record.body["instrument"]), last_ns)
        offset_ns = record.body.get("t_store_off_ns")
        if isinstance(offset_ns, int):
            return f"{record.kind}/{record.body.get('instrument')}", record.t_utc_ns + offset_ns
    except (KeyError, TypeError, ValueError):
        pass
    return None
