"""`keys`: whose receipts count, and which other systems may give commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    SET_UP,
    ConfigOption,
    JsonOption,
    example,
    fail,
    print_json,
    site_of,
)
from gateway.edge.state import KeyRole, TrustedKeys, TrustedKeysError
from gateway.remote import ROLE_COMMANDS, ServiceTokens, ServiceTokensError
from pipeline.records.signing import SigningKey

keys_app = typer.Typer(
    no_args_is_help=True, help="Keys of collectors and tokens of other systems: show, trust, end."
)
NameOption = Annotated[str, typer.Option(help="Who holds the key, as records name it; not for collectors.")]


@keys_app.command("show", epilog=example("keys show -c /etc/yaosu/collector.toml"))
def show_keys(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Print the public key of this site's collector, and the keys and services that its gateway trusts."""
    state = site_of(config).state
    # Loading would make a key where there is none, owned by whoever looks.
    own = SigningKey.load_or_create(state.collector_key) if state.collector_key.exists() else None
    pinned = TrustedKeys(state.trusted_keys).pinned()
    trusted = {name: key.public.hex() for name, key in pinned.items() if key.role == "collector"}
    commanding = {name: key for name, key in pinned.items() if key.role != "collector"}
    services = _services(ServiceTokens(state.service_tokens))
    if as_json:
        collector = None if own is None else {"id": own.id, "public": own.public.hex()}
        keys = {n: {"public": k.public.hex(), "role": k.role, "name": k.name} for n, k in commanding.items()}
        print_json({"collector": collector, "trusted": trusted, "commands": keys, "services": services})
        return
    if own is None:
        OUT.print("no collector has run here; its first start makes the key: yaosu collect", markup=False)
    else:
        OUT.print(f"collector {own.id}: {own.public.hex()}", markup=False)
    for name, public in trusted.items():
        OUT.print(f"trusted {name}: {public}", markup=False)
    if not trusted:
        OUT.print("no collector is trusted; trust one with: yaosu keys trust PUBLIC-KEY", markup=False)
    for name, key in commanding.items():
        OUT.print(f"{key.role} {key.name}, key {name}: {key.public.hex()}", markup=False)
    for name, role in services.items():
        OUT.print(f"{role} {name}: has a token", markup=False)


def _services(tokens: ServiceTokens) -> dict[str, str]:
    try:
        return tokens.names()
    except ServiceTokensError as error:
        fail(Exit.IO, str(error))


@keys_app.command(
    "trust",
    epilog=example(
        f"keys trust {'3b' * 32} -c gateway.toml", f"keys trust {'5d' * 32} --role lims --name hospital-lims"
    ),
)
def trust(
    public: Annotated[str, typer.Argument(help="Public key: 64 hexadecimal digits.")],
    role: Annotated[
        KeyRole, typer.Option(help="For what: a collector's receipts, or commands of that role.")
    ] = "collector",
    name: NameOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Accept receipts, or signed commands, made with a key: run it on the gateway, the key read out."""
    keys = TrustedKeys(site_of(config).state.trusted_keys)
    try:
        raw = bytes.fromhex(public)
    except ValueError:
        raw = b""
    try:
        identifier = keys.trust(raw, role, name)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    if role == "collector":
        OUT.print(f"receipts of collector {identifier} are accepted from now on", markup=False)
        return
    OUT.print(f"commands of {name} ({role}), key {identifier}, are carried out from now on", markup=False)
    if role not in ROLE_COMMANDS:
        OUT.print(f"no command is open to role {role} yet", markup=False)


@keys_app.command("distrust", epilog=example("keys distrust 1f0a6c2b77d3e948 -c gateway.toml"))
def distrust(
    identifier: Annotated[str, typer.Argument(metavar="KEY", help="Id of a pinned key: 16 digits.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let a pinned key go, or end a service's token: what it sends counts no more."""
    state = site_of(config).state
    try:
        tokens = ServiceTokens(state.service_tokens)
        if identifier in tokens.names():
            tokens.revoke(identifier)
            OUT.print(f"the token of {identifier} has ended", markup=False)
            return
        key = TrustedKeys(state.trusted_keys).distrust(identifier)
    except (TrustedKeysError, ServiceTokensError) as error:
        fail(Exit.USAGE, str(error))
    OUT.print(f"key {identifier} ({key.role}) counts no more", markup=False)


@keys_app.command("token", epilog=example("keys token lims -c gateway.toml"))
def token(
    name: Annotated[str, typer.Argument(help="Name of the service, as records will have it.")],
    role: Annotated[str, typer.Option(help="What it may do; lims: start, bind, stop, abort, link.")] = "lims",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make the bearer token of a service and print it, once. An earlier token of the name ends."""
    try:
        made = ServiceTokens(site_of(config).state.service_tokens).issue(name, role)
    except ServiceTokensError as error:
        fail(Exit.USAGE, str(error))
    print(made)  # noqa: T201 - alone on standard output, for a script to take


@keys_app.command("make", epilog=example("keys make lims.key"))
def make(
    file: Annotated[Path, typer.Argument(help="File for the private key; one that is there is kept.")],
) -> None:
    """Make an Ed25519 key for signing commands, print its public half: run it where the other system is."""
    try:
        key = SigningKey.load_or_create(file)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    OUT.print(f"key {key.id}: {key.public.hex()}", markup=False)
    OUT.print("on the gateway: yaosu keys trust PUBLIC-KEY --role lims --name NAME", markup=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(keys_app, name="keys", rich_help_panel=SET_UP)
