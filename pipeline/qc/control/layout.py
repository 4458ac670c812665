"""How the state of the control rules is laid out in memory: columns, slots, sizes. Needs no Numba."""

from __future__ import annotations

VERSION = 1
"""Raise it whenever the layout of the state or the meaning of a bit changes."""

# Columns of a chart's lines.
CENTRE, SD, LOW_3, LOW_2, LOW_1, HIGH_1, HIGH_2, HIGH_3 = range(8)

# Columns of a stream's words.
ABOVE, BELOW, ABOVE_1, BELOW_1, ABOVE_2, BELOW_2, RISING, FALLING, INSIDE = range(9)
COUNT = 9
"""Valid observations, up to `COUNT_MAX`."""
LAST_CHART = 10
MISSING_SINCE = 11
"""Missing observations since the last valid one."""
MISSING_TOTAL = 12
RUN = 13
"""The run at hand. It and the next two serve the stream of the run only."""
SEEN_HIGH, SEEN_LOW = 14, 15
"""1 once a value of the run was beyond +2 SD, -2 SD."""
WORDS = 16

# Columns of a stream's numbers; the extremes serve the run only.
LAST_X, LAST_Z, LAST_E, MAX_Z, MAX_E, MIN_Z, MIN_E = range(7)
NUMBERS = 7

# Slots of the options.
WARN, REJECT, REQUIRED, RANGE, ENABLED = range(5)
"""Masks of the rules that warn, reject, are required; 1 for the second reading of R-4s; then `ENABLED`,
`ENABLED + 1` and `ENABLED + 2`: masks of the rules that are on in each scope; then, for 0 to `COUNT_MAX`
observations, the mask of the rules that need more."""
TOO_SHORT = 8
COUNT_MAX = 15
OPTIONS = TOO_SHORT + COUNT_MAX + 1
