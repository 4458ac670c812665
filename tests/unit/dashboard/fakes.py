"""A store in memory and a daemon's door that answers from tables, with a small site to show."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import orjson

from pipeline.records import Record
from pipeline.store.door import (
    Counts,
    LatestRow,
    LedgerRow,
    Origin,
    Row,
    Series,
    StoreHealth,
    StoreUnavailable,
    WriteReport,
)

ORIGIN = Origin("lab-a", "gw-1")
JOURNAL = bytes(range(16))
ERA = "00010203-0"
SECOND = 1_000_000_000
NOW_NS = 1_772_352_000 * SECOND  # 2026-03-01 08:00:00 UTC


class FakeStore:
    """Holds series by (instrument, channel) and ledger rows; can be away."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str], Series] = {}
        self.units: dict[str, dict[str, str]] = {}
        self.rows_ledger: list[LedgerRow] = []
        self.away = False
        self.reads = 0
        self.source = "simulated"

    async def warm(self) -> None: ...

    def put(
        self,
        instrument: str,
        channel: str,
        t_ns: Sequence[int],
        values: Sequence[float],
        flags: Sequence[int],
        reasons: Sequence[int] | None = None,
        unit: str = "",
        corrected: Sequence[float] | None = None,
    ) -> None:
        reason = np.array(reasons if reasons is not None else [0] * len(t_ns), dtype=np.int64)
        self.series[instrument, channel] = Series(
            np.array(t_ns, dtype=np.int64),
            np.array(values, dtype=np.float64),
            np.array(flags, dtype=np.uint8),
            reason,
            decimated=False,
            corrected=None if corrected is None else np.array(corrected, dtype=np.float64),
        )
        self.units.setdefault(instrument, {})[channel] = unit

    def record(
        self,
        kind: str,
        body: dict[str, Any],
        *,
        key: str = "",
        t_utc_ns: int = NOW_NS,
        seq: int | None = None,
    ) -> int:
        seq = len(self.rows_ledger) + 1 if seq is None else seq
        self.rows_ledger.append(
            LedgerRow(kind, key, JOURNAL, ERA, seq, t_utc_ns, self.source, orjson.loads(orjson.dumps(body)))
        )
        return seq

    def _check(self) -> None:
        self.reads += 1
        if self.away:
            raise StoreUnavailable("the store is away", retry_after_s=1.0, hint="start it")

    async def write(self, origin: Origin, records: Sequence[Record]) -> WriteReport:
        raise StoreUnavailable("this store is only read", retry_after_s=1.0)

    async def sites(self) -> list[Origin]:
        return [ORIGIN]

    async def instruments(self, origin: Origin) -> list[str]:
        return sorted({name for name, _ in self.series})

    async def latest(self, origin: Origin) -> dict[str, LatestRow]:
        self._check()
        latest = {}
        for name in await self.instruments(origin):
            channels = {channel: series for (owner, channel), series in self.series.items() if owner == name}
            newest = next(iter(channels.values()))
            values = {c: None if np.isnan(s.value[-1]) else float(s.value[-1]) for c, s in channels.items()}
            latest[name] = LatestRow(
                name,
                ERA,
                self.source,
                500 + len(newest.flag),
                len(newest.flag),
                int(newest.t_utc_ns[-1]),
                "in-use",
                dict(values),
                {c: int(s.flag[-1]) for c, s in channels.items()},
                {c: int(s.reason[-1]) for c, s in channels.items()},
                {},
                self.units[name],
            )
        return latest

    async def window(
        self, origin: Origin, instrument: str, channel: str, t_from_ns: int, t_to_ns: int, points_max: int
    ) -> Series:
        self._check()
        series = self.series.get((instrument, channel))
        if series is None:
            return Series(
                np.empty(0, np.int64),
                np.empty(0),
                np.empty(0, np.uint8),
                np.empty(0, np.int64),
                decimated=False,
            )
        inside = (series.t_utc_ns >= t_from_ns) & (series.t_utc_ns < t_to_ns)
        return Series(
            series.t_utc_ns[inside],
            series.value[inside],
            series.flag[inside],
            series.reason[inside],
            decimated=False,
            corrected=None if series.corrected is None else series.corrected[inside],
        )

    async def rows(
        self, origin: Origin, instrument: str, *, n_from: int, n_to: int, era: str | None = None
    ) -> list[Row]:
        return []

    async def counts(self, origin: Origin, t_from_ns: int, t_to_ns: int) -> Mapping[str, Counts]:
        self._check()
        counts = {}
        for name in await self.instruments(origin):
            chosen = [s for (owner, _), s in self.series.items() if owner == name]
            flags: dict[int, int] = {}
            rows = readings = 0
            for series in chosen:
                inside = (series.t_utc_ns >= t_from_ns) & (series.t_utc_ns < t_to_ns)
                rows = int(inside.sum())
                readings += rows
                for flag, number in zip(*np.unique(series.flag[inside], return_counts=True), strict=True):
                    flags[int(flag)] = flags.get(int(flag), 0) + int(number)
            if rows:
                counts[name] = Counts(rows, {ERA: rows}, readings, 0, flags, {}, {})
        return counts

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
        self._check()
        chosen = [row for row in self.rows_ledger if row.kind == kind and key in {None, row.key}]
        if seq_from is not None:
            chosen = [row for row in chosen if row.seq >= seq_from]
            chosen.sort(key=lambda row: row.seq, reverse=newest_first)
        else:
            chosen.sort(key=lambda row: (row.t_utc_ns, row.seq), reverse=newest_first)
        return chosen[:limit]

    async def ledger_count(self, origin: Origin, kind: str, *, key: str | None = None) -> int:
        return len(await self.ledger(origin, kind, key=key))

    async def health(self) -> StoreHealth:
        return StoreHealth(ok=not self.away, kind="fake", detail="")


