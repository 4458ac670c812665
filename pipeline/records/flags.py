"""QARTOD flags, row status codes, and how flags combine.

Source of the flag values: IOOS QARTOD, *Manual for the Use of Real-Time Oceanographic Data Quality
Control Flags*: 1 pass, 2 not evaluated, 3 suspect, 4 fail, 9 missing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


class Flag(IntEnum):
    """QARTOD primary flag of one reading, stored as uint8."""

    PASS = 1
    NOT_EVALUATED = 2
    SUSPECT = 3
    FAIL = 4
    MISSING = 9


SEVERITY = np.zeros(10, dtype=np.uint8)
"""uint8[10]: rank of each flag value, worst last: pass, not evaluated, missing, suspect, fail."""
for _rank, _flag in enumerate(
    (Flag.PASS, Flag.NOT_EVALUATED, Flag.MISSING, Flag.SUSPECT, Flag.FAIL), start=1
):
    SEVERITY[_flag] = _rank
SEVERITY.setflags(write=False)


def worst(flags: Iterable[int]) -> Flag:
    """Return the worst of `flags`; no flag at all is NOT_EVALUATED, never PASS."""
    return max((Flag(flag) for flag in flags), key=lambda flag: SEVERITY[flag], default=Flag.NOT_EVALUATED)


class Status(IntEnum):
    """Why a value is or is not there, one uint8 for each channel and row.

    A value is *valid* when its status is GOOD and it is finite. Codes from MODBUS_EXCEPTION up carry the
    device's exception code: `status - MODBUS_EXCEPTION` (Modbus Application Protocol V1.1b3, section 7).
    Codes are part of the record format: never renumbered, never reused.
    """

    GOOD = 0
    NO_ANSWER = 1
    BAD_FRAME = 2
    WRONG_ANSWER = 3
    UNAVAILABLE = 4
    OVERRANGE = 5
    UNDERRANGE = 6
    UNSTABLE = 7
    IN_CALIBRATION = 8
    DISCONNECTED = 9
    DEVICE_ERROR = 10
    BUSY = 11
    MODBUS_EXCEPTION = 64


_STATUS_CODES = frozenset(Status)


def status_name(code: int) -> str:
    """Name a status code for people: `no answer`, `modbus exception 2`."""
    if code > Status.MODBUS_EXCEPTION:
        return f"modbus exception {code - Status.MODBUS_EXCEPTION}"
    if code not in _STATUS_CODES:
        return f"status {code}"  # of a newer writer
    return Status(code).name.lower().replace("_", " ")
