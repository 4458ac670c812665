"""Run the gateway, its CPU time told by stage: `python -m benchmarks.stages SITE PORTS REPORT`.

The real `yaosu run`, with a meter around the steps of its tasks and around the doors between the stages. Each
stage is charged for what it does itself, not for the stages that it calls. On SIGUSR1 a line of JSON is added
to REPORT. SITE is a site file without instruments, PORTS a JSON list: one device of `benchmarks.load_site`
each, since a file with 100,000 channels written out is larger than `yaosu` reads. The meter reads the
thread's CPU clock some 60 times a poll of 500 readings: about 0.05 us a reading.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.load_site import load_instruments
from drivers.transport.wire import Inbox
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.recorder import Recorder
from gateway.site import load_site
from pipeline.elements import Elements
from pipeline.intake import Intake
from pipeline.intake import intake as intake_module
from pipeline.journal.writer import Writer
from pipeline.qc import QcEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from gateway.site import LoadedSite

STAGES = {
    "driver": "driver", "frames": "intake", "publisher": "publish", "journal commits": "journal",
}  # fmt: skip


class Meter:
    """CPU time by stage. The stage on top of a thread's stack is charged.

    Thread-safe: yes; a stage of another thread than the loop's is charged with that thread's own time.
    """

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = defaultdict(int)
        self.calls: dict[str, int] = defaultdict(int)
        self._lock = threading.Lock()
        self._local = threading.local()

    def enter(self, stage: str) -> None:
        """Charge `stage` from now on."""
        now_ns = time.thread_time_ns()
        stack = self._stack()
        if stack:
            self._charge(stack[-1], now_ns)
        stack.append(stage)
        self._local.since_ns = now_ns
        self.calls[stage] += 1

    def leave(self) -> None:
        """Charge the stage below again."""
        now_ns = time.thread_time_ns()
        self._charge(self._stack().pop(), now_ns)
        self._local.since_ns = now_ns

    def _charge(self, stage: str, now_ns: int) -> None:
        with self._lock:
            self.spent_ns[stage] += now_ns - self._local.since_ns

    def _stack(self) -> list[str]:
        try:
            stack: list[str] = self._local.stack
        except AttributeError:
            stack = self._local.stack = []
        return stack

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Put the meter around a method or function."""
        inner: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(inner)
        def metered(*args: Any, **kwargs: Any) -> Any:
            self.enter(stage)
            try:
                return inner(*args, **kwargs)
            finally:
                self.leave()

        setattr(owner, name, metered)


class MeteredSteps:
    """A coroutine whose steps are charged to a stage."""

    def __init__(self, inner: Any, parent: str, meter: Meter) -> None:
        self._inner, self._parent, self._meter = inner, parent, meter
        self._stage = ""

    def send(self, value: Any) -> Any:
        """Run one step."""
        # A task group names its tasks only once they are made.
        self._stage = self._stage or stage_of(self._parent)
        self._meter.enter(self._stage)
        try:
            return self._inner.send(value)
        finally:
            self._meter.leave()

    def throw(self, *error: Any) -> Any:
        """Run one step that begins with an exception."""
        self._stage = self._stage or stage_of(self._parent)
        self._meter.enter(self._stage)
        try:
            return self._inner.throw(*error)
        finally:
            self._meter.leave()

    def close(self) -> None:
        """End it."""
        self._inner.close()

    def __await__(self) -> MeteredSteps:
        return self

    def __iter__(self) -> MeteredSteps:
        return self

    def __next__(self) -> Any:
        return self.send(None)


def stage_of(parent: str) -> str:
    """Tell the stage of the running task by its name; without one it belongs to the stage that made it."""
    task = asyncio.current_task()
    name = "Task-" if task is None else task.get_name()
    for begin, stage in STAGES.items():
        if name.startswith(begin):
            return stage
    return parent if name.startswith("Task-") else "other"


def meter_tasks(loop: asyncio.AbstractEventLoop, meter: Meter) -> None:
    """Charge the steps of all tasks made from now on."""

    async def run(steps: MeteredSteps) -> Any:
        return await steps

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *, name: str | None = None, **kwargs: Any,
    ) -> asyncio.Task[Any]:  # fmt: skip
        stack = meter._stack()  # noqa: SLF001 - of this module
        steps = MeteredSteps(coroutine, stack[-1] if stack else "other", meter)
        return asyncio.Task(run(steps), loop=loop, name=name, **kwargs)

    loop.set_task_factory(factory)


def meter_doors(meter: Meter) -> None:
    """Put the meter where one stage calls another."""
    meter.wrap(Inbox, "feed", "driver")
    meter.wrap(Intake, "_take", "intake")
    meter.wrap(Intake, "close_due", "intake")
    meter.wrap(QcEngine, "process", "qc")
    meter.wrap(intake_module, "encode_frame", "encode")
    meter.wrap(Recorder, "_append_one", "journal")
    meter.wrap(Recorder, "stored_offsets", "journal")
    meter.wrap(Elements, "consume", "elements")
    meter.wrap(Writer, "commit", "journal thread")


def report(meter: Meter, path: Path) -> None:
    """Add a line: CPU of the process and of each stage so far, in s."""
    times = os.times()
    line = {
        "at_s": time.monotonic(),
        "process_s": times.user + times.system,
        "stages_s": {stage: spent / 1e9 for stage, spent in meter.spent_ns.items()},
        "calls": dict(meter.calls),
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


async def run(site: LoadedSite, path: Path) -> None:
    """Run the gateway until SIGTERM."""
    meter, stop, loop = Meter(), asyncio.Event(), asyncio.get_running_loop()
    meter_doors(meter)
    meter_tasks(loop, meter)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, report, meter, path)
    await EdgeDaemon(site).run(stop)


def site_of(file: Path, ports: Path) -> LoadedSite:
    """Read the site file and add an instrument for each port."""
    bare = load_site(file)
    instruments = load_instruments(json.loads(ports.read_bytes()))
    return replace(bare, settings=bare.settings.model_copy(update={"instrument": instruments}))


def main() -> None:
    """Run it under the loop that `yaosu run` uses."""
    import uvloop  # noqa: PLC0415 - Linux only, as the gateway itself

    site, ports, path = map(Path, sys.argv[1:4])
    uvloop.run(run(site_of(site, ports), path))


if __name__ == "__main__":
    main()
