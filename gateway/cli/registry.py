"""`registry`, `material`, `certificate`: what the laboratory knows of its elements, then and now."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from config import ConfigInvalid, Exit
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
    fail,
    leave_invalid,
    local_time,
    print_json,
    secret_for,
    show_findings,
    site_of,
    table,
    view,
)
from gateway.cli.task_views import with_query
from gateway.site.ages import age_findings
from pipeline.elements import RegistryImport, read_registries
from pipeline.elements.registry_base import instant_ns
from pipeline.elements.registry_template import template
from pipeline.elements.vocabulary import RegistryType

registry_app = typer.Typer(no_args_is_help=True, help="People, equipment, materials, methods, environments.")
material_app = typer.Typer(no_args_is_help=True, help="Materials at the bench: hand over, open.")
certificate_app = typer.Typer(no_args_is_help=True, help="Certificates: withdraw.")
Table = Literal["person", "equipment", "material", "method", "environment", "correction", "customer"]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]
MaterialArgument = Annotated[str, typer.Argument(help="Id of the material.")]


def _read(files: list[Path]) -> RegistryImport:
    try:
        content = read_registries(files, time.time_ns())
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    show_findings(content.warnings)
    return content


@registry_app.command(
    "import",
    epilog=example(
        "registry import registry.toml --as p-0001",
        'registry import equipment.csv material.csv --reason "yearly review" --as p-0001',
        "registry import registry.toml --dry-run --as p-0001",
    ),
)
def import_registry(
    file: Annotated[list[Path], typer.Argument(help="TOML or CSV files, taken together or not at all.")],
    person: PersonOption,
    reason: Annotated[str, typer.Option(help="Why; kept in the record.")] = "",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would change; nothing is recorded, no PIN is asked for."),
    ] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take over registry files. Names go to the lab's own directory, opaque ids into the record."""
    content = _read(file)
    ages = age_findings(content.watched, site_of(config).intervals_s())
    show_findings(ages)
    if any(each.severity == "error" for each in ages):
        fail(Exit.CONFIG, "nothing was imported: the site's polls cannot keep these times")
    if dry_run:
        _preview(config, content, person, as_json=as_json)
        return
    args: dict[str, Any] = {"records": content.records, "directory": content.directory}
    if reason:
        args["reason"] = reason
    answer = command(config, "registry.import", args, secret_for(person), key=key, as_json=as_json)
    imported = answer["result"]["imported"]
    known = len(content.records) - imported
    more = f", {known} known already" if known > 0 else ""
    done(answer, f"{imported} registry records imported{more}", as_json=as_json)


def _preview(config: Path, content: RegistryImport, person: str, *, as_json: bool) -> None:
    answer = command(
        config, "registry.preview", {"records": content.records}, {"person": person}, as_json=as_json
    )
    if as_json:
        return
    found = answer["result"]
    for entry in found["entries"]:
        keys = f": {', '.join(entry['keys'])}" if entry["keys"] else ""
        OUT.print(f"{entry['change']} {entry['type']} {entry['id']}{keys}", markup=False)
    OUT.print(f"{found['new']} new, {found['changed']} changed, {found['same']} the same", markup=False)


@registry_app.command("template", epilog=example("registry template equipment"))
def show_template(
    kind: Annotated[Table, typer.Argument(metavar="TYPE", help="Which file.")],
) -> None:
    """Print a CSV file to fill in: its columns, each with what it means and how it is written."""
    print(template(kind), end="")  # noqa: T201 - alone on standard output, for a file


