"""The async side of a store: what its end waits for, and what not."""

import asyncio
import os
from pathlib import Path
from typing import Any

import psutil
import pytest
from numba import config

from pipeline.store import Origin
from pipeline.store.embedded import EmbeddedCore, EmbeddedStoreSettings
from pipeline.store.shell import StoreShell
from tests.support.small_kernel import GATE, compile_thrice
from tests.support.stored import data, frame

SITE = Origin("lab", "one")
RECORD = data(frame("ph", {("ph", "f8"): [7.0]}), 0)


class ColdCore(EmbeddedCore):
    """A store whose encoder is not in the cache of compiled kernels."""

    def warm(self) -> None:
        compile_thrice()

    def encode(self, origin: Origin, records: Any) -> Any:
        compile_thrice()
        return super().encode(origin, records)


@pytest.mark.parametrize("call", ["warm", "write"])
async def test_a_store_that_is_closed_waits_for_no_compiler(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    monkeypatch.setenv(GATE, str(gate))
    shell = StoreShell(ColdCore(EmbeddedStoreSettings(kind="embedded", path=tmp_path / "store.sqlite")))
    under_way = asyncio.create_task(shell.warm() if call == "warm" else _write(shell))
    async with asyncio.timeout(60):
        opened = await asyncio.to_thread(gate.open, "wb")  # opens when the child has come to it
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
        await shell.close()
    opened.close()
    assert not [child for child in psutil.Process().children() if "compile_thrice" in child.cmdline()[-1]]


async def _write(shell: StoreShell[Any]) -> None:
    await shell.write(SITE, [RECORD])
