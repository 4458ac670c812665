"""All detectors in one table: what each leads to, and where a day comes from that it tells of.

`tests/simulation/test_detector_days.py` holds the table against the code and against the scenarios.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipeline.elements.detectors.evidence import CaseId


class Detector(NamedTuple):
    """One detector, for one case."""

    code: str
    """Code of its event, without the prefix."""
    case: CaseId


DETECTORS: tuple[Detector, ...] = (
    Detector("element", "A1"),
    Detector("element", "A2"),
    Detector("element", "A3"),
    Detector("element", "A4"),
    Detector("chain", "A4"),
    Detector("no-raw-data", "B1"),
    Detector("throughput", "B1"),
    Detector("identical-windows", "B2"),
    Detector("manual-share", "B2"),
    Detector("attempts", "B2"),
    Detector("clock-step", "B2"),
    Detector("element", "B3"),
    Detector("sample-mass", "B4"),
    Detector("custody-order", "B4"),
    Detector("signing", "B5"),
)
"""The literal table, in the order of the cases."""
