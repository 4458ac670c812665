"""Describe the machine that figures were measured on: a figure without it says nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("numpy", "numba")


def cpu_model() -> str:
    """Read the processor's name from the kernel; the architecture where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def describe_machine(packages: tuple[str, ...] = PACKAGES) -> dict[str, str | int]:
    """Return processor, usable cores, load, kernel, Python and the versions of packages that matter."""
    described: dict[str, str | int] = {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "load_1_min": f"{os.getloadavg()[0]:.2f}",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    return described | {name: version(name) for name in packages}


def machine_line(machine: dict[str, str | int]) -> str:
    """Write the description in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in machine.items())
