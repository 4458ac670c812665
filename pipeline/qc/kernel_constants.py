"""Constants that kernels share with the encoding of their parameters; importing them compiles nothing."""

HASH_BASE = 0x2545F4914F6CDD1D
"""Odd multiplier of the rolling hash (Vigna 2016)."""
SCHEDULE_FIXED = 6
"""Parameters of a schedule before the times and values of its corners."""
SHIFT_STATE = 8
"""Slots of the state of a level shift, before the ordinals of its pending rows."""
WINDOW_SLOTS = 5
ENTRY_SLOTS = 4
"""Slots of a window of moments: before its ring, and for each reading."""
