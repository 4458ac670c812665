"""`profile`: register maps of products, to be copied into a site file, checked and imported."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from config import ConfigInvalid, Exit
from drivers.modbus.channel import REGISTERS, Table
from drivers.modbus.plausible import channel_of, interpret
from drivers.modbus.profiles import lint_profile, list_profiles, load_profile
from drivers.modbus.profiles.example import hex_bytes
from drivers.modbus.profiles.file import Driver
from drivers.modbus.profiles.from_csv import CsvError, Numbering, import_csv
from drivers.modbus.profiles.from_sunspec import SunSpecError, import_sunspec
from drivers.modbus.profiles.text import Imported, instrument_text, profile_text
from gateway.cli.common import (
    ERR,
    OUT,
    SET_UP,
    JsonOption,
    example,
    fail,
    leave_invalid,
    print_json,
    show_findings,
    table,
)

if TYPE_CHECKING:
    from drivers.modbus.channel import ValueType
    from drivers.modbus.plausible import Candidate
    from drivers.modbus.profiles.file import LoadedProfile

profile_app = typer.Typer(
    no_args_is_help=True, help="Register maps of instruments: list, copy, check, import."
)
import_app = typer.Typer(no_args_is_help=True, help="Make a profile of a vendor's register list.")
_BY_BYTES: dict[int, tuple[ValueType, ...]] = {
    2: ("int16", "uint16", "float16", "bcd16"),
    4: ("float32", "int32", "uint32", "bcd32"),
    8: ("float64", "int64", "uint64"),
}
_NUMBERS: dict[str, ValueType] = {kind: kind for kind in REGISTERS if kind not in {"bool", "int8", "uint8"}}
NameArgument = Annotated[str, typer.Argument(help="Name of a profile (see: profile list), or a .toml file.")]


def _loaded(name: str) -> LoadedProfile:
    try:
        return load_profile(name)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)


@profile_app.command("list", epilog=example("profile list"))
def list_all(as_json: JsonOption = False) -> None:
    """List the profiles that come along."""
    heads = [_loaded(file.stem).value for file in list_profiles()]
    if as_json:
        print_json(
            [
                {**each.profile.model_dump(), "driver": each.line.driver, "channels": len(each.channels)}
                for each in heads
            ]
        )
        return
    rows = table("profile", "vendor", "model", "channels")
    for each in heads:
        rows.add_row(each.profile.name, each.profile.vendor, each.profile.model, str(len(each.channels)))
    OUT.print(rows)


@profile_app.command("show", epilog=example("profile show hmp110"))
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Show the register map of a profile, its source and its notes."""
    loaded = _loaded(name)
    profile = loaded.value
    if as_json:
        print_json({"sha256": loaded.sha256, **profile.model_dump(mode="json", exclude_unset=True)})
        return
    head = profile.profile
    OUT.print(f"{head.name}: {head.vendor} {head.model}\nsource: {head.source}", markup=False)
    for note in head.notes:
        OUT.print(f"- {note}", markup=False)
    OUT.print(
        "line: " + ", ".join(f"{key} {each}" for key, each in profile.line.given().items()), markup=False
    )
    rows = table("channel", "table", "address", "type", "order", "unit")
    for channel in profile.channels:
        rows.add_row(
            channel.name, channel.table, str(channel.address), channel.type, channel.order, channel.unit
        )
    OUT.print(rows)


@profile_app.command(
    "use",
    epilog=example(
        "profile use hmp110 --id room-1 --port /dev/serial/by-id/usb-…",
        "profile use thermo-49iq --id ozone --host 192.0.2.20",
    ),
)
def use(
    name: NameArgument,
    instrument: Annotated[str, typer.Option("--id", help="Id of the instrument.")],
    port: Annotated[str | None, typer.Option(help="Serial port, or TCP port beside --host.")] = None,
    host: Annotated[str | None, typer.Option(help="Name or address, for devices on a network.")] = None,
    driver: Annotated[
        str | None,
        typer.Option(help="Kind of line, where a gateway makes it another: modbus-tcp, modbus-rtu-tcp …"),
    ] = None,
    unit: Annotated[int | None, typer.Option(help="Unit number, where it is not the factory's.")] = None,
    baudrate: Annotated[int | None, typer.Option(help="Bits per second, likewise.")] = None,
    parity: Annotated[str | None, typer.Option(help="N, E or O, likewise.")] = None,
    interval_s: Annotated[float | None, typer.Option("--interval-s", help="Time between two polls.")] = None,
) -> None:
    """Print the instrument's table for the site file: the profile is copied, so the file stays complete."""
    loaded = _loaded(name)
    if driver is not None and driver not in get_args(Driver):
        fail(Exit.USAGE, f"no driver '{driver}' for profiles; there are: {', '.join(get_args(Driver))}")
    serial = (driver or loaded.value.line.driver) in {"modbus-rtu", "modbus-ascii"}
    _check_place(name, port, host, serial=serial)
    given: dict[str, Any] = {
        "id": instrument,
        "driver": driver,
        "host": host,
        "port": int(port) if port and not serial else port,
        "unit": unit,
        "baudrate": baudrate,
        "parity": parity,
        "poll_interval_s": interval_s,
    }
    try:
        text = instrument_text(loaded, given)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    typer.echo(text, nl=False)


def _check_place(name: str, port: str | None, host: str | None, *, serial: bool) -> None:
    if serial and (port is None or host is not None):
        advice = "give --port (see: yaosu scan), or --driver modbus-tcp and --host"
        fail(Exit.USAGE, f"'{name}' is for a serial line: {advice}")
    if not serial and (host is None or (port is not None and not port.isdecimal())):
        fail(Exit.USAGE, f"'{name}' is for a network: give --host, and a number as --port or none")


