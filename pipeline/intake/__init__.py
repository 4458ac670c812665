"""Intake: what drivers hand out becomes checked, numbered frames in the journal."""

from pipeline.intake.frames import FRAME_DELAY_NS, FRAME_ROWS_MAX
from pipeline.intake.intake import VERSION, Intake
from pipeline.intake.state import Sink

__all__ = ["FRAME_DELAY_NS", "FRAME_ROWS_MAX", "VERSION", "Intake", "Sink"]
