"""Machines that can vanish: a loop in virtual time, nodes whose tasks and blocking calls end at a stroke."""

from __future__ import annotations

import asyncio
import contextvars
import errno
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import async_solipsism

from pipeline.records.clock import ClockState
from tests.crash.models import PowerCut

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor
    from random import Random

NODE: contextvars.ContextVar[Node | None] = contextvars.ContextVar("node", default=None)
BURIAL_S = 5.0
UTC_ZERO_NS = 1_780_000_000 * 10**9


class Node:
    """One process on one machine. Everything that is started from it belongs to it and goes with it."""

    def __init__(self, name: str, on_power_cut: Callable[[], None] = lambda: None) -> None:
        self.name = name
        self.alive = True
        self.on_power_cut = on_power_cut
        """Called when the disk ends in the middle of an operation."""
        self.blocking_s: Callable[[], float] = lambda: 0.0
        """How long a blocking call takes now."""
        self.on_step: Callable[[], None] | None = None
        """Called before each of its steps: whatever the loop runs for it between two awaits."""
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def start(self, main: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a coroutine on this machine."""
        context = contextvars.copy_context()
        context.run(NODE.set, self)
        return asyncio.get_running_loop().create_task(main, context=context)

    def own(self, task: asyncio.Task[Any]) -> None:
        self._tasks[task] = None
        task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def bury(self) -> None:
        """Let nothing of it run on. What its tasks do while they end reaches neither disk nor network."""
        self.alive = False
        end_s = asyncio.get_running_loop().time() + BURIAL_S
        while self._tasks:
            assert asyncio.get_running_loop().time() < end_s, f"{self.name} does not end: {self._tasks}"
            for task in list(self._tasks):
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=1.0)


class VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc]
    """A loop in virtual time on which blocking calls take time, in order for each executor.

    A node may vanish before such a call, between the call and the news of it, or, by its disk, within it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._busy_until_s: dict[int, float] = {}
        self.set_task_factory(_own_task)

    def call_soon(
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Schedule a step; one of a node that is watched tells so before it runs."""
        node = NODE.get() if context is None else context.get(NODE)
        if node is not None and node.on_step is not None:
            watched: asyncio.Handle = super().call_soon(_step, node, callback, args, context=context)
            return watched
        plain: asyncio.Handle = super().call_soon(callback, *args, context=context)
        return plain

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell of an exception that nobody took; a power cut is nobody's to take."""
        if not isinstance(context.get("exception"), PowerCut):
            super().call_exception_handler(context)

    async def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> Any:
        """Run a blocking call in virtual time."""
        node = NODE.get()
        if node is None:
            return func(*args)
        if not node.alive:
            raise OSError(errno.EIO, f"{node.name} is gone")
        start_s = max(self.time(), self._busy_until_s.get(id(executor), 0.0)) + node.blocking_s()
        end_s = start_s + node.blocking_s()
        if executor is not None:
            self._busy_until_s[id(executor)] = end_s
        future = self.create_future()
        self.call_at(start_s, self._run, node, lambda: func(*args), future, end_s)
        return await future

    def _run(self, node: Node, call: Callable[[], Any], future: asyncio.Future[Any], end_s: float) -> None:
        if not node.alive:
            future.cancel()
            return
        try:
            result = call()
        except PowerCut:
            node.on_power_cut()
            return
        except Exception as error:  # noqa: BLE001 - handed to the caller
            self.call_at(end_s, _settle, future, None, error)
        else:
            self.call_at(end_s, _settle, future, result, None)


def _step(node: Node, callback: Callable[..., Any], args: tuple[Any, ...]) -> None:
    if node.on_step is not None:
        node.on_step()
    callback(*args)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _own_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, Any],
    context: contextvars.Context | None = None,
) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=loop, context=context)
    node = context.get(NODE) if context is not None else NODE.get()
    if node is not None:
        node.own(task)
    return task


@dataclass
class MachineClock:
    """A machine's clocks over the true time of the simulation: UTC that may be set, time since boot."""

    random: Random
    utc_off_ns: int = UTC_ZERO_NS
    boot_off_ns: int = 0
    synchronised: bool = True
    slew_ppb: int = 0
    """How much faster UTC runs than the clock since boot; a smeared leap second makes it slower."""
    slewed_since_ns: int = 0
    steps_ns: list[int] = field(default_factory=list)

    def _true_ns(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e9)

    def utc_ns(self) -> int:
        true_ns = self._true_ns()
        slewed_ns = (true_ns - self.slewed_since_ns) * self.slew_ppb // 10**9
        return true_ns + self.utc_off_ns + slewed_ns

    def run_ns(self) -> int:
        return self._true_ns() + self.boot_off_ns

    def state(self) -> ClockState:
        return ClockState(self.synchronised, 1000 if self.synchronised else -1)

    def step(self, step_ns: int) -> None:
        """Set UTC."""
        self.utc_off_ns += step_ns
        self.steps_ns.append(step_ns)

    def slew(self, ppb: int) -> None:
        """Let UTC run faster or slower from now on; what it has gained or lost so far stays."""
        now_ns = self._true_ns()
        self.utc_off_ns = self.utc_ns() - now_ns
        self.slew_ppb, self.slewed_since_ns = ppb, now_ns

    def suspend(self, ns: int) -> None:
        """Sleep: the loop's clock stood still, these two did not."""
        self.utc_off_ns += ns
        self.boot_off_ns += ns

    def boot(self) -> None:
        """Begin to count from zero."""
        self.boot_off_ns = self.random.randrange(10**9) - self._true_ns()
