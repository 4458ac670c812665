"""One check for each element: a pure function from a task and what is known to a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.checks.environment import check_environment
from pipeline.elements.checks.equipment import check_equipment
from pipeline.elements.checks.finding import Case, Finding
from pipeline.elements.checks.material import check_material
from pipeline.elements.checks.measurement import check_measurement
from pipeline.elements.checks.method import check_method
from pipeline.elements.checks.outcomes import check_under_way
from pipeline.elements.checks.people import check_people

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.elements.vocabulary import Element

CHECKS: dict[Element, Callable[[Case], Finding]] = {
    "people": check_people,
    "equipment": check_equipment,
    "material": check_material,
    "method": check_method,
    "environment": check_environment,
    "measurement": check_measurement,
}
"""The literal registry of checks."""

__all__ = ["CHECKS", "Case", "Finding", "check_under_way"]