@profile_app.command("lint", epilog=example("profile lint my-device.toml"))
def lint(
    files: Annotated[list[Path], typer.Argument(help="Profile files.")], as_json: JsonOption = False
) -> None:
    """Find everything wrong or doubtful in profiles, with line and column; decodes their examples.

    Ends with 78 when a profile cannot be used. Warnings stop nothing.
    """
    found = {str(file): lint_profile(file) for file in files}
    for file, findings in found.items():
        show_findings(findings)
        if not as_json and not any(each.severity == "error" for each in findings):
            doubts = f", {len(findings)} to look at" if findings else ""
            OUT.print(f"{file}: good{doubts}", markup=False)
    if as_json:
        print_json({file: [asdict(each) for each in findings] for file, findings in found.items()})
    if any(each.severity == "error" for findings in found.values() for each in findings):
        raise typer.Exit(int(Exit.CONFIG))


@profile_app.command(
    "plausible",
    epilog=example('profile plausible "43 66 80 00"', 'profile plausible "00 00 43 66" --low 180 --high 260'),
)
def plausible(
    data: Annotated[str, typer.Argument(help="Register bytes in hexadecimal, two for each register.")],
    kind: Annotated[
        str | None, typer.Option("--type", help="int16 … float64; all that fit if left out.")
    ] = None,
    low: Annotated[float | None, typer.Option(help="Lowest value that makes sense.")] = None,
    high: Annotated[float | None, typer.Option(help="Highest value that makes sense.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a number under all byte and word orders, and which of them are plausible."""
    try:
        raw = hex_bytes(data)
    except ValueError:
        fail(Exit.USAGE, f"'{data}' is no hexadecimal; write the bytes as 43 66 80 00")
    if kind is not None and kind not in _NUMBERS:
        fail(Exit.USAGE, f"no type '{kind}'; there are: {', '.join(_NUMBERS)}")
    kinds = _BY_BYTES.get(len(raw), ("float32",)) if kind is None else (_NUMBERS[kind],)
    if len(raw) % 2 or len(raw) < 2 * REGISTERS[kinds[0]] or len(raw) > 250:
        fail(Exit.USAGE, f"{len(raw)} bytes hold no {kinds[0]}: two bytes for each register, 250 at most")
    registers = {at: int.from_bytes(raw[2 * at : 2 * at + 2], "big") for at in range(len(raw) // 2)}
    try:
        channels = [channel_of(each, low=low, high=high) for each in kinds]
    except ValueError:
        fail(Exit.USAGE, f"--low {low} is not below --high {high}")
    show_candidates([c for one in channels for c in interpret(one, registers, registers)], as_json=as_json)


def show_candidates(candidates: list[Candidate], *, as_json: bool, address: int | None = None) -> None:
    """Show ways to read registers; the ones at `address` are those of the configuration."""
    if as_json:
        print_json([{**each._asdict(), "plausible": not each.doubt} for each in candidates])
        return
    rows = table("register", "type", "order", "value", "plausible")
    for each in candidates:
        away = "" if address is None or each.address == address else f" ({each.address - address:+d})"
        shown = "-" if each.value is None else str(each.value)
        rows.add_row(f"{each.address}{away}", each.type, each.order, shown, each.doubt or "yes")
    OUT.print(rows)


@import_app.command("csv", epilog=example("profile import csv registers.csv"))
def from_csv(
    file: Annotated[
        Path, typer.Argument(help="Register list: columns like address, name, type, unit, scale.")
    ],
    where: Annotated[
        str, typer.Option("--table", help="input or holding, where the list does not say.")
    ] = "holding",
    numbering: Annotated[
        str, typer.Option(help="How the list counts: auto, 0, 1 or entity (30001, 40001).")
    ] = "auto",
) -> None:
    """Make a profile of a list in CSV, and tell what was assumed."""
    if where not in get_args(Table):
        fail(Exit.USAGE, f"no table '{where}'; there are: {', '.join(get_args(Table))}")
    if numbering not in get_args(Numbering):
        fail(Exit.USAGE, f"no numbering '{numbering}'; there are: {', '.join(get_args(Numbering))}")
    try:
        imported = import_csv(file, table=where, numbering=numbering)  # type: ignore[arg-type] # of the Literal
    except CsvError as error:
        fail(Exit.CONFIG, str(error))
    _print_import(imported)


@import_app.command("sunspec", epilog=example("profile import sunspec model_203.json --base 40070"))
def from_sunspec(
    file: Annotated[Path, typer.Argument(help="A model of the repository sunspec/models, in JSON.")],
    base: Annotated[int, typer.Option(min=0, max=65535, help="Address of the model's first register.")],
) -> None:
    """Make a profile of a SunSpec model: scale factors stay linked, 'not implemented' is known."""
    try:
        imported = import_sunspec(file, base)
    except SunSpecError as error:
        fail(Exit.CONFIG, str(error))
    _print_import(imported)


def _print_import(imported: Imported) -> None:
    for each in imported.told:
        ERR.print(f"told: {each}", markup=False)
    ERR.print(f"{len(imported.channels)} channels; look them over: yaosu profile lint FILE", markup=False)
    typer.echo(profile_text(imported), nl=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    profile_app.add_typer(import_app, name="import")
    app.add_typer(profile_app, name="profile", rich_help_panel=SET_UP)
