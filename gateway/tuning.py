"""What a role that runs for months asks of the interpreter."""

from __future__ import annotations

import gc
import sys

SWITCH_S = 0.001
"""How long a thread may keep the interpreter when another one waits for it. The default is 5 ms: so long the
event loop waits while a thread packs the index of a segment or encodes a batch."""
COLLECTOR_SWITCH_S = 0.0002
"""The same in a collector: the thread that sends asks for the interpreter several times in every request,
while another one prepares the next batch, and the store stands idle for as long as it waits."""
YOUNG_MAX = 10_000
"""Containers made between two looks at the young ones: a batch of frames makes tens of thousands."""


def tune(switch_s: float = SWITCH_S) -> None:
    """Give the event loop its turn early, and keep the garbage collector off what is there for good.

    Call it at the start, and again, as `settle`, once a large part more has come to stay.
    """
    sys.setswitchinterval(switch_s)
    gc.set_threshold(YOUNG_MAX)
    settle()


def settle() -> None:
    """Have full collections never again walk what exists now: modules, compiled kernels, settings."""
    gc.freeze()
