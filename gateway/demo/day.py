"""A compressed day in the two benches: who does what when, through the daemon's door like anybody else."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.demo.people import DemoPerson
    from gateway.door.client import DoorClient

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person does, `at_s` after the day began. `$name` in args is the task of that name."""

    at_s: float
    person: str
    command: str
    args: dict[str, Any]
    task: str = ""
    """Name under which the started task is known to later acts."""
    refused: bool = False
    """This person may not: the refusal is the point."""


_HOLD_TEST = {
    "sample": "V-0001",
    "item": "pressure hold",
    "method": "pressure-hold",
    "instruments": ["p-1", "p-2", "em-1"],
}
_CHECK = {
    "reference": "CW-100G",
    "item": "daily check",
    "method": "check-weight",
    "instruments": ["bal-1"],
    "purpose": "qc",
}
_WEIGHING = {"sample": "S-2026-0001", "item": "sample mass", "method": "weighing", "instruments": ["bal-1"]}
_RELEASE = {"task": "$weighing", "disposition": "release", "reason": "looks fine to me"}
ACTS = (
    Act(0.6, "su", "task.start", _HOLD_TEST, task="hold-test"),
    Act(1.0, "lin", "task.start", _CHECK, task="check"),
    Act(10.0, "lin", "task.stop", {"task": "$check"}),
    Act(10.8, "lin", "task.start", _WEIGHING, task="weighing"),
    Act(17.0, "lin", "task.handover", {"task": "$weighing", "operator": "p-0002"}),
    Act(24.6, "su", "task.stop", {"task": "$weighing"}),
    Act(25.4, "su", "task.stop", {"task": "$hold-test"}),
    Act(28.0, "lin", "hold.release", _RELEASE, refused=True),
)
"""The day, in step with the loads and faults of the scenario."""


class Day:
    """Plays the acts in step with the simulators."""

    def __init__(self, door: DoorClient, people: dict[str, DemoPerson], say: Callable[[str], None]) -> None:
        self._door = door
        self._people = people
        self._say = say
        self.unexpected: list[str] = []
        """Answers that were not what the script expected."""

    async def play(self) -> None:
        """Play the day once; then the benches are the visitor's."""
        loop = asyncio.get_running_loop()
        began_s, tasks = loop.time(), dict[str, str]()
        for act in ACTS:
            await asyncio.sleep(max(0.0, began_s + act.at_s - loop.time()))
            await self._do(act, tasks)
        self._say("the script has ended: the benches are yours")

    async def _do(self, act: Act, tasks: dict[str, str]) -> None:
        args = {
            name: tasks.get(value[1:], value) if isinstance(value, str) and value.startswith("$") else value
            for name, value in act.args.items()
        }
        if act.command == "hold.release":
            args["signed_hash"] = (await self._door.get(f"tasks/{args['task']}")).get("to_sign", "")
        person = self._people[act.person]
        actor = {"person": person.id, "pin": person.pin, "station": "demo", "reason": args.get("reason", "")}
        answer = await self._door.command(act.command, args, actor)
        if bool(answer.get("ok")) == act.refused:
            self.unexpected.append(f"{act.command} by {act.person}: {answer.get('en', 'was accepted')}")
        if answer.get("ok") and act.task:
            tasks[act.task] = answer["result"]["task"]
        outcome = "done" if answer.get("ok") else f"refused: {answer.get('en')}"
        subject = args.get("sample") or args.get("reference") or args.get("task")
        self._say(f"{act.command} {subject} by {person.id}: {outcome}")
