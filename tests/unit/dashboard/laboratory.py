"""A laboratory whose elements are real: its records in the fake store, its views behind the fake door."""

from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from pipeline.elements import Actor, Refused
from pipeline.elements.batches import views
from pipeline.elements.method_shapes import FormulaInput, Step
from pipeline.elements.registry_shapes import QcItem, ResultSpec
from pipeline.elements.risk.spot_check import read_spot_checks
from pipeline.records.events import event_body
from pipeline.store.schema import LEDGER_KEYS
from tests.support.tree import ROOT
from tests.unit.dashboard.fakes import FakeDoor, FakeStore
from tests.unit.elements.bench import SECOND_ANALYST, SIGNER, UTC0, Bench
from tests.unit.elements.quality import PURPOSES, close, control, laboratory, measure, planned, qc_sample

TABLE = ROOT / "config" / "examples" / "spot-check" / "illustrative.toml"
ITEM = QcItem("qc-sample", interval_s=1e6)
WHERE = {"method": "weighing", "instrument": "bal-1", "quantity": "net_mass", "material": "QC-1"}

PROPOSAL: dict[str, Any] = {**WHERE, "basis": "assigned", "centre": 50.0, "sd": 0.01, "reason": "insert"}

REAL = ("alarm.", "chart.", "batch.", "lookback.")
"""Beginnings of the commands that the elements themselves answer."""


class LaboratoryDoor(FakeDoor):
    """A door whose views, and commands that are signed on pages, are those of a bench's elements."""

    def __init__(self, bench: Bench, store: FakeStore) -> None:
        super().__init__()
        self._bench = bench
        self._store = store

    async def get(self, path: str, *, token: str | None = None) -> Any:
        if path in {"status", "persons"}:
            return await super().get(path, token=token)
        self._check()
        split = urlsplit(path)
        name, _, argument = split.path.partition("/")
        subject = parse_qs(split.query).get("subject", [""])[0]
        try:
            return self._bench.shown(name, subject or unquote(argument) or None)
        except KeyError:
            return {"ok": False, "code": "not-found"}

    async def command(
        self, name: str, args: dict[str, Any], actor: dict[str, Any], *,
        token: str | None = None, key: str | None = None,
    ) -> Any:  # fmt: skip
        if not name.startswith(REAL):
            return await super().command(name, args, actor, token=token, key=key)
        self._check()
        self.commands.append({"name": name, "args": args, "actor": actor, "token": token, "key": key})
        if actor.get("pin") not in {None, "246810"}:
            return {"ok": False, "code": "wrong-secret", "en": "", "zh": "", "hint": ""}
        who = Actor(actor["person"], "", "pin", "web", name, "", UTC0, str(key))
        try:
            answer = self._bench.do(name, who, **args)
        except Refused as refused:
            return {
                "ok": False, "code": refused.code, "en": refused.en, "zh": refused.zh, "hint": refused.hint,
            }  # fmt: skip
        fill(self._store, self._bench)
        return {"ok": True, "seq": [len(self._bench.records) - 1], "result": answer}


def fill(store: FakeStore, bench: Bench) -> None:
    """Store the ledger records of a bench that are not stored yet."""
    through = max((row.seq for row in store.rows_ledger), default=-1)
    for record in bench.records[through + 1 :]:
        if record.kind in LEDGER_KEYS:
            key = "/".join(str(record.body.get(part) or "") for part in LEDGER_KEYS[record.kind])
            store.record(record.kind, dict(record.body), key=key, t_utc_ns=record.t_utc_ns, seq=record.seq)


def proposed(bench: Bench, person: str = SECOND_ANALYST) -> int:
    """Have another version of the chart proposed; its number."""
    shown = bench.do("chart.propose", bench.someone(person), **PROPOSAL, unit="g")
    return int(shown["version"])


def quality_bench() -> Bench:
    """A week's work: a chart with warning and rejection, a batch, a look-back, alarms, an official class."""
    net = ResultSpec(
        "net_mass", purposes=PURPOSES, formula="net(w)", inputs=(FormulaInput("w", "weight", "g"),),  # type: ignore[arg-type]  # literals
        unit="g",
    )  # fmt: skip
    steps = (Step("load", "weight", low=49.0, high=61.0, channel="weight"),)
    blank = QcItem("blank", per_batch=1, high=5.0)
    bench = laboratory(entries={("method", "weighing"): planned(ITEM, blank, results=(net,), steps=steps)})
    qc_sample(bench, 50.001)
    proposed(bench)
    shown = views.chart(bench.elements.fold, "C-1")
    assert shown is not None
    bench.do(
        "chart.approve", bench.someone(SIGNER), chart=shown["chart"], version=1, reason="stable",
        signed_hash=shown["versions"][0]["to_sign"],
    )  # fmt: skip
    for value in (50.002, 49.991, 50.012, 50.025):
        qc_sample(bench, value)
    bench.do("batch.open", batch="B 1/26", method="weighing")
    control(bench, "blank", 2.0, batch="B 1/26")
    measure(bench, 60.0, batch="B 1/26")
    close(bench, "B 1/26")
    measure(bench, 55.0)
    qc_sample(bench, 50.035)
    for _ in range(3):
        bench.append("event", event_body("instrument-lost", instrument="bal-1", error="timeout"))
    source = {"credit_class": "B", "source": "provincial list", "decided_on": "2026-03-01", "document": "7"}
    bench.do("risk.class", bench.someone(SIGNER), **source)
    bench.do("risk.table", bench.someone(SIGNER), table=read_spot_checks(TABLE))
    bench.tick()
    return bench
