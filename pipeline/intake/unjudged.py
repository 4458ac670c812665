"""What stands for the rules' answer when they could not be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.qc import QcResult
from pipeline.records import Flag

if TYPE_CHECKING:
    from pipeline.records import Block


def unjudged(block: Block) -> QcResult:
    """Give a result that says "missing" where there is no value and "not evaluated" everywhere else."""
    text = np.array([[channel.kind == "text"] for channel in block.layout.channels], dtype=np.bool_)
    missing = (block.status != 0) | (np.isnan(block.numeric()) & ~text.reshape(-1, 1))
    nothing = np.zeros(block.status.shape, dtype=np.int64)
    flag = np.where(missing, np.uint8(Flag.MISSING), np.uint8(Flag.NOT_EVALUATED))
    return QcResult(flag, nothing, nothing.copy(), [])
