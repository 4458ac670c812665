"""`task`, `hold`, `instrument`: what people do, through the running daemon."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    WORK,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    done,
    example,
    print_json,
    secret_for,
    view,
)
from gateway.cli.task_views import show_holds, show_task, show_tasks, with_query
from pipeline.elements.vocabulary import Disposition, Purpose, Role, ServiceState

task_app = typer.Typer(
    no_args_is_help=True, help="Start, hand over, stop, abort, correct, list and show tasks."
)
hold_app = typer.Typer(no_args_is_help=True, help="Held results: list them, dispose of them.")
instrument_app = typer.Typer(no_args_is_help=True, help="Service state of instruments.")

TaskArgument = Annotated[str, typer.Argument(help="Id of the task.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


@task_app.command(
    "start", epilog=example("task start --method pressure-hold --instrument p-1 --sample V-0001 --as p-0002")
)
def start(
    method: Annotated[str, typer.Option(help="Id of the method.")],
    instrument: Annotated[list[str], typer.Option(help="Instrument; repeat for several.")],
    person: PersonOption,
    sample: Annotated[str, typer.Option(help="Id of the sample, as scanned.")] = "",
    reference: Annotated[str, typer.Option(help="Reference material or check weight, for purpose qc.")] = "",
    item: Annotated[str, typer.Option(help="Test item.")] = "",
    purpose: Annotated[Purpose, typer.Option(help="What the work is for.")] = "test",
    batch: Annotated[str, typer.Option(help="Analysis batch, which is open.")] = "",
    place: Annotated[int | None, typer.Option(min=1, help="Place in the batch; else the next.")] = None,
    control: Annotated[str, typer.Option(help="Kind of quality control, such as blank or duplicate.")] = "",
    of: Annotated[str, typer.Option(help="Task that a control is compared with.")] = "",
    added: Annotated[float | None, typer.Option(help="Amount added to a matrix spike.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Start the work on one sample for one test item by one method."""
    args: dict[str, Any] = {
        "method": method,
        "instruments": instrument,
        "purpose": purpose,
        "operator": person,
    }
    given = {
        "sample": sample, "reference": reference, "item": item, "batch": batch, "place": place,
        "control": control, "of": of, "added": added,
    }  # fmt: skip
    args |= {name: value for name, value in given.items() if value is not None and value != ""}
    answer = command(config, "task.start", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"task {answer['result']['task']} started", as_json=as_json)


