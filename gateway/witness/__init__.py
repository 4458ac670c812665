"""The witness: cosigns what gateways have sealed, once it has seen that nothing of it was changed."""

from gateway.witness.run import run_witness
from gateway.witness.settings import WitnessSettings

__all__ = ["WitnessSettings", "run_witness"]
