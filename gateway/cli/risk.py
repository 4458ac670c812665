"""`risk`: the operational risk index with its reasons, the official class, the regulator's table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

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
    print_json,
    secret_for,
    table,
    view,
)
from pipeline.elements.risk.spot_check import read_spot_checks
from pipeline.elements.risk.state import CreditClass

risk_app = typer.Typer(no_args_is_help=True, help="Operational risk index; official class and spot checks.")
_DAY_S = 86_400.0


@risk_app.command("show", epilog=example("risk show -c gateway.toml"))
def show(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the index of every element, instrument, person and method, and of the laboratory."""
    found = view(config, "risk", as_json=as_json)
    if as_json:
        print_json(found)
        return
    shown = table("subject", "index", "level", "tasks", "basis", "events")
    for row in found["subjects"]:
        index = f"{row['index']:.1f}"
        shown.add_row(
            row["subject"], index, row["level"], str(row["tasks"]), row["basis"], str(row["events"])
        )
    OUT.print(shown)
    OUT.print(f"index: {found['unit']}; why: yaosu risk explain SUBJECT", markup=False)
    _show_official(found)


def _show_official(found: dict[str, Any]) -> None:
    official, spot = found["credit_class"], found["spot_checks"]
    if official is None:
        OUT.print("no official credit-risk class is imported: yaosu risk class --help")
    else:
        told = f"official credit-risk class {official['credit_class']}, {official['source']}"
        OUT.print(f"{told}, {official['decided_on']} (record {official['seq']})", markup=False)
    if spot is None:
        OUT.print("no table of spot checks is imported: yaosu risk table --help")
        return
    kind = "ILLUSTRATIVE, issued by nobody: " if spot["illustrative"] else ""
    OUT.print(f"spot checks by {kind}{spot['title']} ({spot['issuer']}, {spot['issued_on']})", markup=False)
    row = spot["applies"]
    if row is not None:
        OUT.print(
            f"  proportion {row['proportion']:.0%}, {row['per_year']:g} a year {row['note']}", markup=False
        )


@risk_app.command("explain", epilog=example("risk explain instrument:p-1 -c gateway.toml"))
def explain(
    subject: Annotated[
        str, typer.Argument(help="lab, element:NAME, instrument:ID, person:ID or method:ID.")
    ] = "lab",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List what an index consists of, event by event: record, weight, age, points."""
    found = view(config, f"risk?subject={quote(subject, safe='')}", as_json=as_json)
    if as_json:
        print_json(found)
        return
    about = f"{found['subject']}: index {found['index']:.1f}, {found['level']}"
    OUT.print(f"{about}; {found['tasks']} tasks, {found['basis']}", markup=False)
    shown = table("code", "records", "task", "weight", "age in days", "points")
    for each in found["contributions"]:
        span = (each["seq_first"], each["seq_last"])
        records = str(span[0]) if span[0] == span[1] else f"{each['count']} in {span[0]}–{span[1]}"
        shown.add_row(
            each["code"], records, each["task"], f"{each['weight']:.2f}",
            f"{each['age_s'] / _DAY_S:.1f}", f"{each['points']:.2f}",
        )  # fmt: skip
    OUT.print(shown if found["contributions"] else "nothing counts against it")


@risk_app.command(
    "class", epilog=example('risk class B --source "SAMR list 2026" --decided-on 2026-03-01 --as p-0001')
)
def import_class(
    credit_class: Annotated[CreditClass, typer.Argument(help="As decided by the authority.")],
    source: Annotated[str, typer.Option(help="Who decided it, and where it is published.")],
    decided_on: Annotated[str, typer.Option(help="Date of the decision, such as 2026-03-01.")],
    person: PersonOption,
    document: Annotated[str, typer.Option(help="Number of the document.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record the official credit-risk class (信用风险类别). The gateway never computes one."""
    args = {"credit_class": credit_class, "source": source, "decided_on": decided_on}
    if document:
        args["document"] = document
    answer = command(config, "risk.class", args, secret_for(person), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"class {credit_class} imported (record {answer['seq'][0]})", markup=False)


@risk_app.command("table", epilog=example("risk table spot-checks.toml --as p-0001"))
def import_table(
    file: Annotated[Path, typer.Argument(help="The regulator's TOML file.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record the regulator's table of spot checks: proportion and frequency by class."""
    try:
        content = read_spot_checks(file)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    answer = command(config, "risk.table", {"table": content}, secret_for(person), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{content['title']} imported (record {answer['seq'][0]})", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(risk_app, name="risk", rich_help_panel=WORK)
