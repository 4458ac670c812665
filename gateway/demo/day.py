"""Plays the day of the script: people through the daemon's door like anybody else, hands at the benches."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from gateway.door.actors import SIGNED_COMMANDS
from gateway.door.client import DoorClosedError
from simulators.days import Above, Act, Load, OneOf, Seen, SetClock, Step, Trouble, Weight, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gateway.demo.people import DemoPerson
    from gateway.door.client import DoorClient
    from simulators import ScenarioRunner

STEP_S = 240.0
"""What a step waits for is seen within this time, on a machine that gives a tenth of itself too."""
LOOK_S = 0.1
READ_MORE = 3
"""Readings of a pan at rest, so that the last of them is one of the weight."""


class DayStoppedError(Exception):
    """A step did not show what it waits for; the later ones rest on it."""


class Machine(Protocol):
    """Hands on the gateway's machine, for what no command and no instrument can do."""

    def set_clock(self, by_s: float) -> str:
        """Set the UTC clock, by so many seconds; say what was set."""
        ...

    async def restart(self, *, change: bool) -> str:
        """Stop the gateway and start it again, one byte of its journal changed in between; say which.

        Without `change` nothing is changed, and nothing said.
        """
        ...


class Day:
    """Plays the steps in order.

    Args:
        door: the daemon's door.
        people: by the names that the script uses.
        simulators: the instruments.
        say: told a line for each step.
        steps: what is played.
        machine: that of the gateway, where a step needs hands on it.
    """

    def __init__(
        self,
        door: DoorClient,
        people: dict[str, DemoPerson],
        simulators: ScenarioRunner,
        say: Callable[[str], None],
        steps: Sequence[Step],
        machine: Machine,
    ) -> None:  # fmt: skip
        self._door = door
        self._people = people
        self._simulators = simulators
        self._say = say
        self._script = steps
        self._machine = machine
        self._kept: dict[str, Any] = {}
        self._tokens: dict[str, str] = {}
        self._shown: Any = None
        """What the view showed last that a step looks at."""
        self.unexpected: list[str] = []
        """Answers that were not what the script expected."""
        self.steps: list[dict[str, Any]] = []
        """Steps that are over: name, seconds that it took, seqs of its records, what it kept."""

    async def play(self) -> None:
        """Play the day once; then the benches are the visitor's."""
        try:
            for step in self._script:
                await self._play(step)
        except DayStoppedError as stopped:
            self.unexpected.append(str(stopped))
            self._say(f"the day stops here: {stopped}")
            return
        self._say("the script has ended: the benches are yours")

    async def _play(self, step: Step) -> None:
        began_s, seqs, told, kept_before = time.monotonic(), list[int](), "", set(self._kept)
        if isinstance(step, Act):
            seqs, told = await self._act(step)
        elif isinstance(step, Load):
            self._simulators.put_on(step.instrument, step.load_g)
        elif isinstance(step, Trouble):
            self._simulators.inject(step.instrument, step.kind, step.duration_s, **step.parameters)
        elif isinstance(step, Seen):
            instead = partial(self._instead, step.shows)
            await self._until(step.name, lambda: self._is_seen(step), instead)
        elif isinstance(step, Weight):
            await self._weigh(step)
        elif isinstance(step, Work):
            await asyncio.sleep(step.lasts_s)
        elif isinstance(step, SetClock):
            told = f" ({self._machine.set_clock(step.by_s)})"
        else:
            said = await self._machine.restart(change=step.change)
            self._tokens.clear()  # after a restart everybody logs in again
            told = f" ({said})" if said else ""
        kept = {name: self._kept[name] for name in self._kept.keys() - kept_before}
        took_s = time.monotonic() - began_s
        self.steps.append({"step": step.name, "took_s": took_s, "seqs": seqs, "kept": kept})
        self._say(f"{step.name}{told}")

    async def _act(self, act: Act) -> tuple[list[int], str]:
        """Give the command; the seqs of its records, and what to say of it."""
        args, person = self._filled(act.args), self._people[act.person]
        actor = {"station": "demo", "reason": args.get("reason", "")}
        if act.command == "hold.release":
            shown = await self._answered(lambda: self._door.get(f"tasks/{args['task']}"))
            args["signed_hash"] = shown.get("to_sign", "")
        if act.command in SIGNED_COMMANDS:
            actor |= {"person": person.id, "pin": person.pin}
        token, key = await self._token(person), uuid.uuid4().hex  # asked again with its key, it is done once
        answer = await self._answered(
            lambda: self._door.command(act.command, args, actor, token=token, key=key)
        )
        subject = args.get("sample") or args.get("reference") or args.get("task") or ""
        outcome = "done" if answer.get("ok") else f"refused: {answer.get('en')}"
        told = f" ({f'{act.command} {subject}'.strip()} by {person.id}: {outcome})"
        if answer.get("code", "") != act.refused:
            self.unexpected.append(f"{act.name}{told}")
        if not answer.get("ok"):
            return [], told
        for name, key in act.keep.items():
            self._kept[name] = answer["result"][key]
        return list(answer["seq"]), told

    async def _answered(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the door, and again while no answer comes: a busy machine may take longer than a call waits."""
        until_s = time.monotonic() + STEP_S
        while True:
            try:
                return await ask()
            except DoorClosedError as error:
                if time.monotonic() >= until_s:
                    raise DayStoppedError(str(error)) from error
            await asyncio.sleep(LOOK_S)

    async def _token(self, person: DemoPerson) -> str:
        """Log the person in, once a day."""
        if person.id not in self._tokens:
            answer = await self._answered(lambda: self._door.login(person.id, person.password))
            if not answer.get("ok"):
                raise DayStoppedError(f"{person.id} cannot log in: {answer.get('en')}")
            self._tokens[person.id] = answer["token"]
        return self._tokens[person.id]

    async def _weigh(self, step: Weight) -> None:
        """Wait until the pan is at rest, and has been read since."""

        async def is_at_rest() -> bool:
            return self._simulators.is_at_rest(step.instrument)

        async def is_read() -> bool:
            return self._simulators.answered.get(step.instrument, 0) >= before + READ_MORE

        await self._until(step.name, is_at_rest)
        before = self._simulators.answered.get(step.instrument, 0)
        await self._until(step.name, is_read)

    async def _is_seen(self, seen: Seen) -> bool:
        self._shown = await self._answered(lambda: self._door.get(self._filled(seen.view)))
        found = _match(self._shown, self._filled(seen.shows))
        for name, key in seen.keep.items() if found is not None else ():
            self._kept[name] = found[key]
        return found is not None

    async def _until(
        self, name: str, is_so: Callable[[], Awaitable[bool]], instead: Callable[[], str] = str
    ) -> None:
        """Wait until it is so; if it never is, say what is there `instead`."""
        try:
            async with asyncio.timeout(STEP_S):
                while not await is_so():  # noqa: ASYNC110 - the other side is a process
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise DayStoppedError(f"{name}: not seen within {STEP_S:g} s{instead()}") from None

    def _instead(self, wanted: dict[str, Any]) -> str:
        """Say what a view of a task showed last in place of what was waited for, with its reasons."""
        shown = self._shown
        if not isinstance(shown, dict):
            return ""
        values = [f"{key} is {shown.get(key)}" for key, one in wanted.items() if isinstance(one, str | bool)]
        reasons = [reason for verdict in shown.get("verdicts", ()) for reason in verdict["reasons"]]
        return "; ".join(["", *values, *(f"{one['code']} of {one['subject']}" for one in reasons)])

    def _filled(self, value: Any) -> Any:
        """Put what earlier steps kept in place of `$name`."""
        if isinstance(value, dict):
            return {name: self._filled(one) for name, one in value.items()}
        if not isinstance(value, str) or "$" not in value:
            return value
        before, _, name = value.partition("$")
        if name not in self._kept:
            raise DayStoppedError(f"nothing was kept as '{name}'")
        return f"{before}{self._kept[name]}" if before else self._kept[name]


def _match(found: Any, wanted: Any) -> Any:
    """Give what matches: the thing itself, or the first item of a list that does; None where nothing does."""
    if isinstance(found, list):
        return next((one for one in found if _match(one, wanted) is not None), None)
    if isinstance(wanted, dict):
        if not isinstance(found, dict):
            return None
        return found if all(_match(found.get(key), one) is not None for key, one in wanted.items()) else None
    if isinstance(wanted, Above):
        return found if isinstance(found, int | float) and found > wanted.value else None
    if isinstance(wanted, OneOf):
        return found if found in wanted.values else None
    return found if found is not None and found == wanted else None
