"""`init`, `person`: who may act."""

from __future__ import annotations

import getpass
import os
import sys
from importlib.resources import files
from typing import Annotated

import typer
import uvloop

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    SET_UP,
    WORK,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    example,
    fail,
    secret_for,
    site_of,
)
from gateway.initialise import AlreadyInitialisedError, initialise
from gateway.persons import PersonsError
from pipeline.journal import JournalError

person_app = typer.Typer(no_args_is_help=True, help="People who may act: enrol, change password, disable.")

PersonArgument = Annotated[str, typer.Argument(help="Id of the person.")]


def example_site() -> str:
    """Return the commented site file that comes with the program, from a checkout or a wheel alike."""
    return files("config").joinpath("examples", "gateway.toml").read_text(encoding="utf-8")


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
    """Prepare a gateway: first a commented site file to edit, then its journal and first administrator.

    Without a site file it writes one and ends. With one it makes the journal with its key and enrols the
    first administrator, who by that applies the configuration. Password and PIN are asked for, or taken from
    YAOSU_NEW_PASSWORD and YAOSU_NEW_PIN.
    """
    if not config.exists():
        config.write_text(example_site(), encoding="utf-8")
        OUT.print(
            f"wrote {config}: edit it, look at it with 'yaosu check {config}', "
            f"then go on with 'yaosu init -c {config}'",
            markup=False,
        )
        return
    site = site_of(config)
    password = _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD")
    pin = _new_secret(f"PIN of {person}", "YAOSU_NEW_PIN")
    try:
        uvloop.run(initialise(site, person, name or person, password, pin))
    except PersonsError as error:
        fail(Exit.USAGE, f"{error}; nothing was made")
    except AlreadyInitialisedError as error:
        fail(Exit.FINDINGS, str(error))
    except JournalError as error:
        fail(Exit.IO, str(error))
    OUT.print(f"ready in {site.state.root}; start with: yaosu run -c {config}", markup=False)


@person_app.command(
    "add", epilog=example('person add p-0002 --name "Lin Xiaohe" --role operator --as p-0001 -c gateway.toml')
)
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
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Enrol a person (by an administrator). Secrets are asked for, or YAOSU_NEW_PASSWORD, YAOSU_NEW_PIN."""
    args = {
        "person": person, "name": name, "roles": role,
        "password": _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD"),
        "pin": _new_secret(f"PIN of {person}", "YAOSU_NEW_PIN"),
    }  # fmt: skip
    command(config, "person.add", args, secret_for(administrator), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{person} is enrolled", markup=False)


@person_app.command("passwd", epilog=example("person passwd p-0002 --as p-0002 --pin"))
def passwd(
    person: PersonArgument,
    acting: PersonOption,
    pin: Annotated[bool, typer.Option("--pin", help="Set a new PIN too.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change a password: one's own, or anybody's by an administrator."""
    args = {"person": person, "password": _new_secret(f"password of {person}", "YAOSU_NEW_PASSWORD")}
    if pin:
        args["pin"] = _new_secret(f"PIN of {person}", "YAOSU_NEW_PIN")
    command(config, "person.passwd", args, secret_for(acting), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{person} has a new password" + (" and PIN" if pin else ""), markup=False)


@person_app.command("disable", epilog=example("person disable p-0002 --as p-0001"))
def disable(
    person: PersonArgument,
    administrator: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Shut a person out; what they did stays recorded."""
    args = {"person": person}
    command(config, "person.disable", args, secret_for(administrator), key=key, as_json=as_json)
    if not as_json:
        OUT.print(f"{person} is shut out", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        rich_help_panel=SET_UP,
        epilog=example("init -c gateway.toml", 'init -c gateway.toml --person p-0001 --name "Qin Wangshu"'),
    )(init)
    app.add_typer(person_app, name="person", rich_help_panel=WORK)
