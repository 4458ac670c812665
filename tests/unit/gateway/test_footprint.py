"""What the daemon gives back once its kernels are compiled."""

from pathlib import Path

import numpy as np
import psutil
from numba import njit

from gateway.edge.footprint import release_compiler, release_freed

MIB = 2**20


def test_the_compilers_code_leaves_memory_and_comes_back_when_it_is_called() -> None:
    twice = njit(lambda values: values * 2.0)
    assert list(twice(np.array([1.5]))) == [3.0]
    before = psutil.Process().memory_info().rss
    assert release_compiler() > 20 * MIB
    assert psutil.Process().memory_info().rss < before - 20 * MIB
    thrice = njit(lambda values: values * 3.0)
    assert list(thrice(np.array([1.5]))) == [4.5]


def test_only_code_that_cannot_have_been_written_to_is_given_back(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text(
        "7f0000000000-7f0000001000 r--p 00000000 fe:00 1   /lib/libllvmlite.so\n"
        "7f0000001000-7f0000002000 rwxp 00000000 fe:00 1   /lib/libllvmlite.so\n"
        "7f0000002000-7f0000003000 r-xp 00000000 fe:00 2   /lib/another library.so\n",
        encoding="utf-8",
    )
    assert release_compiler(maps) == 0


def test_what_was_freed_below_something_in_use_goes_back_to_the_system() -> None:
    pieces = [bytes(1000) for _ in range(60_000)]
    kept = pieces[-1:]
    pieces.clear()
    before = psutil.Process().memory_info().rss
    release_freed()
    assert psutil.Process().memory_info().rss < before - 40 * MIB
    assert len(kept) == 1
