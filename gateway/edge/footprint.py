"""The compiler's code leaves memory once the kernels are compiled, and what a start has freed.

Loading kernels touches some 50 MB of LLVM's code, which nothing calls afterwards. The system would take these
pages back when memory is short; on a small gateway they are worth more to others at once. They are clean
pages of a file: whatever is called again after all is read anew.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

COMPILER = "libllvmlite"
_MADV_DONTNEED = 4
"""Linux, asm-generic/mman-common.h"""


def release_compiler(maps: Path = Path("/proc/self/maps")) -> int:
    """Take the pages of the compiler's code out of this process; returns the bytes of address space.

    Only what is executable and not writable: relocated data of the library is private and would be lost.
    """
    libc, released = ctypes.CDLL(None), 0
    for line in maps.read_text(encoding="utf-8").splitlines():
        span, rights, _, _, _, *path = line.split(maxsplit=5)
        if rights != "r-xp" or COMPILER not in "".join(path):
            continue
        first, end = (int(address, 16) for address in span.split("-"))
        if not libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _MADV_DONTNEED):
            released += end - first
    return released


def release_freed() -> None:
    """Give the system what a start has freed: a large site's configuration and its record leave much behind.

    The C library keeps freed memory below the last piece in use; where it is not glibc there is no such door.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