@task_app.command("handover", epilog=example("task handover 5b41ec3a-00001 --to p-0003 --as p-0002"))
def handover(
    task: TaskArgument,
    to: Annotated[str, typer.Option("--to", help="Person who takes over.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hand a running task over to another operator."""
    answer = command(
        config, "task.handover", {"task": task, "operator": to}, secret_for(person), key=key, as_json=as_json
    )
    done(answer, f"{task} handed over to {to}", as_json=as_json)


@task_app.command("step", epilog=example("task step 5b41ec3a-00001 dwell --as p-0002"))
def mark_step(
    task: TaskArgument, person: PersonOption,
    step: Annotated[str, typer.Argument(help="Step that begins; none: the one under way ends.")] = "",
    replicate: Annotated[bool, typer.Option("--replicate", help="The next replicate begins.")] = False,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Mark that a step of the procedure, or the next replicate, begins now."""
    args: dict[str, Any] = {"task": task} | ({"step": step} if step else {})
    args |= {"replicate": True} if replicate else {}
    answer = command(config, "task.step", args, secret_for(person), key=key, as_json=as_json)
    number = answer["result"].get("replicate")
    begun = f"replicate {number} begins" if number else f"step {step} begins" if step else "step ended"
    done(answer, f"{task}: {begun}", as_json=as_json)


@task_app.command("stop", epilog=example("task stop 5b41ec3a-00001 --as p-0002"))
def stop(
    task: TaskArgument,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """End a task; its result and verdicts follow."""
    answer = command(config, "task.stop", {"task": task}, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{task} stopped", as_json=as_json)


@task_app.command("abort", epilog=example('task abort 5b41ec3a-00001 --reason "wrong vessel" --as p-0002'))
def abort(
    task: TaskArgument, reason: ReasonOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Give an attempt up; it stays visible with its reason."""
    answer = command(
        config, "task.abort", {"task": task, "reason": reason}, secret_for(person), key=key, as_json=as_json
    )
    done(answer, f"{task} aborted", as_json=as_json)


@task_app.command(
    "bind",
    epilog=example(
        "task bind 5b41ec3a-00001 reagent R-12 --as p-0002",
        "task bind 5b41ec3a-00001 operator p-0004 --from 2026-03-01T08:00:00+08:00 --as p-0003",
    ),
)
def bind(
    task: TaskArgument,
    role: Annotated[Role, typer.Argument(help="Its part in the task.")],
    target: Annotated[
        str, typer.Argument(help="Person, instrument.channel, material or environment, by id.")
    ],
    person: PersonOption,
    from_utc: Annotated[str, typer.Option("--from", help="Since when, if not from now on; ISO 8601.")] = "",
    to_utc: Annotated[str, typer.Option("--to", help="Until when; ISO 8601 with offset.")] = "",
    occurrence: Annotated[
        str, typer.Option(help="first or second: which is meant of a time that the clock showed twice.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Bind somebody or something to a task; a claim about the past is marked late."""
    args = {"task": task, "role": role, "target": target}
    given = {"from_utc": from_utc, "to_utc": to_utc, "occurrence": occurrence}
    args |= {name: value for name, value in given.items() if value}
    answer = command(config, "task.bind", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{task}: {role} {target}", as_json=as_json)


@task_app.command("link", epilog=example("task link 5b41ec3a-00001 lims order-4711 --as p-0002"))
def link(
    task: TaskArgument,
    system: Annotated[str, typer.Argument(help="The other system.")],
    external_id: Annotated[str, typer.Argument(help="Its id of the task: order, report.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Note the id that another system gives a task, of any age."""
    args = {"task": task, "system": system, "external_id": external_id}
    answer = command(config, "task.link", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{task} is {external_id} of {system}", as_json=as_json)


@task_app.command(
    "amend", epilog=example('task amend 5b41ec3a-00001 --sample V-0002 --reason "label misread" --as p-0002')
)
def amend(
    task: TaskArgument,
    reason: ReasonOption,
    person: PersonOption,
    sample: Annotated[str, typer.Option(help="The right sample.")] = "",
    item: Annotated[str, typer.Option(help="The right test item.")] = "",
    clause: Annotated[str, typer.Option(help="The right clause.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Correct what was said at the start of a task; what it was stays readable, and it is judged anew."""
    args = {"task": task, "reason": reason}
    args |= {n: v for n, v in {"sample": sample, "item": item, "clause": clause}.items() if v}
    answer = command(config, "task.amend", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{task} amended", as_json=as_json)


@task_app.command(
    "list",
    epilog=example(
        "task list -c gateway.toml",
        "task list --overall held --instrument bal-1",
        "task list --external order-4711",
    ),
)
def list_tasks(
    overall: Annotated[str, typer.Option(help="clear, held, released, aborted, ...")] = "",
    phase: Annotated[str, typer.Option(help="running, stopped or aborted.")] = "",
    sample: Annotated[str, typer.Option(help="Of this sample.")] = "",
    method: Annotated[str, typer.Option(help="By this method.")] = "",
    batch: Annotated[str, typer.Option(help="Of this batch.")] = "",
    instrument: Annotated[str, typer.Option(help="On this instrument.")] = "",
    operator: Annotated[str, typer.Option(help="By this person.")] = "",
    external: Annotated[str, typer.Option(help="By an id of another system.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    before: Annotated[str, typer.Option(help="The next page: the last task of the page before.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show tasks of any age, newest first."""
    given = {
        "overall": overall, "phase": phase, "sample": sample, "method": method, "batch": batch,
        "instrument": instrument, "operator": operator, "external_id": external, "before": before,
        "limit": str(limit),
    }  # fmt: skip
    tasks = view(config, with_query("tasks", given), as_json=as_json)
    if as_json:
        print_json(tasks)
    else:
        show_tasks(tasks, "no such tasks; start one: yaosu task start --help")


@task_app.command(
    "show", epilog=example("task show 5b41ec3a-00001", "task show 5b41ec3a-00001 --known-at 30123 --json")
)
def show(
    task: TaskArgument,
    known_at: Annotated[
        int | None, typer.Option(min=0, help="As known when this record was written; else as known now.")
    ] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show a task with its verdicts and their reasons, results and dispositions: then, or now."""
    given = {} if known_at is None else {"known_at": str(known_at)}
    shown = view(config, with_query(f"tasks/{task}", given), as_json=as_json)
    if as_json:
        print_json(shown)
    else:
        show_task(shown)


@hold_app.command("list", epilog=example("hold list -c gateway.toml"))
def list_holds(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the results that wait for a person's disposition, with the reasons."""
    holds = view(config, "holds", as_json=as_json)
    if as_json:
        print_json(holds)
    else:
        show_holds(holds)


@hold_app.command(
    "release",
    epilog=example('hold release 5b41ec3a-00001 --reason "certificate came late, valid" --as p-0003'),
)
def release(
    task: TaskArgument,
    reason: ReasonOption,
    person: PersonOption,
    limitation: Annotated[
        str, typer.Option(help="For release-with-limitation: what the result is not good for.")
    ] = "",
    disposition: Annotated[Disposition, typer.Option(help="What becomes of the result.")] = "release",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Dispose of a held result. Asks for person and PIN; the operator of the task may not."""
    seen = view(config, f"tasks/{task}", as_json=as_json)
    args = {
        "task": task,
        "disposition": disposition,
        "reason": reason,
        "signed_hash": seen.get("to_sign", ""),
    }
    if limitation:
        args["limitation"] = limitation
    if not as_json:
        for verdict in seen.get("verdicts", ()):
            reasons = "; ".join(each["en"] for each in verdict["reasons"])
            OUT.print(f"  {verdict['element']}: {verdict['status']} {reasons}", markup=False)
    actor = secret_for(person) | {"reason": reason, "meaning": disposition}
    answer = command(config, "hold.release", args, actor, key=key, as_json=as_json)
    done(answer, f"{task}: {disposition}", as_json=as_json)


@instrument_app.command(
    "state", epilog=example('instrument state p-1 maintenance --reason "new seal" --as p-0002')
)
def instrument_state(
    instrument: Annotated[str, typer.Argument(help="Id of the instrument.")],
    state: Annotated[ServiceState, typer.Argument(help="Its service state from now on.")],
    reason: ReasonOption,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Set the service state of an instrument; it is carried on every frame."""
    args = {"instrument": instrument, "state": state, "reason": reason}
    answer = command(config, "instrument.state", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{instrument} is {state}", as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(task_app, name="task", rich_help_panel=WORK)
    app.add_typer(hold_app, name="hold", rich_help_panel=WORK)
    app.add_typer(instrument_app, name="instrument", rich_help_panel=WORK)
