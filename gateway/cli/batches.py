"""`batch`, `chart`, `control` and `qc due`: analysis batches, QC plan and control charts."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from config import Exit
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
    local_time,
    print_json,
    secret_for,
    table,
    view,
)

batch_app = typer.Typer(no_args_is_help=True, help="Analysis batches: what stands or falls together.")
chart_app = typer.Typer(no_args_is_help=True, help="Control charts: list, show, propose, approve.")
control_app = typer.Typer(no_args_is_help=True, help="Quality controls whose value is told afterwards.")

BatchArgument = Annotated[str, typer.Argument(help="Id of the batch.")]
ChartArgument = Annotated[str, typer.Argument(help="Id of the chart, such as C-1.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


def _say(text: str, *, as_json: bool) -> None:
    if not as_json:
        OUT.print(text, markup=False)


@batch_app.command("open", epilog=example("batch open B-2026-11-22 --method cadmium --as p-0002"))
def open_batch(
    batch: BatchArgument,
    method: Annotated[str, typer.Option(help="Id of the method.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Open a batch; tasks join it by `task start --batch`."""
    args = {"batch": batch, "method": method}
    command(config, "batch.open", args, secret_for(person), key=key, as_json=as_json)
    _say(f"batch {batch} is open", as_json=as_json)


