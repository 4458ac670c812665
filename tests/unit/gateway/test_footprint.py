"""What the daemon gives back once its kernels are compiled."""

from pathlib import Path

import numpy as np
import psutil
from numba import njit

from gateway.edge.footprint import COMPILER, release_compiler, release_freed

MIB = 2**20


def _resident(library: str) -> int:
    """Bytes of a library's pages in memory that are as they are in its file."""
    found = [one for one in psutil.Process().memory_maps(grouped=False) if library in one.path]
    return sum(one.rss - one.anonymous for one in found)


def test_the_compilers_code_leaves_memory_and_comes_back_when_it_is_called() -> None:
    twice = njit(lambda values: values * 2.0)
    assert list(twice(np.array([1.5]))) == [3.0]
    before = psutil.Process().memory_info().rss
    assert release_compiler() > 20 * MIB
    assert _resident(COMPILER) < MIB, "code or constants stayed"
    assert psutil.Process().memory_info().rss < before - 20 * MIB
    thrice = njit(lambda values: values * 3.0)
    assert list(thrice(np.array([1.5]))) == [4.5]


def test_only_code_that_cannot_have_been_written_to_is_given_back(tmp_path: Path) -> None:
    smaps = tmp_path / "smaps"
    smaps.write_text(
        "7f0000000000-7f0000001000 r--p 00000000 fe:00 1   /lib/libllvmlite.so\n"
        "Size:     4 kB\nAnonymous:     4 kB\nVmFlags: rd mr mw me\n"
        "7f0000001000-7f0000002000 rwxp 00000000 fe:00 1   /lib/libllvmlite.so\nAnonymous:     0 kB\n"
        "7f0000002000-7f0000003000 r-xp 00000000 fe:00 2   /lib/another library.so\nAnonymous:     0 kB\n"
        "7f0000003000-7f0000004000 r--p 00000000 00:00 0\nAnonymous:     0 kB\n",
        encoding="utf-8",
    )
    assert release_compiler(smaps) == 0


def test_what_was_freed_below_something_in_use_goes_back_to_the_system() -> None:
    pieces = [bytes(1000) for _ in range(60_000)]
    kept = pieces[-1:]
    pieces.clear()
    before = psutil.Process().memory_info().rss
    release_freed()
    assert psutil.Process().memory_info().rss < before - 40 * MIB
    assert len(kept) == 1
