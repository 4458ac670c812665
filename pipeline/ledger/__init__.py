"""A rebuildable index over the ledger records of one journal: finds tasks long after the elements let go."""

from pipeline.ledger.index import LedgerIndex
from pipeline.ledger.rebuild import rebuild_task
from pipeline.ledger.rows import TaskFilter, TaskRow

__all__ = ["LedgerIndex", "TaskFilter", "TaskRow", "rebuild_task"]
