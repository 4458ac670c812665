"""Triggers: recorded occasions on which a regulator may read the raw window of one task, and of no other."""
