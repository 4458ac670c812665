"""What is at the other end of a line: a pseudo-terminal, or a simulator by its own word."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from drivers.door import SIMULATED_SERIAL, SIMULATORS, Found, Identity, what_is_found
from drivers.transport import SerialParameters, open_serial
from drivers.transport.serial_port import is_pseudo_terminal
from pipeline.records.clock import SystemClock
from simulators.identity import SERIAL_PATTERN, VENDOR

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("identity", "pty", "found"),
    [
        (None, False, ""),
        (None, True, "pty"),
        (Identity("Mettler-Toledo", "XS204", "B123456789"), False, ""),
        (Identity("Mettler-Toledo", "XS204", "B123456789"), True, "pty"),
        (Identity(serial="SIM-BAL-0001"), False, "simulator"),
        (Identity(model="Yaosu Simulator SIM-XS204 220.0000 g"), True, "simulator"),
        (Identity(vendor="Yaosu Simulator", serial="A-1"), False, "simulator"),
        (Identity(vendor="SIMEX", serial="1-SIM-2"), False, ""),
    ],
)
def test_an_instrument_is_known_by_its_word_and_its_line(
    identity: Identity | None, pty: bool, found: Found
) -> None:
    assert what_is_found(identity, pseudo_terminal=pty) == found


def test_the_simulators_are_known_by_the_names_that_they_give_themselves() -> None:
    assert VENDOR.startswith(SIMULATORS)
    assert SERIAL_PATTERN.startswith(f"^{SIMULATED_SERIAL}")


async def test_a_pseudo_terminal_is_noticed_when_it_is_opened_whatever_names_it(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        link = tmp_path / "ttyUSB0"
        link.symlink_to(os.ttyname(slave))
        wire = open_serial(SerialParameters(link), clock=SystemClock())
        assert wire.inbox.pseudo_terminal
        wire.close()
    finally:
        os.close(master)
        os.close(slave)


def test_other_devices_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in ("/dev/null", tmp_path / "file"):
        descriptor = os.open(path, os.O_RDONLY)
        assert not is_pseudo_terminal(descriptor)
        os.close(descriptor)
