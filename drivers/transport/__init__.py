"""Bytes only: TCP streams, datagrams, serial ports, and the line that instruments share."""

from drivers.transport.line import Line
from drivers.transport.serial_port import SerialParameters, open_serial
from drivers.transport.tcp import open_tcp
from drivers.transport.udp import open_udp
from drivers.transport.wire import Inbox, Stamp, Wire

__all__ = ["Inbox", "Line", "SerialParameters", "Stamp", "Wire", "open_serial", "open_tcp", "open_udp"]
