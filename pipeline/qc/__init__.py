"""Checks on the stream: every reading is judged as it arrives, the same however the stream is cut."""

from pipeline.qc.decision import Decision, QcResult
from pipeline.qc.describe import Evidence, Sample
from pipeline.qc.engine import SNAPSHOT_VERSION, QcEngine
from pipeline.qc.explain import explain_reading, explain_row
from pipeline.qc.files.evaluation import Evaluation, evaluate
from pipeline.qc.settings import ChannelQc
from pipeline.qc.table import RULES

__all__ = [
    "RULES", "SNAPSHOT_VERSION", "ChannelQc", "Decision", "Evaluation", "Evidence", "QcEngine", "QcResult",
    "Sample", "evaluate", "explain_reading", "explain_row",
]  # fmt: skip
