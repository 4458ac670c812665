"""One channel over time, for drawing: an exact binary form of the points, and the gaps between them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.store.door import LedgerRow, Series

MAGIC = b"YAOSU-S1"
MEDIA_TYPE = "application/octet-stream"
POINTS_MAX = 20_000
"""Most points a page may ask for: 4 points a pixel on 5,000 pixels."""
_HEADER = struct.Struct("<8sII")


def encode_series(series: Series) -> bytes:
    """Write a series as columns, little-endian, every bit kept.

    Layout: `MAGIC`, uint32 number of points n, uint32 1 when decimated else 0; then int64[n] stored time in
    ns of UTC, float64[n] value (NaN where there is none), int64[n] reason mask, uint8[n] flag.
    """
    columns = (
        series.t_utc_ns.astype("<i8"),
        series.value.astype("<f8"),
        series.reason.astype("<i8"),
        series.flag.astype("u1"),
    )
    header = _HEADER.pack(MAGIC, len(series.t_utc_ns), int(series.decimated))
    return header + b"".join(column.tobytes() for column in columns)


def live_points(series: Series) -> dict[str, list[Any]]:
    """Write a short series for a live event: times in ms of UTC, values exact, None where there is none."""
    there = np.isfinite(series.value)
    return {
        "t_ms": (series.t_utc_ns / 1e6).tolist(),
        "value": [
            value if good else None for value, good in zip(series.value.tolist(), there.tolist(), strict=True)
        ],
        "flag": series.flag.tolist(),
        "reason": [str(mask) for mask in series.reason.tolist()],
    }


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
