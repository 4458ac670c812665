"""Named points at which a process kills itself: production functions, wrapped in a child of the test alone.

The child ends by SIGKILL just before or just after the n-th call, in whatever thread that is: what the kernel
was told until then is all that is left.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import os
import signal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Role = Literal["run", "collect"]


class Point(NamedTuple):
    """A place in production code."""

    module: str
    owner: str
    function: str
    when: Literal["before", "after"]
    calls_max: int
    """Upper end of n: so many calls come within a second or two."""

    def __str__(self) -> str:
        """Name the place."""
        return f"{self.when} {self.owner}.{self.function}"


def _both(module: str, owner: str, function: str, calls_max: int) -> list[Point]:
    return [
        Point(module, owner, function, "before", calls_max),
        Point(module, owner, function, "after", calls_max),
    ]


POINTS: dict[Role, list[Point]] = {
    "run": [
        *_both("pipeline.journal.disk", "RealDisk", "write_at", 30),
        *_both("pipeline.journal.disk", "RealDisk", "sync", 30),
        *_both("pipeline.journal.disk", "RealDisk", "create", 4),
        *_both("pipeline.journal.disk", "RealDisk", "replace", 6),
        *_both("pipeline.journal.disk", "RealDisk", "sync_directory", 6),
        *_both("pipeline.journal.receipts", "Receipts", "acknowledge", 8),
        *_both("pipeline.mqtt.link", "Link", "publish", 20),
        *_both("pipeline.mqtt.outbox", "Outbox", "add", 20),
        *_both("pipeline.journal.journal", "Journal", "append", 40),
        *_both("gateway.edge.recorder", "Recorder", "append", 40),
        *_both("pipeline.intake.intake", "Intake", "close_due", 40),
    ],
    "collect": [
        *_both("pipeline.archive.segments", "Segments", "append", 8),
        *_both("pipeline.archive.index", "Index", "add", 8),
        *_both("pipeline.store.influx.http", "InfluxHttp", "post", 8),
        *_both("pipeline.store.shell", "StoreShell", "write", 8),
        *_both("pipeline.mqtt.held", "Held", "take", 12),
        *_both("pipeline.mqtt.held", "Held", "done", 12),
        *_both("pipeline.mqtt.link", "Link", "publish", 8),
    ],
}


def arm(point: Point, number: int, last_words: Callable[[], None]) -> None:
    """Let this process die at the `number`-th call of a point, after its last words."""
    owner = getattr(importlib.import_module(point.module), point.owner)
    original = getattr(owner, point.function)
    wrapped = _async if inspect.iscoroutinefunction(original) else _plain

    def die() -> None:
        last_words()
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, point.function, wrapped(original, point, itertools.count(1), number, die))


def _plain(
    original: Callable[..., Any],
    point: Point,
    calls: itertools.count[int],
    number: int,
    die: Callable[[], None],
) -> Callable[..., Any]:
    @functools.wraps(original)
    def fatal(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == number
        if mine and point.when == "before":
            die()
        result = original(*args, **kwargs)
        if mine:
            die()
        return result

    return fatal


def _async(
    original: Callable[..., Any],
    point: Point,
    calls: itertools.count[int],
    number: int,
    die: Callable[[], None],
) -> Callable[..., Any]:
    @functools.wraps(original)
    async def fatal(*args: Any, **kwargs: Any) -> Any:
        mine = next(calls) == number
        if mine and point.when == "before":
            die()
        result = await original(*args, **kwargs)
        if mine:
            die()
        return result

    return fatal
