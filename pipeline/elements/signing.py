"""What a person signs when disposing of a task."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.elements.state import TaskState


def signing_hash(task: TaskState) -> str:
    """SHA-256, in hexadecimal, of the task with the seqs of its verdicts in force and of its results.

    It changes with every superseding verdict: a signature covers what its writer has seen, nothing later.
    """
    signed = {
        "task": task.id,
        "journal": task.journal,
        "verdicts": {element: posted.seq for element, posted in sorted(task.verdicts.items())},
        "results": sorted(task.result_seqs),
    }
    canonical = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
