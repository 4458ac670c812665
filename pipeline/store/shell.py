"""The async side of a store: runs a blocking core on worker threads of its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Generic, ParamSpec, Protocol, TypeVar

from pipeline.compiled.compiling import WarmUp
from pipeline.store.door import StoreError, StoreHealth
from pipeline.store.schema import LEDGER_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.records import Record
    from pipeline.store.door import Counts, LatestRow, LedgerRow, Origin, Row, Series, WriteReport

_P = ParamSpec("_P")
_T = TypeVar("_T")
_E = TypeVar("_E")
"""A batch as a core has encoded it."""

READERS = 3
"""Queries that run at a time; further ones wait."""


class Core(Protocol[_E]):
    """A store's blocking half; `encode`, then `send` are `Store.write`, the others are those of `Store`."""

    kind: str

    def warm(self) -> None:
        """See `Store.warm`."""
        ...

    def encode(self, origin: Origin, records: Sequence[Record]) -> _E:
        """Do what of a write needs no store; runs beside `send`, never twice at a time. Never unavailable."""
        ...

    def send(self, encoded: _E) -> WriteReport:
        """Store what was encoded and wait until it is durable; never called twice at a time."""
        ...

    def sites(self) -> list[Origin]:
        """See `Store.sites`."""
        ...

    def instruments(self, origin: Origin) -> list[str]:
        """See `Store.instruments`."""
        ...

    def latest(self, origin: Origin) -> dict[str, LatestRow]:
        """See `Store.latest`."""
        ...

    def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        """See `Store.window`."""
        ...

    def rows(self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None) -> list[Row]:
        """See `Store.rows`."""
        ...

    def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> Mapping[str, Counts]:
        """See `Store.counts`."""
        ...

    def ledger(
        self,
        origin: Origin,
        kind: str,
        *,
        key: str | None,
        limit: int,
        newest_first: bool,
        seq_from: int | None,
    ) -> list[LedgerRow]:
        """See `Store.ledger`."""
        ...

    def ledger_count(self, origin: Origin, kind: str, *, key: str | None) -> int:
        """See `Store.ledger_count`."""
        ...

    def health(self) -> str:
        """Say what the store is; raises StoreUnavailable when it cannot be used."""
        ...

    def cut_off(self) -> None:
        """Have calls that wait for a server fail at once, now and later; runs beside them, before `close`."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...


class StoreShell(Generic[_E]):
    """A `Store` around a core: threads for encoding, sending and queries, so that none waits for the other.

    Writes called beside each other are a pipeline: while one waits for the store, the next is encoded.

    Callers wait for their own call, so no more calls are queued than callers exist. A cancelled call ends in
    its thread at the core's time-out, or when the store is closed; writes are idempotent, so that leaves
    nothing half done.
    """

    def __init__(self, core: Core[_E]) -> None:
        self._core = core
        self._warm_up = WarmUp()
        """Of what encoding needs compiled: given up at the end, so that nobody waits for a compiler then."""
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="store-encode")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    async def _run(
        self, pool: ThreadPoolExecutor, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: call(*args, **kwargs))

    def _with_warm_up(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._warm_up:
            return call(*args, **kwargs)

    async def close(self) -> None:
        """Release files and connections once the calls that run have ended.

        Nobody waits for what they answer any more: those that wait for a compiler or a server are cut off.
        """
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self._warm_up.give_up()
        self._core.cut_off()
        self._encoder.shutdown(wait=True, cancel_futures=True)
        self._writer.shutdown(wait=True, cancel_futures=True)
        self._readers.shutdown(wait=True, cancel_futures=True)
        self._core.close()

    async def warm(self) -> None:
        """See `Store.warm`."""
        await self._run(self._encoder, self._with_warm_up, self._core.warm)

    async def write(self, origin: Origin, records: Sequence[Record]) -> WriteReport:
        """See `Store.write`."""
        encoded = await self._run(self._encoder, self._with_warm_up, self._core.encode, origin, records)
        return await self._run(self._writer, self._core.send, encoded)

    async def sites(self) -> list[Origin]:
        """See `Store.sites`."""
        return await self._run(self._readers, self._core.sites)

    async def instruments(self, origin: Origin) -> list[str]:
        """See `Store.instruments`."""
        return await self._run(self._readers, self._core.instruments, origin)

    async def latest(self, origin: Origin) -> dict[str, LatestRow]:
        """See `Store.latest`."""
        return await self._run(self._readers, self._core.latest, origin)

    async def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        """See `Store.window`."""
        return await self._run(
            self._readers, self._core.window, origin, instrument, channel, t_from_ns, t_to_ns, points_max
        )

    async def rows(
        self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None = None
    ) -> list[Row]:
        """See `Store.rows`."""
        return await self._run(
            self._readers, self._core.rows, origin, instrument, n_from=n_from, n_to=n_to, era=era
        )

    async def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> Mapping[str, Counts]:
        """See `Store.counts`."""
        return await self._run(self._readers, self._core.counts, origin, t_from_ns, t_to_ns)

    async def ledger(
        self,
        origin: Origin,
        kind: str,
        *,
        key: str | None = None,
        limit: int = 1000,
        newest_first: bool = True,
        seq_from: int | None = None,
    ) -> list[LedgerRow]:
        """See `Store.ledger`."""
        _check_kind(kind)
        return await self._run(
            self._readers,
            self._core.ledger,
            origin,
            kind,
            key=key,
            limit=limit,
            newest_first=newest_first,
            seq_from=seq_from,
        )

    async def ledger_count(self, origin: Origin, kind: str, *, key: str | None = None) -> int:
        """See `Store.ledger_count`."""
        _check_kind(kind)
        return await self._run(self._readers, self._core.ledger_count, origin, kind, key=key)

    async def health(self) -> StoreHealth:
        """See `Store.health`."""
        try:
            detail = await self._run(self._readers, self._core.health)
        except StoreError as error:
            return StoreHealth(ok=False, kind=self._core.kind, detail=str(error))
        return StoreHealth(ok=True, kind=self._core.kind, detail=detail)


def _check_kind(kind: str) -> None:
    if kind not in LEDGER_KEYS:
        raise ValueError(f"stores do not show records of kind {kind!r}; they show {', '.join(LEDGER_KEYS)}")
