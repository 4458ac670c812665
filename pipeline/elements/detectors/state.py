"""What the detectors remember. Every table is bounded; the oldest entry gives way."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.elements.vocabulary import TaskPhase

ENDS_MAX = 256
"""Tasks kept for one instrument for its throughput: those that ended within the last hour."""
INSTRUMENTS_MAX = 4096
ATTEMPTS_MAX = 8
"""Attempts kept for one sample, item and method: the newest."""
ATTEMPT_KEYS_MAX = 2000
SAMPLES_MAX = 5000
WINDOWS_MAX = 32
"""Finished windows kept for one channel to be compared with: the newest."""
CHANNELS_MAX = 4096


@dataclass(slots=True)
class TaskEnd:
    """A task that was ended on an instrument."""

    task: str
    t_run_ns: int
    seq: int


@dataclass(slots=True)
class Attempt:
    """One attempt at a sample, item and method that has come to its end."""

    task: str
    phase: TaskPhase
    good: int
    """Readings with a value in its measurand channels."""
    nonconforming: bool
    seqs: list[int]


@dataclass(slots=True)
class SampleMass:
    """First mass of a whole sample, and the record that tells it."""

    value: float
    seq: int
    task: str


@dataclass(slots=True)
class RunningPrint:
    """Fingerprint of a window in progress; see `prints`."""

    tail: bytes = b""
    """float64[]: values not hashed yet, and before them those that a piece can still begin with."""
    hashes: bytes = b""
    """uint64[]: the least hashes so far, ascending."""
    readings: int = 0


@dataclass(slots=True)
class WindowPrint:
    """Fingerprint of the window of a finished task on one channel."""

    task: str
    sample: str
    seq_first: int
    seq_last: int
    hashes: bytes


@dataclass(slots=True)
class DetectorState:
    """Memory of the detectors; a part of the fold's state."""

    epoch: int = -1
    told: dict[str, list[str]] = field(default_factory=dict)
    """Task to what was told of it already: one fact is one event."""
    ends: dict[str, list[TaskEnd]] = field(default_factory=dict)
    attempts: dict[str, list[Attempt]] = field(default_factory=dict)
    samples: dict[str, SampleMass] = field(default_factory=dict)
    running: dict[str, dict[str, RunningPrint]] = field(default_factory=dict)
    """Task to channel to fingerprint, while the window is open."""
    windows: dict[str, list[WindowPrint]] = field(default_factory=dict)
