"""`keys`: the public keys of this site's roles, and whose word and commands count here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import Exit
from gateway.cli import keys_rotate
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    SET_UP,
    ConfigOption,
    JsonOption,
    command,
    example,
    fail,
    is_served,
    print_json,
    secret_for,
    site_of,
    tell_warning,
)
from gateway.site.rehearsal import rehearsal_site
from gateway.trust import (
    ROLE_COMMANDS,
    KeyRole,
    ServiceTokens,
    ServiceTokensError,
    TrustedKeys,
    TrustedWitnesses,
)
from gateway.witness.state import WitnessState
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal.disk import RealDisk
from pipeline.journal.start import read_meta_public
from pipeline.records.signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gateway.site import LoadedSite

keys_app = typer.Typer(
    no_args_is_help=True,
    help="Keys of log, collector and witness, tokens of other systems: show, trust, end.",
)
NameOption = Annotated[
    str, typer.Option(help="Who holds the key, as records name it; for commands of other systems.")
]
SignerOption = Annotated[
    str,
    typer.Option(
        "--as", help="Administrator who signs the change; the PIN is asked for.", envvar="YAOSU_PERSON"
    ),
]
ROLE_KEYS = {"collector": "yaosu collect", "witness": "yaosu witness"}


def _announcing(config: Path, file: str, person: str) -> Callable[[str, str], None]:
    """Make what has a change signed before it is made: by the administrator named, through the daemon."""

    def announce(before: str, after: str) -> None:
        if not person:
            tell_warning("nobody signs this change: the record will say so; sign it with --as PERSON")
            return
        if not is_served(config):
            tell_warning(
                "the daemon does not run: at its next start it records that nobody signed this change"
            )
            return
        args = {"file": file, "before": before, "after": after}
        command(config, "keys.apply", args, secret_for(person), as_json=False)

    return announce


def _own(path: Path) -> SigningKey | None:
    # Loading would make a key where there is none, owned by whoever looks.
    return SigningKey.load_or_create(path) if path.exists() else None


def log_key(site: LoadedSite) -> str | None:
    """The public key of this gateway's log as a vkey; None where there is no journal."""
    names = site.settings.site
    try:
        meta = read_meta_public(RealDisk(), site.state.journal)
    except OSError:
        return None
    return None if meta is None else vkey(Key(f"yaosu/{names.lab}/{names.gateway}", LOG, meta[1]))


