"""A kernel that is compiled in no time, and makers of it that a process that compiles meets with trouble."""

import os
import signal
from pathlib import Path
from typing import Any

from numba import types

from pipeline.compiled.compiling import is_child
from pipeline.compiled.jit import compiled

GATE = "YAOSU_TEST_GATE"
"""Names a pipe of which a child reads a byte before it goes on."""
KILLS = "YAOSU_TEST_KILLS"
"""Names a file; as many bytes as it has, as many children are killed."""


def compile_twice() -> Any:
    """Ask for the kernel."""

    def twice(value: float) -> float:
        return 2.0 * value

    return compiled(types.float64(types.float64), twice)


def compile_thrice() -> Any:
    """Ask for another one; the child waits at a gate."""
    if is_child():
        with Path(os.environ[GATE]).open("rb", buffering=0) as gate:
            gate.read(1)

    def thrice(value: float) -> float:
        return 3.0 * value

    return compiled(types.float64(types.float64), thrice)


def compile_squared() -> Any:
    """Ask for a third one; the first children are killed."""
    kills = Path(os.environ[KILLS])
    if is_child() and (left := kills.read_bytes()):
        kills.write_bytes(left[1:])
        os.kill(os.getpid(), signal.SIGKILL)

    def squared(value: float) -> float:
        return value * value

    return compiled(types.float64(types.float64), squared)
