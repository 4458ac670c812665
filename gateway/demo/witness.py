"""The witness of a demonstration: its file, its key, and the gateway's trust in it."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from gateway.site import load_site
from gateway.trust import TrustedWitnesses
from gateway.witness.state import WitnessState
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal.disk import RealDisk
from pipeline.journal.start import read_meta_public
from pipeline.records.signing import SigningKey

if TYPE_CHECKING:
    from gateway.site import LoadedSite

TEMPLATE = Path(__file__).with_name("witness.toml")
POLICY = "policy.txt"


def write_witness(path: Path, site: LoadedSite, broker_port: int) -> Path:
    """Write the witness's site file, make its key, pin it at the gateway, and write a policy beside the file.

    With the policy, `yaosu verify` asks for the cosignature of this witness.

    Args:
        path: file to be written.
        site: the gateway that is witnessed; its journal is there already.
        broker_port: where both meet.
    """
    meta = read_meta_public(RealDisk(), site.state.journal)
    if meta is None:
        raise RuntimeError(f"the journal that was made in {site.state.journal} cannot be read")
    names = site.settings.site
    log = vkey(Key(f"yaosu/{names.lab}/{names.gateway}", LOG, meta[1]))
    text = Template(TEMPLATE.read_text(encoding="utf-8"))
    path.write_text(text.substitute(broker_port=broker_port, log_key=log), encoding="utf-8")
    loaded = load_site(path)
    settings = loaded.settings.witness
    if settings is None:
        raise RuntimeError(f"{TEMPLATE} has no table [witness]")
    WitnessState(loaded.state.witness_state, loaded.state.witness_key)  # its memory begins with its key
    own = vkey(witness_key(settings.name, SigningKey.load_or_create(loaded.state.witness_key).public))
    TrustedWitnesses(site.state.trusted_witnesses).trust(own, settings.operator)
    policy = f"log {log}\nwitness institute {own}\nquorum institute\n"
    path.with_name(POLICY).write_text(policy, encoding="utf-8")
    return path