@keys_app.command("show", epilog=example("keys show -c /etc/yaosu/gateway.toml"))
def show(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Print the public keys of this site's log, collector and witness, and whom its gateway trusts."""
    content = _known(site_of(config))
    if as_json:
        print_json(content)
        return
    for line in (*_own_lines(content), *_trusted_lines(content)):
        OUT.print(line, markup=False)


def _known(site: LoadedSite) -> dict[str, Any]:
    state, settings = site.state, site.settings.witness
    collector, witness = _own(state.collector_key), _own(state.witness_key)
    pinned = TrustedKeys(state.trusted_keys).pinned()
    operators = TrustedWitnesses(state.trusted_witnesses).witnesses()
    shown: dict[str, Any] = {
        "log": log_key(site),
        "rehearsal_log": log_key(rehearsal_site(site)),
        "collector": None if collector is None else {"id": collector.id, "public": collector.public.hex()},
        "witness": None,
        "trusted": {name: key.public.hex() for name, key in pinned.items() if key.role == "collector"},
        "trusted_witnesses": {name: operator for name, (_, operator) in operators.items()},
        "commands": {
            name: {"public": key.public.hex(), "role": key.role, "name": key.name}
            for name, key in pinned.items()
            if key.role != "collector"
        },
        "services": _services(ServiceTokens(state.service_tokens)),
    }
    if witness is not None and settings is not None:
        key = vkey(witness_key(settings.name, witness.public))
        shown["witness"] = {"operator": settings.operator, "key": key}
    return shown


def _own_lines(content: dict[str, Any]) -> Iterator[str]:
    log, collector, witness = content["log"], content["collector"], content["witness"]
    if log:
        yield f"log: {log}"
    if content["rehearsal_log"]:
        yield f"log of the rehearsal journal: {content['rehearsal_log']}"
    if collector:
        yield f"collector {collector['id']}: {collector['public']}"
    if witness:
        yield f"witness of {witness['operator']}: {witness['key']}"
    if not (log or collector or witness):
        yield (
            "no role has run here; the first start of each makes its key: yaosu run, yaosu collect, "
            "yaosu witness"
        )


def _trusted_lines(content: dict[str, Any]) -> Iterator[str]:
    for name, public in content["trusted"].items():
        yield f"trusted collector {name}: {public}"
    for name, operator in content["trusted_witnesses"].items():
        yield f"trusted witness of {operator}: {name}"
    if content["log"] and not content["trusted"]:
        yield "no collector is trusted; trust one with: yaosu keys trust PUBLIC-KEY"
    elif content["collector"] and not content["log"]:
        yield f"on each gateway: yaosu keys trust {content['collector']['public']}"
    for name, key in content["commands"].items():
        yield f"{key['role']} {key['name']}, key {name}: {key['public']}"
    for name, role in content["services"].items():
        yield f"{role} {name}: has a token"


def _services(tokens: ServiceTokens) -> dict[str, str]:
    try:
        return tokens.names()
    except ServiceTokensError as error:
        fail(Exit.IO, str(error))


@keys_app.command(
    "gen", epilog=example("keys gen witness -c witness.toml", "keys gen collector -c collector.toml")
)
def gen(
    role: Annotated[str, typer.Argument(help="collector or witness.")], config: ConfigOption = DEFAULT_CONFIG
) -> None:
    """Make the key of a role before its first start, to hand its public half out; one that is there stays."""
    state = site_of(config).state
    if role not in ROLE_KEYS:
        fail(Exit.USAGE, "a role is collector or witness; the log's key is made with the journal: yaosu init")
    path = state.collector_key if role == "collector" else state.witness_key
    if path.exists():
        fail(Exit.FINDINGS, f"{path} is there already; see: yaosu keys show")
    if role == "witness":
        WitnessState(state.witness_state, path)  # its memory begins with it
    SigningKey.load_or_create(path)
    OUT.print(f"made {path}; keep a backup; public half: yaosu keys show -c {config}", markup=False)


@keys_app.command(
    "trust",
    epilog=example(
        f"keys trust {'3b' * 32} -c gateway.toml",
        'keys trust w.example/1+da77ade7+BOvN63jn/bLv… --operator "Institute of Metrology" -c gateway.toml',
        f"keys trust {'5d' * 32} --role lims --name hospital-lims",
    ),
)
def trust(
    public: Annotated[
        str,
        typer.Argument(
            help="Collector or other system: 64 hexadecimal digits. Witness: name+hash+key, with --operator."
        ),
    ],
    role: Annotated[
        KeyRole, typer.Option(help="For what: a collector's receipts, or commands of that role.")
    ] = "collector",
    name: NameOption = "",
    operator: Annotated[
        str, typer.Option("--operator", help="Organisation that runs this witness and answers for it.")
    ] = "",
    person: SignerOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Pin a public key on the gateway: of a collector, of a witness, or of a system that gives commands.

    Have the key read out by somebody who knows that it is right: `yaosu keys show` prints it at its owner.
    The running gateway takes it up by itself, and every change stands in its record: with the administrator
    who signed it (--as), or as one that nobody signed.
    """
    state = site_of(config).state
    try:
        if "+" in public:
            witnesses = TrustedWitnesses(state.trusted_witnesses)
            witnesses.file.announce = _announcing(config, "trusted-witnesses", person)
            witness = witnesses.trust(public, operator).name
            pinned = {"role": "witness", "key": public, "name": witness, "operator": operator}
        else:
            keys = TrustedKeys(state.trusted_keys)
            keys.file.announce = _announcing(config, "trusted-keys", person)
            pinned = {"role": role, "key": keys.trust(_raw(public), role, name), "name": name}
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    print_json(pinned) if as_json else _tell_pinned(**pinned)


def _tell_pinned(role: str, key: str, name: str, operator: str = "") -> None:
    if role == "witness":
        OUT.print(f"cosignatures of {name} ({operator}) are accepted from now on", markup=False)
        return
    if role == "collector":
        OUT.print(f"receipts of collector {key} are accepted from now on", markup=False)
        return
    OUT.print(f"commands of {name} ({role}), key {key}, are carried out from now on", markup=False)
    if role not in ROLE_COMMANDS:
        OUT.print(f"no command is open to role {role} yet", markup=False)


def _raw(public: str) -> bytes:
    """Read hexadecimal digits; others give bytes that are no key, which is told by whoever takes them."""
    try:
        return bytes.fromhex(public)
    except ValueError:
        return b""


@keys_app.command("distrust", epilog=example("keys distrust 1f0a6c2b77d3e948 -c gateway.toml"))
def distrust(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="Id of a pinned key: 16 digits; key of a witness; name of a service."
        ),
    ],
    person: SignerOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Let a pinned key or witness go, or end a service's token: what it sends counts no more."""
    state = site_of(config).state
    try:
        if "+" in identifier:
            witnesses = TrustedWitnesses(state.trusted_witnesses)
            witnesses.file.announce = _announcing(config, "trusted-witnesses", person)
            OUT.print(f"the witness of {witnesses.distrust(identifier)} counts no more", markup=False)
            return
        tokens = ServiceTokens(state.service_tokens)
        tokens.file.announce = _announcing(config, "service-tokens", person)
        if identifier in tokens.names():
            tokens.revoke(identifier)
            OUT.print(f"the token of {identifier} has ended", markup=False)
            return
        keys = TrustedKeys(state.trusted_keys)
        keys.file.announce = _announcing(config, "trusted-keys", person)
        key = keys.distrust(identifier)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    OUT.print(f"key {identifier} ({key.role}) counts no more", markup=False)


@keys_app.command("token", epilog=example("keys token lims -c gateway.toml"))
def token(
    name: Annotated[str, typer.Argument(help="Name of the service, as records will have it.")],
    role: Annotated[str, typer.Option(help="What it may do; lims: start, bind, stop, abort, link.")] = "lims",
    person: SignerOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make the bearer token of a service and print it, once. An earlier token of the name ends."""
    try:
        tokens = ServiceTokens(site_of(config).state.service_tokens)
        tokens.file.announce = _announcing(config, "service-tokens", person)
        made = tokens.issue(name, role)
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
    """Add the command group."""
    keys_rotate.add_commands(keys_app)
    app.add_typer(keys_app, name="keys", rich_help_panel=SET_UP)
