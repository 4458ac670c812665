"""The compiler's code leaves memory once the kernels are compiled, and what a start has freed.

Loading kernels touches some 60 MB of LLVM's code and constants, which nothing uses afterwards. The system
would take these pages back when memory is short; on a small gateway they are worth more to others at once.
They are clean pages of a file: whatever is called again after all is read anew.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

COMPILER = "libllvmlite"
_MADV_DONTNEED = 4
"""Linux, asm-generic/mman-common.h"""


def release_compiler(smaps: Path = Path("/proc/self/smaps")) -> int:
    """Take the pages of the compiler's code out of this process; returns the bytes of address space.

    Only of what cannot be written to and is as it is in the file: relocated data of the library is this
    process's own (`Anonymous`) and would be lost.
    """
    libc, released = ctypes.CDLL(None), 0
    first = end = 0
    for line in smaps.read_text(encoding="utf-8").splitlines():
        head, *fields = line.split(maxsplit=5)
        if not head.endswith(":"):
            of_compiler = fields[0] in {"r-xp", "r--p"} and COMPILER in fields[-1]
            first, end = (int(address, 16) for address in head.split("-")) if of_compiler else (0, 0)
        elif head == "Anonymous:" and fields[0] == "0" and end > first:
            failed = libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(end - first), _MADV_DONTNEED)
            released += 0 if failed else end - first
    return released


def release_freed() -> None:
    """Give the system what a start has freed: a large site's configuration and its record leave much behind.

    The C library keeps freed memory below the last piece in use; where it is not glibc there is no such door.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
