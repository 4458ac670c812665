"""Imported once by the server that the roles are forked from; kernels and all."""

import gateway.cli.main
import gateway.collector.run
import gateway.edge.daemon
from pipeline.qc import QcEngine

gateway.cli.main.build()
QcEngine({}, {}).warm()

__all__ = ["gateway"]
