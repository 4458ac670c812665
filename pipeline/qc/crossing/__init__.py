"""Rules across instruments: readings of two streams joined by event time, verdicts given later."""

from pipeline.qc.crossing.crossings import Crossings, problems

__all__ = ["Crossings", "problems"]
