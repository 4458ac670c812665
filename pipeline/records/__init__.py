"""Records: the shapes that every part shares. A leaf: imports nothing of the pipeline."""

from pipeline.records.block import Block, Channel, DeviceEvent, Gap, Item, Layout, Reading
from pipeline.records.clock import Clock, ClockState, SystemClock
from pipeline.records.envelope import By, Record
from pipeline.records.flags import Flag, Status
from pipeline.records.frame import FlagSet, Frame

__all__ = [
    "Block", "By", "Channel", "Clock", "ClockState", "DeviceEvent", "Flag", "FlagSet", "Frame", "Gap", "Item",
    "Layout", "Reading", "Record", "Status", "SystemClock",
]  # fmt: skip
