"""One kernel for each rule, by family: free functions that judge one reading and carry the rule's state."""

from pipeline.qc.kernels.basic import duplicate, gap, gross_range, missing, order, rate, spike
from pipeline.qc.kernels.charts import cusum, ewma, page_hinkley
from pipeline.qc.kernels.flat import flat_line, repeated, stability
from pipeline.qc.kernels.medians import hampel, level_shift
from pipeline.qc.kernels.patterns import identical, late, redundancy, schedule, unit_change
from pipeline.qc.kernels.windows import completeness, noise, rate_dev

__all__ = [
    "completeness", "cusum", "duplicate", "ewma", "flat_line", "gap", "gross_range", "hampel", "identical",
    "late",
    "level_shift", "missing", "noise", "order", "page_hinkley", "rate", "rate_dev", "redundancy", "repeated",
    "schedule", "spike", "stability", "unit_change",
]  # fmt: skip
