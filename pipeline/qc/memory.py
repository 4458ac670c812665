"""How the engine's memory is laid out: constants shared by kernels, driver and plan.

Memory of one instrument is one run of 8-byte slots, seen as float64 and as int64. What a call touches lies
close together, and what many channels have in common is there once:

- how many runs there are; a run is a row of channels with the same rules: first channel, channel after the
  last, its shape, and where the parameters, states and rings of its first channel begin, each with the step
  to the next channel (0 for parameters that all channels of the run share);
- shapes: enabled rules (bits), required rules (bits), 1 if text, then for each rule of the table where it
  finds parameters, state and rings behind the beginnings of its channel;
- parameters of the enabled rules, one after the other;
- states of each channel, one after the other;
- rings of each channel: large, and of each only the ends are touched, so that they lie apart.
"""

VALID = 0
"""Finite, status good."""
INFINITE = 1
"""Plus or minus infinity, status good: not missing, not valid."""
TEXT = 2
"""A text with status good: there, but nothing to compute with."""
MISSING = 3
"""NaN or a status other than good."""
ABSENT = 4
"""The row does not have the channel: it was not asked for. To every rule there is no such row."""
ABSENT_STATUS = 255
"""Status of such a cell, in the engine alone: records leave the channel out."""

TILE_ROWS = 256
"""Rows of one channel that go through all rules before the next ones: what the rules share stays close by."""
TILE_CHANNELS = 256
"""Channels that go through all rules before the next ones, where each has one row; at most `TILE_ROWS`."""

RUNS = 1
"""Slot of the first run; slot 0 tells their number."""
RUN_FIRST = 0
RUN_STOP = 1
RUN_SHAPE = 2
RUN_PARAMETERS = 3
RUN_RINGS = 5
RUN_STATES = 7
RUN_SLOTS = 8
"""Of a run; the step to the next channel follows the beginnings of parameters and rings."""

SHAPE_ENABLED = 0
SHAPE_REQUIRED = 1
SHAPE_TEXT = 2
SHAPE_PLACES = 3
"""Slot of a shape from where on each rule has three: offsets of its parameters, its state, its rings."""

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
