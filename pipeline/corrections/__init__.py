"""Corrections of readings, as calibration certificates state them: shapes, curves and their application.

A correction never touches the reading: it gives a second value beside it, and says which record of the
registry it came from, so that anybody can compute it again from the record, to the last bit.
"""

from pipeline.corrections.curve import Curve, expanded_over
from pipeline.corrections.plan import ChannelPlan, Plan, applied_id, entry_of, seq_of
from pipeline.corrections.redo import redo_record
from pipeline.corrections.shapes import UNCORRECTED, Correction, CorrectionPoint, Uncorrected
from pipeline.corrections.single import Corrected, correct_value, reading_body

__all__ = [
    "UNCORRECTED",
    "ChannelPlan",
    "Corrected",
    "Correction",
    "CorrectionPoint",
    "Curve",
    "Plan",
    "Uncorrected",
    "applied_id",
    "correct_value",
    "entry_of",
    "expanded_over",
    "reading_body",
    "redo_record",
    "seq_of",
]
