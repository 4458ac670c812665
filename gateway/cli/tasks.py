"""`task`, `hold`, `instrument`, `registry`: what people do, through the running daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from config import ConfigInvalid, Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ERR,
    OUT,
    ConfigOption,
    JsonOption,
    PersonOption,
    command,
    print_json,
    secret_for,
    view,
)
from pipeline.elements import read_registry

task_app = typer.Typer(no_args_is_help=True, help="Start, hand over, stop, abort and list tasks.")
hold_app = typer.Typer(no_args_is_help=True, help="Held results: list them, dispose of them.")
instrument_app = typer.Typer(no_args_is_help=True, help="Service state of instruments.")
registry_app = typer.Typer(no_args_is_help=True, help="People, equipment, materials, methods, environments.")

TaskArgument = Annotated[str, typer.Argument(help="Id of the task.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


def _done(answer: dict[str, Any], text: str, *, as_json: bool) -> None:
    if not as_json:
        OUT.print(f"{text} (records {', '.join(str(seq) for seq in answer['seq'])})", markup=False)


@task_app.command("start")
def start(
    method: Annotated[str, typer.Option(help="Id of the method clause.")],
    instrument: Annotated[list[str], typer.Option(help="Instrument; repeat for several.")],
    person: PersonOption,
    sample: Annotated[str, typer.Option(help="Id of the sample, as scanned.")] = "",
    reference: Annotated[str, typer.Option(help="Reference material or check weight, for purpose qc.")] = "",
    item: Annotated[str, typer.Option(help="Test item.")] = "",
    purpose: Annotated[
        str,
        typer.Option(help="test, qc, intermediate-check, calibration, maintenance, training, proficiency."),
    ] = "test",
    batch: Annotated[str, typer.Option(help="Analysis batch.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Start the work on one sample for one test item by one method."""
    args: dict[str, Any] = {
        "method": method,
        "instruments": instrument,
        "purpose": purpose,
        "operator": person,
    }
    given = {"sample": sample, "reference": reference, "item": item, "batch": batch}
    args |= {name: value for name, value in given.items() if value}
    answer = command(config, "task.start", args, secret_for(person), as_json=as_json)
    _done(answer, f"task {answer['result']['task']} started", as_json=as_json)


@task_app.command("handover")
def handover(
    task: TaskArgument,
    to: Annotated[str, typer.Option("--to", help="Person who takes over.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Hand a running task over to another operator."""
    answer = command(
        config, "task.handover", {"task": task, "operator": to}, secret_for(person), as_json=as_json
    )
    _done(answer, f"{task} handed over to {to}", as_json=as_json)


@task_app.command("stop")
def stop(
    task: TaskArgument,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """End a task; its result and verdicts follow."""
    answer = command(config, "task.stop", {"task": task}, secret_for(person), as_json=as_json)
    _done(answer, f"{task} stopped", as_json=as_json)


@task_app.command("abort")
def abort(
    task: TaskArgument, reason: ReasonOption, person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Give an attempt up; it stays visible with its reason."""
    answer = command(
        config, "task.abort", {"task": task, "reason": reason}, secret_for(person), as_json=as_json
    )
    _done(answer, f"{task} aborted", as_json=as_json)


@task_app.command("list")
def list_tasks(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the tasks that the gateway knows, newest first."""
    _show_tasks(view(config, "tasks"), as_json=as_json)


def _show_tasks(tasks: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(tasks)
        return
    table = Table("task", "purpose", "sample", "method", "attempt", "phase", "overall")
    for task in tasks:
        table.add_row(
            *(
                str(task.get(key, ""))
                for key in ("task", "purpose", "sample", "method", "attempt", "phase", "overall")
            )
        )
    OUT.print(table)
    if not tasks:
        OUT.print("no tasks yet; start one with: yaosu task start --help", markup=False)


@hold_app.command("list")
def list_holds(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the results that wait for a person's disposition."""
    _show_tasks(view(config, "holds"), as_json=as_json)


@hold_app.command("release")
def release(
    task: TaskArgument,
    reason: ReasonOption,
    person: PersonOption,
    limitation: Annotated[
        str, typer.Option(help="For release-with-limitation: what the result is not good for.")
    ] = "",
    disposition: Annotated[
        str, typer.Option(help="release, release-with-limitation, retest, resample, void, recall, amend.")
    ] = "release",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Dispose of a held result. Asks for person and PIN; the operator of the task may not."""
    seen = view(config, f"tasks/{task}")
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
    answer = command(config, "hold.release", args, actor, as_json=as_json)
    _done(answer, f"{task}: {disposition}", as_json=as_json)


@instrument_app.command("state")
def instrument_state(
    instrument: Annotated[str, typer.Argument(help="Id of the instrument.")],
    state: Annotated[
        str,
        typer.Argument(
            help="in-use, warm-up, qc, intermediate-check, calibration, maintenance, fault, out-of-service."
        ),
    ],
    reason: ReasonOption,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Set the service state of an instrument; it is carried on every frame."""
    args = {"instrument": instrument, "state": state, "reason": reason}
    answer = command(config, "instrument.state", args, secret_for(person), as_json=as_json)
    _done(answer, f"{instrument} is {state}", as_json=as_json)


@registry_app.command("import")
def import_registry(
    file: Annotated[Path, typer.Argument(help="TOML or CSV file.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Take over a registry file. Names go to the lab's own directory, opaque ids into the record."""
    try:
        content = read_registry(file)
    except ConfigInvalid as invalid:
        for finding in invalid.findings:
            ERR.print(str(finding), markup=False)
        raise typer.Exit(int(Exit.CONFIG)) from None
    args = {"records": content.records, "directory": content.directory}
    answer = command(config, "registry.import", args, secret_for(person), as_json=as_json)
    _done(answer, f"{len(content.records)} registry records imported", as_json=as_json)


@registry_app.command("show")
def show_registry(
    kind: Annotated[str, typer.Argument(help="person, equipment, material, method or environment.")],
    known_at: Annotated[int | None, typer.Option(help="As known when this seq was recorded.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Print registry entries as JSON."""
    query = "" if known_at is None else f"?known_at={known_at}"
    print_json(view(config, f"registry/{kind}{query}"))


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(task_app, name="task")
    app.add_typer(hold_app, name="hold")
    app.add_typer(instrument_app, name="instrument")
    app.add_typer(registry_app, name="registry")
