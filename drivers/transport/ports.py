"""Serial ports of this machine: their stable names, and who holds one."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from serial.tools.list_ports import comports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEV = Path("/dev")
PROC = Path("/proc")
_NAME_LENGTH_MAX = 60


class SerialPort(NamedTuple):
    """One port."""

    name: Path
    """The name to write into a site file: by its adapter's serial number if it has one, else by its plug."""
    device: Path
    """What the kernel calls it now; another one after the next start."""
    by_id: Path | None
    by_path: Path | None
    about: str
    """What the adapter says that it is."""


def _devices() -> dict[Path, str]:
    return {Path(port.device): port.description for port in comports()}


def list_serial_ports(dev: Path = DEV, devices: Callable[[], dict[Path, str]] = _devices) -> list[SerialPort]:
    """Return the ports, by name.

    Args:
        dev: folder of device files.
        devices: returns the kernel's names of ports and what is known of them.
    """
    known = {path.resolve(): about for path, about in devices().items()}
    by_id, by_path = (_links(dev / "serial" / kind) for kind in ("by-id", "by-path"))
    found = [
        SerialPort(
            by_id.get(device) or by_path.get(device) or device, device, by_id.get(device),
            by_path.get(device), known.get(device, ""),
        )
        for device in {*known, *by_id, *by_path}
    ]  # fmt: skip
    return sorted(found)


def _links(folder: Path) -> dict[Path, Path]:
    """Map devices to their names in a folder of links."""
    try:
        return {link.resolve(): link for link in sorted(folder.iterdir(), reverse=True)}
    except OSError:
        return {}


def holder_of(port: Path, proc: Path = PROC) -> str | None:
    """Say which other program has a port for itself; None when it is free or is not there.

    Opens the port for a moment, as whoever reads it does; sends nothing and sets nothing.
    """
    if not _is_held(port):
        return None
    names = list(_programs_with(port.resolve(), proc))
    return " and ".join(names) or f"another program (to see which, as root: fuser -v {port})"


def _is_held(port: Path) -> bool:
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # Held by TIOCEXCL; for any other reason the opening itself is to say it.
        return error.errno == errno.EBUSY
    try:
        # What pyserial's `exclusive` sets, and so every Yaosu.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _programs_with(device: Path, proc: Path) -> Iterable[str]:
    """Yield the programs, of those that this user may look at, that have a device open."""
    for folder in sorted(proc.glob("[0-9]*"), key=lambda each: int(each.name)):
        try:
            links = [link.readlink() for link in (folder / "fd").iterdir()]
        except OSError:
            continue
        if device in links and int(folder.name) != os.getpid():
            yield f"'{_command(folder)}' (process {folder.name})"


def _command(folder: Path) -> str:
    try:
        words = (folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    except OSError:
        return "?"
    shown = " ".join([Path(words[0]).name, *words[1:]]).strip()
    return shown if len(shown) <= _NAME_LENGTH_MAX else f"{shown[:_NAME_LENGTH_MAX]}…"
