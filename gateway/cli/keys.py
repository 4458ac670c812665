"""`keys`: the public keys of this site's roles, and whose word counts here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from gateway.edge.state import TrustedKeys
from gateway.edge.trusted_witnesses import TrustedWitnesses
from gateway.witness.state import WitnessState
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal.disk import RealDisk
from pipeline.journal.start import read_meta_public
from pipeline.records.signing import SigningKey

if TYPE_CHECKING:
    from gateway.site import LoadedSite

keys_app = typer.Typer(no_args_is_help=True, help="Public keys of log, collector and witness; whom we trust.")
ROLE_KEYS = {"collector": "yaosu collect", "witness": "yaosu witness"}


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
    """Print the public keys of this site's log, collector and witness, and those that its gateway trusts."""
    site = site_of(config)
    state, settings = site.state, site.settings.witness
    collector, witness = _own(state.collector_key), _own(state.witness_key)
    content: dict[str, Any] = {
        "log": log_key(site),
        "collector": None if collector is None else {"id": collector.id, "public": collector.public.hex()},
        "witness": None,
        "trusted": {name: key.hex() for name, key in TrustedKeys(state.trusted_keys).keys().items()},
        "trusted_witnesses": {
            name: operator
            for name, (_, operator) in TrustedWitnesses(state.trusted_witnesses).witnesses().items()
        },
    }
    if witness is not None and settings is not None:
        key = vkey(witness_key(settings.name, witness.public))
        content["witness"] = {"operator": settings.operator, "key": key}
    if as_json:
        print_json(content)
        return
    if content["log"]:
        OUT.print(f"log: {content['log']}", markup=False)
    if collector is not None:
        OUT.print(f"collector {collector.id}: {collector.public.hex()}", markup=False)
    if content["witness"]:
        OUT.print(f"witness of {content['witness']['operator']}: {content['witness']['key']}", markup=False)
    if not (content["log"] or collector or content["witness"]):
        OUT.print(
            "no role has run here; the first start of each makes its key: yaosu run, yaosu collect, "
            "yaosu witness",
            markup=False,
        )
    for name, public in content["trusted"].items():
        OUT.print(f"trusted collector {name}: {public}", markup=False)
    for name, operator in content["trusted_witnesses"].items():
        OUT.print(f"trusted witness of {operator}: {name}", markup=False)
    if not content["trusted"]:
        OUT.print("no collector is trusted; trust one with: yaosu keys trust PUBLIC-KEY", markup=False)


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
    ),
)
def trust(
    public: Annotated[
        str, typer.Argument(help="Collector: 64 hexadecimal digits. Witness: name+hash+key, with --operator.")
    ],
    operator: Annotated[
        str, typer.Option("--operator", help="Organisation that runs this witness and answers for it.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Pin a public key on the gateway: a collector whose receipts count, or a witness whose cosignatures do.

    Have the key read out by somebody who knows that it is right: `yaosu keys show` prints it at its owner.
    The running gateway takes it up by itself.
    """
    state = site_of(config).state
    try:
        if "+" in public:
            key = TrustedWitnesses(state.trusted_witnesses).trust(public, operator)
            OUT.print(f"cosignatures of {key.name} ({operator}) are accepted from now on", markup=False)
            return
        try:
            raw = bytes.fromhex(public)
        except ValueError:
            raw = b""
        name = TrustedKeys(state.trusted_keys).trust(raw)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    OUT.print(f"receipts of collector {name} are accepted from now on", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(keys_app, name="keys", rich_help_panel=SET_UP)