@batch_app.command(
    "close",
    epilog=example(
        "batch close B-2026-11-22 --as p-0002",
        'batch close B-2026-11-22 --without-qc "spike solution broken" --as p-0002',
    ),
)
def close_batch(
    batch: BatchArgument,
    person: PersonOption,
    without_qc: Annotated[
        str, typer.Option("--without-qc", help="Close although controls are missing, and why: all is held.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Close a batch: its verdicts become final."""
    args = {"batch": batch} | ({"without_qc": without_qc} if without_qc else {})
    answer = command(config, "batch.close", args, secret_for(person), key=key, as_json=as_json)
    overdue = answer["result"].get("overdue") or []
    missing = f"; held for want of: {', '.join(overdue)}" if overdue else ""
    _say(f"batch {batch} is closed{missing}", as_json=as_json)


@batch_app.command("list", epilog=example("batch list"))
def list_batches(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the batches, open ones first."""
    batches = view(config, "batches", as_json=as_json)
    if as_json:
        print_json(batches)
        return
    shown = table("batch", "method", "opened", "tasks", "state", "missing controls")
    for one in batches:
        state = "open" if one["open"] else f"closed {local_time(one['closed_utc_ns'])}"
        opened = local_time(one["opened_utc_ns"])
        shown.add_row(
            one["batch"], one["method"], opened, str(one["tasks"]), state, ", ".join(one["overdue"])
        )
    OUT.print(shown if batches else "no batches yet; open one: yaosu batch open --help")


@batch_app.command("show", epilog=example("batch show B-2026-11-22"))
def show_batch(
    batch: BatchArgument, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show a batch with its tasks by place, the outcomes of its controls, and what is due."""
    found = view(config, f"batches/{quote(batch, safe='')}", as_json=as_json)
    if as_json:
        print_json(found)
        return
    shown = table("place", "task", "role", "sample", "overall", "quality control")
    for one in found["members"]:
        outcomes = "; ".join(_outcome(each) for each in one["outcomes"])
        shown.add_row(
            str(one.get("place") or ""), one["task"], one.get("role", ""), one.get("sample") or "",
            one.get("overall", "no longer in memory"), outcomes,
        )  # fmt: skip
    OUT.print(shown)
    for due in found["due"]:
        OUT.print(_due_text(due), markup=False)


def _outcome(outcome: dict[str, Any]) -> str:
    figure = (
        outcome["why"] if outcome["figure"] is None else f"{outcome['figure_name']} {outcome['figure']:.4g}"
    )
    rules = ", ".join(rule["rule"] for rule in outcome["rules"])
    return f"{outcome['quantity']}: {outcome['status']} ({figure}{'; ' if rules else ''}{rules})"


def _due_text(due: dict[str, Any]) -> str:
    urgency = "overdue" if due["overdue"] else "due"
    return f"{urgency}: {due['kind']} ({due['basis']}, {due['have']} of {due['needed']})"


def qc_due(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show which controls the methods' QC plans ask for now; exit 1 when one is overdue."""
    dues = view(config, "qc-due", as_json=as_json)
    if as_json:
        print_json(dues)
    else:
        shown = table("method", "batch or instrument", "control", "counted by", "have", "needed", "state")
        for due in dues:
            have = "never" if due["have"] is None else f"{due['have']:g}"
            state = "overdue" if due["overdue"] else "due" if due["basis"] != "interval" else "in time"
            where = due["batch"] or due["instrument"] or ""
            shown.add_row(due["method"], where, due["kind"], due["basis"], have, f"{due['needed']:g}", state)
        OUT.print(shown if dues else "no quality control is due")
    if any(due["overdue"] for due in dues):
        raise typer.Exit(int(Exit.FINDINGS))


@control_app.command(
    "assess", epilog=example("control assess 5b41ec3a-00042 --quantity cd --assigned 41.2 --as p-0004")
)  # fmt: skip
def assess(
    task: Annotated[str, typer.Argument(help="Task of the blind sample or proficiency test.")],
    quantity: Annotated[str, typer.Option(help="The result that it is about.")],
    assigned: Annotated[float, typer.Option(help="Assigned value, in the unit of the result.")],
    person: PersonOption,
    uncertainty: Annotated[float | None, typer.Option(help="Its expanded uncertainty U.")] = None,
    k: Annotated[float | None, typer.Option("--k", help="Coverage factor of U.")] = None,
    sigma: Annotated[float | None, typer.Option(help="Standard deviation for assessment, σ_pt.")] = None,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Tell the value of a blind sample or a proficiency test."""
    numbers = {"uncertainty": uncertainty, "k": k, "sigma": sigma}
    args: dict[str, Any] = {"task": task, "quantity": quantity, "assigned": assigned}
    args |= {name: value for name, value in numbers.items() if value is not None}
    command(config, "control.assess", args, secret_for(person), key=key, as_json=as_json)
    _say(f"{task} is judged against {assigned:g}", as_json=as_json)


@chart_app.command("list", epilog=example("chart list"))
def list_charts(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the control charts."""
    charts = view(config, "charts", as_json=as_json)
    if as_json:
        print_json(charts)
        return
    shown = table(
        "chart", "method", "instrument", "quantity", "material", "level", "points", "version", "last"
    )
    for one in charts:
        waiting = f", {one['waiting'][-1]} waits for approval" if one["waiting"] else ""
        z = "" if one["last_z"] is None else f" (z = {one['last_z']:.3g})"
        shown.add_row(
            one["id"], one["method"], one["instrument"], one["quantity"], one["material"], one["level"],
            str(one["observations"]), f"{one['version'] or 'none'}{waiting}",
            f"{one['last_status'] or ''}{z}",
        )  # fmt: skip
    OUT.print(shown if charts else "no charts yet; a QC sample begins one")


@chart_app.command("show", epilog=example("chart show C-1"))
def show_chart(
    chart: ChartArgument, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show the versions and the points of a chart, with the rules that fired."""
    found = view(config, f"charts/{quote(chart, safe='')}", as_json=as_json)
    if as_json:
        print_json(found)
        return
    for version in found["versions"]:
        by = version["proposed_by"] if version["approval"] is None else version["approval"]["person"]
        OUT.print(
            f"version {version['version']} ({version['status']}, {by}): lot {version['lot']}, "
            f"{version['centre']:g} ± {version['sd']:g} {version['unit']}, {version['basis']}",
            markup=False,
        )
    shown = table("when", "task", "lot", "version", "value", "z", "status", "rules")
    for point in found["points"]:
        shown.add_row(
            local_time(point["t_utc_ns"]), point["task"], point["lot"], str(point["version"] or ""),
            "missing" if point["value"] is None else f"{point['value']:g} {point['unit']}",
            "" if point["z"] is None else f"{point['z']:.3g}", point["status"], "; ".join(point["en"]),
        )  # fmt: skip
    OUT.print(shown)


@chart_app.command(
    "propose",
    epilog=example(
        "chart propose --method cadmium --instrument icp-1 --quantity cd --material QC-7 --basis algorithm-a "
        '--reason "first 20 days" --as p-0002'
    ),
)
def propose(
    method: Annotated[str, typer.Option(help="Id of the method.")],
    instrument: Annotated[str, typer.Option(help="Id of the instrument.")],
    quantity: Annotated[str, typer.Option(help="The result that is charted.")],
    material: Annotated[str, typer.Option(help="Id of the QC sample.")],
    basis: Annotated[
        str, typer.Option(help="classical, algorithm-a or moving-range (of a period), certified, assigned.")
    ],
    reason: ReasonOption,
    person: PersonOption,
    level: Annotated[str, typer.Option(help="Level; the registry's when left out.")] = "",
    lot: Annotated[str, typer.Option(help="Lot; the registry's when left out.")] = "",
    unit: Annotated[str, typer.Option(help="Unit of centre and SD; that of the points when left out.")] = "",
    centre: Annotated[float | None, typer.Option(help="Centre line, for basis assigned.")] = None,
    sd: Annotated[float | None, typer.Option(help="SD, for basis assigned or certified.")] = None,
    config: ConfigOption = DEFAULT_CONFIG, key: KeyOption = "", as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Propose a version: new lines, or a new lot. It judges nothing until somebody else approves it."""
    args: dict[str, Any] = {
        "method": method, "instrument": instrument, "quantity": quantity, "material": material,
        "basis": basis, "reason": reason,
    }  # fmt: skip
    given = {"level": level or None, "lot": lot or None, "unit": unit or None, "centre": centre, "sd": sd}
    args |= {name: value for name, value in given.items() if value is not None}
    answer = command(config, "chart.propose", args, secret_for(person), key=key, as_json=as_json)
    _say(f"version {answer['result']['version']} waits for approval: yaosu chart approve", as_json=as_json)


@chart_app.command("approve", epilog=example('chart approve C-1 2 --reason "stable, no trend" --as p-0004'))
def approve(
    chart: ChartArgument,
    version: Annotated[int, typer.Argument(min=1, help="Version that waits.")],
    reason: ReasonOption,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put a proposed version into force; what is signed is the version as it is shown."""
    found = view(config, f"charts/{quote(chart, safe='')}", as_json=as_json)
    signed = next((one["to_sign"] for one in found["versions"] if one["version"] == version), "")
    args = {"chart": found["chart"], "version": version, "reason": reason, "signed_hash": signed}
    command(config, "chart.approve", args, secret_for(person), key=key, as_json=as_json)
    _say(f"version {version} of {chart} is in force", as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(batch_app, name="batch", rich_help_panel=WORK)
    app.add_typer(chart_app, name="chart", rich_help_panel=WORK)
    app.add_typer(control_app, name="control", rich_help_panel=WORK)
