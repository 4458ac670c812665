"""Kernels that are not in the cache are compiled by another process, whatever befalls it or the cache."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from numba import config
from numba.core.event import Listener, install_listener

from pipeline.compiled.compiling import GivenUpError, WarmUp
from tests.support.small_kernel import GATE, KILLS, compile_squared, compile_thrice, compile_twice
from tests.support.tree import ROOT

ASK = (
    "from tests.support.small_kernel import compile_{0}; kernel = compile_{0}(); print(kernel(7.0)); "
    "print(sum(kernel.stats.cache_hits.values()))"
)


class Passes(Listener):
    """Counts the passes of the compiler that ran in this process."""

    def __init__(self) -> None:
        self.count = 0

    def on_start(self, event: Any) -> None:
        self.count += 1

    def on_end(self, event: Any) -> None:
        """Counted already."""


@contextmanager
def passes() -> Iterator[Passes]:
    with install_listener("numba:run_pass", Passes()) as counter:
        yield counter


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, for this process and its children."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(config, "CACHE_DIR", str(folder))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that another process has filled."""
    folder = tmp_path_factory.mktemp("full")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(folder))
        WarmUp().compile_apart(f"{compile_twice.__module__}:{compile_twice.__name__}")
    return folder


@pytest.fixture
def filled(cache: Path, full: Path) -> Path:
    """A copy of the full cache, for this process and its children."""
    shutil.copytree(full, cache)
    return cache


def files(cache: Path, ending: str) -> list[Path]:
    return sorted(cache.rglob(f"*.{ending}"))


def test_a_kernel_that_is_not_in_the_cache_is_compiled_by_another_process(cache: Path) -> None:
    told: list[str] = []
    with passes() as here, WarmUp(lambda: told.append("compiling")) as warm_up:
        assert compile_twice()(2.0) == 4.0
    assert (warm_up.state, warm_up.problem, told) == ("compiling apart", "", ["compiling"])
    assert here.count == 0
    assert len(files(cache, "nbc")) == 1


@pytest.mark.usefixtures("filled")
def test_a_kernel_that_is_in_the_cache_is_loaded_without_a_word() -> None:
    told: list[str] = []
    with passes() as here, WarmUp(lambda: told.append("compiling")) as warm_up:
        assert compile_twice()(2.0) == 4.0
    assert (warm_up.state, told, here.count) == ("loading", [], 0)


def test_a_cache_that_a_power_cut_has_damaged_is_made_anew(filled: Path) -> None:
    for path in files(filled, "nb?"):
        path.write_bytes(bytes(path.stat().st_size))
    with passes() as here, WarmUp() as warm_up:
        assert compile_twice()(2.0) == 4.0
        assert (warm_up.state, warm_up.problem) == ("compiling apart", "")
    assert here.count == 0


def test_a_process_that_compiles_and_is_killed_is_followed_by_another(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(KILLS, str(tmp_path / "kills"))
    (tmp_path / "kills").write_bytes(b"1")
    with passes() as here, WarmUp() as warm_up:
        assert compile_squared()(3.0) == 9.0
    assert (here.count, warm_up.state, warm_up.problem) == (0, "compiling apart", "")
    assert len(files(cache, "nbc")) == 1


def test_when_each_one_is_killed_this_process_compiles_and_says_so(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KILLS, str(tmp_path / "kills"))
    (tmp_path / "kills").write_bytes(b"many")
    with WarmUp() as warm_up:
        assert compile_squared()(3.0) == 9.0
    assert warm_up.state == "compiling here"
    assert "signal 9, 3 times" in warm_up.problem
    assert warm_up.problem in caplog.text
    assert files(cache, "nbc") == []


def test_where_the_cache_cannot_be_written_this_process_compiles_and_says_why(
    filled: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (index,) = files(filled, "nbi")
    index.unlink()
    index.mkdir()  # nothing can be put in its place, not even by root
    with WarmUp() as warm_up:
        assert compile_twice()(2.0) == 4.0
    assert warm_up.state == "compiling here"
    assert "IsADirectoryError" in warm_up.problem
    assert "compiled in this process" in caplog.text


def test_without_another_process_to_be_had_this_one_compiles(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(cache / "absent"))
    with WarmUp() as warm_up:
        assert compile_twice()(2.0) == 4.0
    assert "could not be started" in warm_up.problem


def test_a_warm_up_that_is_given_up_ends_the_process_that_compiles(
    cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv(GATE, str(gate))
    ends: list[BaseException] = []
    warm_up = WarmUp()

    def ask() -> None:
        with warm_up, pytest.raises(GivenUpError) as raised:
            compile_thrice()
        ends.append(raised.value)

    thread = threading.Thread(target=ask)
    thread.start()
    with gate.open("wb"):  # opens when the child has come to it
        warm_up.give_up()
        thread.join(60)
    assert len(ends) == 1
    assert not [child for child in psutil.Process().children() if "compile_thrice" in child.cmdline()[-1]]
    with warm_up, pytest.raises(GivenUpError):
        compile_thrice()
    assert files(cache, "nbc") == []


def test_a_process_that_compiles_ends_with_the_one_that_waits_for_it(cache: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with (
        subprocess.Popen(
            [sys.executable, "-c", ASK.format("thrice")], env={**os.environ, GATE: str(gate)}, cwd=ROOT
        ) as waiting,
        gate.open("wb"),
    ):
        (child,) = psutil.Process(waiting.pid).children()
        waiting.send_signal(signal.SIGKILL)
        assert child.wait(60) is None  # not a child of this process: only that it has ended is known
    assert files(cache, "nbc") == []


@pytest.mark.usefixtures("cache")
def test_two_at_once_on_one_cache_are_both_served() -> None:
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK.format("twice")], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    said = [one.communicate(timeout=120)[0].split() for one in asking]
    assert said == [["14.0", "1"]] * 2
