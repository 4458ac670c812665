"""Command of people while a task runs: a step, or the next replicate, begins."""

from __future__ import annotations

from pipeline.elements.codec import to_body
from pipeline.elements.commands.request import Planned, Request
from pipeline.elements.formulas.calculations import REPLICATES_MAX
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import Method
from pipeline.elements.shapes import Draft, TaskStep
from pipeline.elements.steps.state import MARKS_MAX


def step(request: Request) -> Planned:
    """Mark that a step of the procedure begins (no name: that the one under way ends), or a replicate."""
    request.only("task", "step", "replicate")
    task = request.running_task()
    replicate = request.args.get("replicate", False)
    if not isinstance(replicate, bool):
        raise Refused("wrong-argument", argument="replicate", problem="true or false")
    name = request.optional_text("step") or ""
    if replicate:
        number = 1 + max((known.replicate for known in task.calculations), default=0)
        if name or number == 1 or number > REPLICATES_MAX:
            problem = f"the method computes results, up to {REPLICATES_MAX} replicates, and no step is named"
            raise Refused("wrong-argument", argument="replicate", problem=problem)
        mark = TaskStep(task.id, "", request.t_run_ns, request.actor, "replicate")
        return Planned((Draft("task", to_body(mark)),), {"task": task.id, "replicate": number})
    found = request.registry.at(Method, task.start.method, task.start.at_utc_ns)
    names = [] if found is None else [one.name for one in found[0].steps]
    if not names or (name and name not in names):
        raise Refused("unknown-step", step=name, method=task.start.method, known=", ".join(names) or "–")
    if task.steps.marks >= MARKS_MAX:
        raise Refused("wrong-argument", argument="step", problem=f"a task has up to {MARKS_MAX} marks")
    mark = TaskStep(task.id, name, request.t_run_ns, request.actor)
    return Planned((Draft("task", to_body(mark)),), {"task": task.id, "step": name})
