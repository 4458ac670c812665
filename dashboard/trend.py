"""One channel over time, for drawing: an exact binary form of the points, and the gaps between them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from pipeline.store.door import LedgerRow, Series

MAGIC = b"YAOSU-S1"
MEDIA_TYPE = "application/octet-stream"
POINTS_MAX = 20_000
"""Most points a page may ask for: 4 points a pixel on 5,000 pixels."""
DECIMATED, CORRECTED = 1, 2
_HEADER = struct.Struct("<8sII")


def encode_series(series: Series) -> bytes:
    """Write a series as columns, little-endian, every bit kept.

    Layout: `MAGIC`, uint32 number of points n, uint32 of bits: 1 decimated, 2 has corrected values; then
    int64[n] stored time in ns of UTC, float64[n] value (NaN where there is none), int64[n] reason mask, with
    bit 2 float64[n] corrected value (likewise), uint8[n] flag.
    """
    corrected = () if series.corrected is None else (series.corrected.astype("<f8"),)
    columns = (
        series.t_utc_ns.astype("<i8"),
        series.value.astype("<f8"),
        series.reason.astype("<i8"),
        *corrected,
        series.flag.astype("u1"),
    )
    bits = DECIMATED * series.decimated | CORRECTED * (series.corrected is not None)
    header = _HEADER.pack(MAGIC, len(series.t_utc_ns), bits)
    return header + b"".join(column.tobytes() for column in columns)


def live_points(series: Series) -> dict[str, list[Any]]:
    """Write a short series for a live event: times in ms of UTC, values exact, None where there is none."""
    return {
        "t_ms": (series.t_utc_ns / 1e6).tolist(),
        "value": _numbers(series.value),
        "corrected": None if series.corrected is None else _numbers(series.corrected),
        "flag": series.flag.tolist(),
        "reason": [str(mask) for mask in series.reason.tolist()],
    }


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    there = np.isfinite(values)
    return [value if good else None for value, good in zip(values.tolist(), there.tolist(), strict=True)]


def gap_bands(
    gaps: Iterable[LedgerRow], instrument: str, t_from_ns: int, t_to_ns: int
) -> list[dict[str, Any]]:  # fmt: skip
    """List the gaps of an instrument that touch a span, each once: ended ones whole, others so far."""
    newest: dict[tuple[bytes, int], dict[str, Any]] = {}
    for row in gaps:
        body = row.body
        if body["instrument"] != instrument or body["from_utc_ns"] >= t_to_ns:
            continue
        key = (row.journal, body["from_run_ns"])
        known = newest.get(key)
        if known is None or (body["ended"], body["polls"]) >= (known["ended"], known["polls"]):
            newest[key] = body
    bands = [
        {
            "from_ms": body["from_utc_ns"] / 1e6,
            "to_ms": body["to_utc_ns"] / 1e6,
            "polls": body["polls"],
            "cause": body["cause"],
            "ended": body["ended"],
        }
        for body in newest.values()
        if not body["ended"] or body["to_utc_ns"] > t_from_ns
    ]
    return sorted(bands, key=lambda band: band["from_ms"])
