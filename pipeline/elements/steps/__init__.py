"""The procedure of a method against the readings: ramps, dwells, order, durations, redundant sensors."""
