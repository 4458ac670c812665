"""How the engine's memory is laid out: constants shared by kernels, driver and plan.

Memory of one instrument is one run of 8-byte slots, seen as float64 and as int64. Each channel has a head:
enabled rules (bits), required rules (bits), 1 if text, then for each rule of the table the slot where the
rule's block begins. A block is the rule's parameters, its state, and its rings; only enabled rules have one.
"""

VALID = 0
"""Finite, status good."""
INFINITE = 1
"""Plus or minus infinity, status good: not missing, not valid."""
TEXT = 2
"""A text with status good: there, but nothing to compute with."""
MISSING = 3
"""NaN or a status other than good."""

TILE_ROWS = 256
"""Rows of one channel that go through all rules before the next ones: what the rules share stays close by."""

HEAD_ENABLED = 0
HEAD_REQUIRED = 1
HEAD_TEXT = 2
HEAD_BLOCKS = 3

OUT_COUNT = 0
"""Slot of the scratch: number of decisions written."""
OUT_CHANNEL = 1
"""Slot of the scratch: channel at hand."""
OUT_OLDEST = 2
"""Slot of the scratch: from here on ordinal + 1 of the oldest pending row of each future rule, or 0."""
OUT_KINDS = 16
"""Slot of the scratch: from here on the kinds of the rows of the tile at hand."""
OUT_DECISIONS = OUT_KINDS + TILE_ROWS
"""Slot of the scratch: from here on the decisions, `DECISION_FIELDS` each: bit, channel, ordinal, flag."""
DECISION_FIELDS = 4

STATE_HOLDS = 0
"""Verdict of a rule that tells a state, not a fault: its reason bit is set, the flag stays as it is."""

ABSENT_NS = 2**62
"""A time or duration that is never reached (146 years)."""

ABSENT_COUNT = 2**62
"""A number of readings that is never reached."""

WARMING_BIT = 62
"""Bit of the unevaluated mask: the kernels were still being compiled. No rule ever gets it."""
