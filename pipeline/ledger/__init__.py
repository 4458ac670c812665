"""A rebuildable index over the ledger records of one journal: finds tasks long after the elements let go."""

from pipeline.ledger.index import LIMIT_MAX, LedgerIndex
from pipeline.ledger.rebuild import rebuild_task
from pipeline.ledger.rows import TaskFilter, TaskRow

__all__ = ["LIMIT_MAX", "LedgerIndex", "TaskFilter", "TaskRow", "rebuild_task"]