@registry_app.command(
    "show",
    epilog=example(
        "registry show equipment -c gateway.toml",
        "registry show material S-1 --known-at 30123 --valid-at 2026-03-01T08:00:00+08:00 --json",
    ),
)
def show_registry(
    kind: Annotated[RegistryType, typer.Argument(metavar="TYPE", help="Which part.")],
    entry: Annotated[
        str, typer.Argument(metavar="[ID]", help="This entry alone, with all that it holds.")
    ] = "",
    known_at: Annotated[
        int | None, typer.Option(min=0, help="As known when this record was written; else as known now.")
    ] = None,
    valid_at: Annotated[
        str,
        typer.Option(help="As it was at this instant, ISO 8601 with offset; else as it became known last."),
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Show registry entries, as known then or now, as valid then or last."""
    given = {
        "id": entry,
        "known_at": "" if known_at is None else str(known_at),
        "valid_at": _instant(valid_at),
    }
    entries = view(config, with_query(f"registry/{kind}", given), as_json=as_json)
    if as_json:
        print_json(entries)
        return
    if not entries:
        OUT.print(f"no such {kind} is registered; import a file: yaosu registry import --help", markup=False)
        return
    if entry:
        _show_entry(entries[0])
        return
    shown = table("id", "valid from", "valid to", "record")
    for one in entries:
        times = (one["valid_from_ns"], one["valid_to_ns"])
        shown.add_row(one["id"], *("" if t is None else local_time(t) for t in times), str(one["seq"]))
    OUT.print(shown)


def _instant(text: str) -> str:
    if not text:
        return ""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        fail(Exit.USAGE, f"'{text}' is no instant with its offset, such as 2026-03-01T08:00:00+08:00")
    return str(instant_ns(instant))


def _show_entry(entry: dict[str, Any]) -> None:
    until = "" if entry["valid_to_ns"] is None else f" to {local_time(entry['valid_to_ns'])}"
    by = entry["by"]
    OUT.print(f"{entry['id']}: valid from {local_time(entry['valid_from_ns'])}{until}", markup=False)
    who = f"{by['person']} ({by['how']})" + (f": {by['reason']}" if by["reason"] else "")
    OUT.print(f"  record {entry['seq']}, {local_time(entry['recorded_at_ns'])}, by {who}", markup=False)
    for name, value in entry["data"].items():
        if value not in (None, "", [], ()):
            OUT.print(f"  {name}: {_plain(name, value)}", markup=False)


def _plain(name: str, value: Any) -> str:
    """Write a value out: times as such, tables as key = value."""
    if name.endswith("_ns") and isinstance(value, int):
        return local_time(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(key, inner)}" for key, inner in value.items() if inner is not None)
    if isinstance(value, list):
        return "; ".join(_plain(name, inner) for inner in value)
    return str(value)


@material_app.command(
    "handover", epilog=example('material handover S-1 --to p-0004 --place "cold store" --as p-0002')
)
def handover(
    material: MaterialArgument,
    to: Annotated[str, typer.Option("--to", help="Person who takes it.")],
    place: Annotated[str, typer.Option(help="Where it is kept from now on.")],
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Hand a sample or material over: the next link of its chain of custody."""
    args = {"material": material, "to": to, "place": place}
    answer = command(config, "material.handover", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"{material} handed over to {to}", as_json=as_json)


@material_app.command("open", epilog=example("material open R-12 --as p-0002"))
def open_material(
    material: MaterialArgument,
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Note that a reagent or reference material was opened: its shorter life begins."""
    answer = command(
        config, "material.open", {"material": material}, secret_for(person), key=key, as_json=as_json
    )
    done(answer, f"{material} is open", as_json=as_json)


@certificate_app.command(
    "withdraw",
    epilog=example(
        'certificate withdraw --equipment EQ-101 --reason "withdrawn by the laboratory" --as p-0003'
    ),
)
def withdraw(
    reason: ReasonOption,
    person: PersonOption,
    equipment: Annotated[str, typer.Option(help="Asset or instrument whose certificate it is.")] = "",
    material: Annotated[str, typer.Option(help="Reference material whose certificate it is.")] = "",
    from_utc: Annotated[str, typer.Option("--from", help="Since when, if not ever since; ISO 8601.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Note that a certificate does not hold: the results that rest on it are looked back at."""
    if bool(equipment) == bool(material):
        fail(Exit.USAGE, "name one: --equipment ID or --material ID")
    args = {"equipment": equipment, "material": material, "from_utc": from_utc, "reason": reason}
    args = {name: value for name, value in args.items() if value}
    answer = command(config, "certificate.withdraw", args, secret_for(person), key=key, as_json=as_json)
    done(answer, f"the certificate of {equipment or material} is withdrawn", as_json=as_json)


def register(app: typer.Typer) -> None:
    """Add the command groups."""
    app.add_typer(registry_app, name="registry", rich_help_panel=WORK)
    app.add_typer(material_app, name="material", rich_help_panel=WORK)
    app.add_typer(certificate_app, name="certificate", rich_help_panel=WORK)
