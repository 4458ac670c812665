"""Fingerprints of windows of readings: is a piece of this task's data found, bit for bit, in another task's?

Every piece of k successive readings is hashed, and of a window the least hashes are kept: a bottom-k sketch
(A. Broder, *On the resemblance and containment of documents*, 1997). Two windows that hold the same stretch
of readings keep hashes in common wherever in the window it lies; of a window of any length 256 bytes are
kept. A piece with few different values is left out. The same readings give the same sketch however they are
cut into frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.elements.detectors.settings import DetectorSettings
    from pipeline.elements.detectors.state import RunningPrint

KEPT = 32
"""Hashes kept of one window."""
BATCH = 256
"""Values that are waited for before they are hashed: a call costs the same for one as for many."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def feed(running: RunningPrint, values: NDArray[np.float64], settings: DetectorSettings) -> None:
    """Add the next valid readings of a window."""
    running.tail += values.astype("<f8").tobytes()
    running.readings += len(values)
    if len(running.tail) >= 8 * (BATCH + settings.identical_length - 1):
        digest(running, settings)


def digest(running: RunningPrint, settings: DetectorSettings) -> None:
    """Hash what waits; the last k - 1 values stay, for the pieces that go on."""
    length = settings.identical_length
    values = np.frombuffer(running.tail, dtype="<f8")
    if len(values) < length:
        return
    hashes = np.union1d(
        np.frombuffer(running.hashes, dtype="<u8"), piece_hashes(values, length, settings.identical_distinct)
    )
    running.hashes = hashes[:KEPT].astype("<u8").tobytes()
    running.tail = running.tail[8 * (len(values) - length + 1) :]


def piece_hashes(values: NDArray[np.float64], length: int, distinct_min: int) -> NDArray[np.uint64]:
    """Hash every piece of `length` successive values that holds enough different ones: uint64[pieces]."""
    pieces = np.lib.stride_tricks.sliding_window_view(values, length)
    ordered = np.sort(pieces, axis=1)
    distinct = (np.diff(ordered, axis=1) != 0).sum(axis=1) + 1
    bits = np.lib.stride_tricks.sliding_window_view(values.view(np.uint64), length)[distinct >= distinct_min]
    hashes = np.zeros(len(bits), dtype=np.uint64)
    for position in range(length):
        hashes = _mixed(hashes * _FACTOR + bits[:, position])
    return hashes


def _mixed(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finalise as SplitMix64 does (S. Vigna's public-domain generator), so that least means random."""
    hashes = (hashes ^ (hashes >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ (hashes >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hashes ^ (hashes >> np.uint64(31))


def shared(one: bytes, other: bytes) -> int:
    """Count the hashes that two sketches have in common."""
    return len(
        np.intersect1d(np.frombuffer(one, dtype="<u8"), np.frombuffer(other, dtype="<u8"), assume_unique=True)
    )
