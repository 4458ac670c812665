"""`task`, `hold`, `instrument`, `registry`: what people do, through the running daemon."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from config import ConfigInvalid
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    WORK,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    example,
    leave_invalid,
    local_time,
    print_json,
    secret_for,
    show_findings,
    table,
    view,
)
from pipeline.elements import read_registry
from pipeline.elements.vocabulary import Disposition, Purpose, RegistryType, ServiceState
from pipeline.records.ranges import RangeSet

task_app = typer.Typer(no_args_is_help=True, help="Start, hand over, stop, abort and list tasks.")
hold_app = typer.Typer(no_args_is_help=True, help="Held results: list them, dispose of them.")
instrument_app = typer.Typer(no_args_is_help=True, help="Service state of instruments.")
registry_app = typer.Typer(no_args_is_help=True, help="People, equipment, materials, methods, environments.")

TaskArgument = Annotated[str, typer.Argument(help="Id of the task.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


def _done(answer: dict[str, Any], text: str, *, as_json: bool) -> None:
    if not as_json:
        seqs = RangeSet((seq, seq) for seq in answer["seq"])
        shown = ", ".join(str(first) if first == last else f"{first}–{last}" for first, last in seqs)
        OUT.print(f"{text} (record {shown})", markup=False)


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
    _done(answer, f"task {answer['result']['task']} started", as_json=as_json)


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
    _done(answer, f"{task} handed over to {to}", as_json=as_json)


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
    _done(answer, f"{task}: {begun}", as_json=as_json)


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
    _done(answer, f"{task} stopped", as_json=as_json)


@task_app.command("abort", epilog=example('task abort 5b41ec3a-00001 --reason "wrong vessel" --as p-0002'))
def abort(
    task: TaskArgument, reason: ReasonOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Give an attempt up; it stays visible with its reason."""
    answer = command(
        config, "task.abort", {"task": task, "reason": reason}, secret_for(person), key=key, as_json=as_json
    )
    _done(answer, f"{task} aborted", as_json=as_json)


@task_app.command("list", epilog=example("task list -c gateway.toml"))
def list_tasks(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the tasks that the gateway knows, newest first."""
    tasks = view(config, "tasks", as_json=as_json)
    _show_tasks(tasks, "no tasks yet; start one: yaosu task start --help", as_json=as_json)


def _show_tasks(tasks: Any, nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json(tasks)
        return
    shown = table("task", "started", "purpose", "sample", "method", "operators", "phase", "overall")
    for task in tasks:
        shown.add_row(
            task["task"], local_time(task["started_utc_ns"]), task["purpose"], task["sample"] or "",
            task["method"] or "", ", ".join(task["operators"]), task["phase"], task["overall"],
        )  # fmt: skip
    OUT.print(shown if tasks else nothing)


@hold_app.command("list", epilog=example("hold list -c gateway.toml"))
def list_holds(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the results that wait for a person's disposition."""
    _show_tasks(view(config, "holds", as_json=as_json), "nothing is held", as_json=as_json)


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
    _done(answer, f"{task}: {disposition}", as_json=as_json)


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
    _done(answer, f"{instrument} is {state}", as_json=as_json)


@registry_app.command("import", epilog=example("registry import registry.toml --as p-0001"))
def import_registry(
    file: Annotated[Path, typer.Argument(help="TOML or CSV file.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take over a registry file. Names go to the lab's own directory, opaque ids into the record."""
    try:
        content = read_registry(file, time.time_ns())
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    show_findings(content.warnings)
    args = {"records": content.records, "directory": content.directory}
    answer = command(config, "registry.import", args, secret_for(person), key=key, as_json=as_json)
    _done(answer, f"{len(content.records)} registry records imported", as_json=as_json)


@registry_app.command("show", epilog=example("registry show equipment -c gateway.toml"))
def show_registry(
    kind: Annotated[RegistryType, typer.Argument(help="Which part.")],
    known_at: Annotated[int | None, typer.Option(min=0, help="As known when this seq was recorded.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show registry entries; with --json all that they hold."""
    query = "" if known_at is None else f"?known_at={known_at}"
    entries = view(config, f"registry/{kind}{query}", as_json=as_json)
    if as_json:
        print_json(entries)
        return
    shown = table("id", "valid from", "valid to", "record")
    for entry in entries:
        times = (entry["valid_from_ns"], entry["valid_to_ns"])
        shown.add_row(entry["id"], *("" if t is None else local_time(t) for t in times), str(entry["seq"]))
    OUT.print(shown if entries else f"no {kind} is registered; import a file: yaosu registry import --help")


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(task_app, name="task", rich_help_panel=WORK)
    app.add_typer(hold_app, name="hold", rich_help_panel=WORK)
    app.add_typer(instrument_app, name="instrument", rich_help_panel=WORK)
    app.add_typer(registry_app, name="registry", rich_help_panel=WORK)
