"""Roles as real processes that start in milliseconds: forked from a server that has imported everything.

The command line of the product runs in them, from its first line to its exit code.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos.blackbox import BlackBox
from tests.chaos.points import arm

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from tests.chaos.points import Point, Role

PRELOADED = ["tests.chaos.preloaded"]


def _main(role: Role, config: str, log: str, box: str, point: Point | None, number: int) -> None:
    from gateway.cli.main import main  # noqa: PLC0415 - in the child alone

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    last_words = BlackBox(Path(box)).carry()
    if point is not None:
        arm(point, number, last_words)
    sys.argv = ["yaosu", role, "-c", config]
    main()


class Nursery:
    """Starts roles."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOADED)

    def start(
        self, role: Role, config: Path, box: BlackBox, point: Point | None = None, number: int = 0
    ) -> ForkServerProcess:
        """Start a role, which may kill itself at a point."""
        box.create()
        log = config.with_suffix(f".{role}.log")
        process = self._context.Process(
            target=_main, args=(role, str(config), str(log), str(box.path), point, number)
        )
        process.start()
        return process
