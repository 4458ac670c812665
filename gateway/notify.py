"""Talk to the service manager (sd_notify(3)) over its datagram socket, where there is one."""

from __future__ import annotations

import os
import socket


def notify(*assignments: str) -> bool:
    """Send assignments such as `READY=1`; tell whether a service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        # A service manager that does not read must not stop the loop.
        channel.setblocking(False)  # noqa: FBT003 - the socket module's signature
        try:
            channel.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return False
    return True


def watchdog_period_s() -> float | None:
    """Half of the period in which the service manager wants a sign of life; None when it wants none."""
    period_us = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not period_us.isdecimal() or int(period_us) == 0 or meant_for != str(os.getpid()):
        return None
    return int(period_us) / 2e6
