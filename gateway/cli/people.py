"""`init`, `person`, `keys`: who may act, and whose receipts count."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    ConfigOption,
    JsonOption,
    PersonOption,
    command,
    fail,
    print_json,
    secret_for,
    site_of,
)
from gateway.edge.state import TrustedKeys
from gateway.initialise import AlreadyInitialisedError, initialise
from gateway.persons import PersonsError
from pipeline.records.signing import SigningKey

person_app = typer.Typer(no_args_is_help=True, help="People who may act: enrol, change password, disable.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of collectors: show ours, trust theirs.")

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "gateway.toml"


def _new_secret(what: str, variable: str) -> str:
    """Ask twice for a new secret, or take it from the environment."""
    if os.environ.get(variable):
        return os.environ[variable]
    if not sys.stdin.isatty():
        fail(Exit.USAGE, f"no terminal to ask for the {what}; set {variable}")
    first = getpass.getpass(f"New {what}: ")
    if getpass.getpass("Again: ") != first:
        fail(Exit.USAGE, f"the two entries of the {what} differ; nothing was changed")
    return first


def init(
    person: Annotated[
        str, typer.Option(help="Opaque id of the first administrator, such as p-0001.")
    ] = "p-0001",
    name: Annotated[
        str, typer.Option(help="Name of that person; stays in the laboratory's own directory.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Prepare a gateway: a commented site file if there is none, its journal, the first administrator."""
    if not config.exists():
        config.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
        OUT.print(
            f"wrote {config}: edit it, look at it with 'yaosu check {config}', then run 'yaosu init' again",
            markup=False,
        )
        return
    site = site_of(config)
    password = _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD")
    pin = _new_secret(f"PIN of {person}", "YAOSU_NEW_PIN")
    try:
        uvloop.run(initialise(site, person, name or person, password, pin))
    except (AlreadyInitialisedError, PersonsError) as error:
        fail(Exit.FINDINGS, str(error))
    OUT.print(f"ready in {site.state.root}; start with: yaosu run -c {config}", markup=False)


@person_app.command("add")
def add(
    person: Annotated[
        str, typer.Argument(help="Opaque id, such as p-0002; records carry this and never the name.")
    ],
    name: Annotated[str, typer.Option(help="Name, for the laboratory's own screens.")],
    role: Annotated[
        list[str], typer.Option(help="operator, signatory, administrator, regulator; repeat for several.")
    ],
    administrator: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Enrol a person (by an administrator)."""
    args = {
        "person": person, "name": name, "roles": role,
        "password": _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD"),
        "pin": _new_secret(f"PIN of {person}", "YAOSU_NEW_PIN"),
    }  # fmt: skip
    command(config, "person.add", args, secret_for(administrator), as_json=as_json)
    if not as_json:
        OUT.print(f"{person} is enrolled", markup=False)


@person_app.command("passwd")
def passwd(
    person: Annotated[str, typer.Argument(help="Id of the person.")],
    acting: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Change a password: one's own, or anybody's by an administrator."""
    args = {"person": person, "password": _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD")}
    command(config, "person.passwd", args, secret_for(acting), as_json=as_json)


@person_app.command("disable")
def disable(
    person: Annotated[str, typer.Argument(help="Id of the person.")],
    administrator: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Shut a person out; what they did stays recorded."""
    command(config, "person.disable", {"person": person}, secret_for(administrator), as_json=as_json)


@keys_app.command("show")
def show_keys(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Print this collector's public key, and the collector keys that the gateway trusts."""
    state = site_of(config).state
    own = SigningKey.load_or_create(state.collector_key)
    trusted = {name: key.hex() for name, key in TrustedKeys(state.trusted_keys).keys().items()}
    print_json({"collector": {"id": own.id, "public": own.public.hex()}, "trusted": trusted})


@keys_app.command("trust")
def trust(
    public: Annotated[str, typer.Argument(help="Public key of a collector: 64 hexadecimal digits.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Accept receipts signed by a collector's key: run it on the gateway, the key read out by the centre."""
    try:
        name = TrustedKeys(site_of(config).state.trusted_keys).trust(bytes.fromhex(public))
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    OUT.print(f"receipts of collector {name} are accepted from now on", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.add_typer(person_app, name="person")
    app.add_typer(keys_app, name="keys")
