"""The rehearsal journal beside a production one: for what is declared live and is found to be simulated."""

from gateway.edge.rehearsal.beside import Beside
from gateway.edge.rehearsal.routing import Routing
from gateway.edge.rehearsal.services import Context

__all__ = ["Beside", "Context", "Routing"]
