"""Kernels that are not in the cache: a process of their own compiles them into it, and ends.

The compiler takes some 150 MB while it works, and the process it worked in keeps most of that for good. So
whoever needs a kernel that the cache does not have lets a child compile it, and loads it from the cache. This
module knows nothing of Numba; `pipeline.compiled.jit` does.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

LOG = logging.getLogger(__name__)
State = Literal["loading", "compiling apart", "compiling here"]
ATTEMPTS = 3
"""Children that are killed (for want of memory, say) before this process compiles by itself."""
COMPILE_S_MAX = 900.0
"""A child that takes longer is ended. All rules together take half a minute of one core."""
NICENESS = 5
OOM_SCORE = "500"
"""Where memory runs out the system takes the child, which can be replaced, and not the daemon."""
_TOLD_BYTES_MAX = 65_536
PROGRAM = "import sys; from pipeline.compiled.compiling import main; main(sys.argv[1])"
"""Of the child; its argument is MODULE:FUNCTION, a function without arguments that asks for its kernel."""


class GivenUpError(RuntimeError):
    """Nobody wants the kernels any more."""


class WarmUp:
    """How a warm-up goes, and the handle by which it is given up.

    As a context manager it is the one of every kernel that is asked for inside. Thread-safe: one thread warms
    up, others look and may give it up.

    Args:
        compiling: called, in the thread that warms up, once it is known that something must be compiled.
    """

    def __init__(self, compiling: Callable[[], None] = lambda: None) -> None:
        self.state: State = "loading"
        self.problem = ""
        """Why a process of its own could not do it; empty: no reason to complain."""
        self._compiling = compiling
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._given_up = False

    def __enter__(self) -> Self:
        self._before = _CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _CURRENT.reset(self._before)

    def give_up(self) -> None:
        """End the child; whoever waits for it gets a GivenUpError."""
        with self._lock:
            self._given_up = True
            if self._child is not None:
                self._child.kill()

    def compile_here(self, problem: str) -> None:
        """Tell that this process compiles by itself, and why."""
        LOG.warning("kernels are compiled in this process, which keeps some 150 MB for it: %s", problem)
        self.state, self.problem = "compiling here", problem
        self._compiling()

    def compile_apart(self, maker: str) -> None:
        """Let a child compile what the function `maker` (MODULE:FUNCTION) asks for into the cache.

        Raises:
            ChildKilledError: a signal ended the child.
            ChildError: it did not do it, and another one would not either.
            GivenUpError: nobody waits any more.
        """
        self.state = "compiling apart"
        self._compiling()
        LOG.info("%s: not in the cache of compiled kernels; a process of its own compiles it", maker)
        began_s = time.monotonic()
        try:
            with tempfile.TemporaryFile() as told:
                code = self._run(maker, told.fileno())
                told.seek(0)
                error = told.read(_TOLD_BYTES_MAX).decode(errors="replace").strip()
        except OSError as reason:
            raise ChildError(f"a process that compiles could not be started: {reason}") from reason
        if code < 0:
            raise ChildKilledError(f"the process that compiled was ended by signal {-code}")
        if code > 0:
            LOG.warning("the process that compiles ended with %d: %s", code, error)
            raise ChildError(f"the process that compiles failed: {error.splitlines()[-1] if error else code}")
        LOG.info("%s: compiled within %.1f s", maker, time.monotonic() - began_s)

    def _run(self, maker: str, told: int) -> int:
        """Run the child to its end; its exit status, negative for a signal."""
        # It finds the modules where this process found them, and not in the folder it happens to be in.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with self._lock:
            if self._given_up:
                raise GivenUpError(maker)
            child = self._child = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-P", "-c", PROGRAM, maker],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=told, env=environment,
            )  # fmt: skip
        with child:
            try:
                child.wait(COMPILE_S_MAX)
            except subprocess.TimeoutExpired as error:
                raise ChildError(f"no end of compiling after {COMPILE_S_MAX:.0f} s") from error
            finally:
                child.kill()
        with self._lock:
            self._child = None
            if self._given_up:
                raise GivenUpError(maker)
        return child.returncode


class ChildError(Exception):
    """The child did not do it; what to do is to compile here."""


class ChildKilledError(ChildError):
    """The child was ended from outside; another one may get through."""


_CURRENT: ContextVar[WarmUp] = ContextVar("warm_up")
_is_child = False


def current() -> WarmUp:
    """Return the warm-up of this context, or a new one that nobody looks at."""
    return _CURRENT.get(None) or WarmUp()


def is_child() -> bool:
    """Tell whether this process is there to compile."""
    return _is_child


def _end_with_parent() -> None:
    """End this process when the one that waits for it has ended, however it did: that closes the pipe."""
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


def main(maker: str) -> None:
    """Be the child: compile into the cache what a function asks for."""
    global _is_child  # noqa: PLW0603 - what this process is for, said once at its start
    _is_child = True
    with contextlib.suppress(OSError):  # a systemd unit may deny it; it then takes its share of the CPU
        os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    module, _, function = maker.partition(":")
    getattr(importlib.import_module(module), function)()
