"""Control samples: multirules over their observations, charts as versioned objects, and their statistics.

Pure and deterministic: no clock, no input or output. The stream rules are next door, in `pipeline.qc`.
"""

from pipeline.qc.control.charts import Chart, ChartError, ChartId, assign, in_force, propose
from pipeline.qc.control.explain import explain_observation
from pipeline.qc.control.monitor import ControlMonitor, Judged
from pipeline.qc.control.settings import MultiruleQc

__all__ = [
    "Chart", "ChartError", "ChartId", "ControlMonitor", "Judged", "MultiruleQc", "assign",
    "explain_observation", "in_force", "propose",
]  # fmt: skip
