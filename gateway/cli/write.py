"""`write`: set a point of an instrument, in two steps, through the running daemon and nowhere else."""

from __future__ import annotations

from typing import Annotated

import typer

from drivers.modbus.settings import ModbusSettings
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
    site_of,
    table,
)

write_app = typer.Typer(no_args_is_help=True, help="Set a point of an instrument: prepare, then confirm.")
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


@write_app.command("list", epilog=example("write list -c gateway.toml"))
def list_points(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show the points that the site file allows to be set. There are none unless it names them."""
    points = [
        (one.id, point)
        for one in site_of(config).settings.instrument
        if isinstance(one, ModbusSettings)
        for point in one.writes
    ]
    if as_json:
        print_json([{"instrument": name, **point.model_dump(mode="json")} for name, point in points])
        return
    rows = table("instrument", "point", "from", "to", "step", "unit", "who may")
    for name, point in points:
        step = "" if point.step is None else f"{point.step:g}"
        limits = f"{point.low:g}", f"{point.high:g}"
        rows.add_row(name, point.name, *limits, step, point.unit, ", ".join(point.roles))
    OUT.print(rows if points else "no point of any instrument may be set")


@write_app.command("prepare", epilog=example(
    'write prepare oven-1 setpoint 105 --reason "drying of batch 7" --as p-0001',
))  # fmt: skip
def prepare(
    instrument: Annotated[str, typer.Argument(help="Id of the instrument.")],
    point: Annotated[str, typer.Argument(help="Name of the point.")],
    value: Annotated[float, typer.Argument(help="The value, in the point's unit.")],
    person: PersonOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Check a write and show what it would do. Nothing is written yet."""
    args = {"instrument": instrument, "point": point, "value": value, "reason": reason}
    answer = command(config, "write.prepare", args, secret_for(person), key=key, as_json=as_json)
    if as_json:
        return
    told = answer["result"]
    unit = told["unit"]
    OUT.print(
        f"{point} of {instrument} is {told['before']} {unit} and would become {value:g} {unit}", markup=False
    )
    OUT.print(told["confirm"]["en"], markup=False)
    OUT.print(told["confirm"]["zh"], markup=False)
    done(answer, f"prepared as {told['write']}", as_json=False)
    OUT.print(
        f"within {told['expires_s']} s: yaosu write confirm {told['write']} {value:g} --reason … --as PERSON",
        markup=False,
    )


@write_app.command("confirm", epilog=example(
    'write confirm 3fa94c01 105 --reason "looked at, empty" --as p-0001',
))  # fmt: skip
def confirm(
    write: Annotated[str, typer.Argument(help="What `write prepare` gave.")],
    value: Annotated[float, typer.Argument(help="The value once more.")],
    person: PersonOption,
    reason: ReasonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write what was prepared, read it back, and record both. Ends with 1 when it does not read back."""
    args = {"write": write, "value": value, "reason": reason}
    answer = command(config, "write.confirm", args, secret_for(person), key=key, as_json=as_json)
    told = answer["result"]
    done(
        answer, f"{told['point']} of {told['instrument']} reads {told['found']} {told['unit']} now",
        as_json=as_json,
    )  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(write_app, name="write", rich_help_panel=WORK)