class FakeDoor:
    """Answers like the daemon's door; remembers the commands that came."""

    PASSWORDS: ClassVar = {"p-wang": "correct horse", "p-reg": "tall giraffe"}
    ROLES: ClassVar = {"p-wang": ["signatory"], "p-reg": ["regulator"]}

    def __init__(self) -> None:
        self.commands: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}
        self.away = False
        self.status: dict[str, Any] = {
            "purpose": "rehearsal",
            "clock": {"synchronised": True, "error_ns": 1_200_000},
            "journal": {"backlog_records": 3, "backlog_since_utc_ns": NOW_NS - SECOND},
        }

    def _check(self) -> None:
        if self.away:
            raise ConnectionError("nobody answers at door.sock")

    async def get(self, path: str, *, token: str | None = None) -> Any:
        self._check()
        if path == "status":
            return self.status
        if path == "persons":
            person = self.tokens.get(token or "")
            if person is None:
                return {"ok": False, "code": "not-authenticated"}
            if self.ROLES[person] == ["regulator"]:
                return {"ok": False, "code": "lab-only"}
            return {"p-wang": "Wang Fang", "p-li": "Li Na"}
        return {"ok": False, "code": "not-found"}

    async def login(self, person: str, password: str) -> Any:
        self._check()
        if self.PASSWORDS.get(person) != password:
            return {
                "ok": False,
                "code": "wrong-secret",
                "en": "person and password do not match",
                "zh": "不符",
                "hint": "",
            }
        token = hashlib.sha256(person.encode()).hexdigest()
        self.tokens[token] = person
        return {
            "ok": True,
            "token": token,
            "person": person,
            "name": person.upper(),
            "roles": self.ROLES[person],
        }

    async def logout(self, token: str) -> None:
        self.tokens.pop(token, None)

    async def command(
        self,
        name: str,
        args: dict[str, Any],
        actor: dict[str, Any],
        *,
        token: str | None = None,
        key: str | None = None,
    ) -> Any:
        self._check()
        self.commands.append({"name": name, "args": args, "actor": actor, "token": token, "key": key})
        return self.answers.get(
            name, {"ok": True, "seq": [900], "result": {"task": args.get("task", "T-00002")}}
        )
