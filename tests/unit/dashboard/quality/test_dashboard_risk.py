"""What the pages of the risk index say of it, and how evidence is listed."""

import html
import math
import re

import httpx
import pytest
from jinja2 import Environment, FileSystemLoader

from dashboard.events import event_rows, event_texts
from dashboard.language import messages
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.risk.weights import WEIGHTS
from pipeline.elements.texts import render_reason
from pipeline.records.events import Language, event_body
from pipeline.store.door import LedgerRow
from tests.support.tree import ROOT
from tests.unit.elements.bench import Bench


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_that_counts_for_the_risk_index_has_words(language: Language) -> None:
    named = messages(language).table("risk_code")
    assert {*REASONS, *WEIGHTS, "gap", "gap-open", "other"} == set(named)
    assert len(set(named.values())) == len(named), "two causes with one name"


async def test_a_little_less_than_enough_work_does_not_look_like_enough(
    lab: httpx.AsyncClient, bench: Bench
) -> None:
    shown = bench.shown("risk", "instrument:bal-1")
    page = (await lab.get("/risk/instrument:bal-1")).text
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert f"Work done: {math.floor(shown['work'] * 100) / 100:.2f}" in text
    assert ("less work than 10 tasks" in text) == (shown["work"] < 10)


def test_many_records_of_evidence_are_folded_away() -> None:
    template = Environment(
        loader=FileSystemLoader(ROOT / "dashboard" / "templates"), autoescape=True
    ).from_string("{% from 'parts.html' import seqs %}{{ seqs(numbers) }}")
    assert "<details" not in template.render(numbers=range(8))
    shown = template.render(numbers=list(range(90)))
    assert "+82" in shown
    assert shown.count("seq-link") == 90
    assert shown.index("<details") < shown.index("/records/8")


async def test_the_index_of_a_person_is_the_laboratorys_among_events_too() -> None:
    bodies = [
        event_body("risk-level", subject=subject, before="ordinary", level="attention", index=61.25)
        for subject in ("person:p-li", "element:measurement", "instrument:bal-1")
    ]
    rows = [LedgerRow("event", "", bytes(16), "e", seq, 0, "live", body) for seq, body in enumerate(bodies)]
    names = {"p-li": "Li Na"}
    for language, words in (("en", ("Person Li Na", "Element measurement", "Instrument bal-1")),
                            ("zh", ("人员 Li Na", "要素 测量", "仪器 bal-1"))):  # fmt: skip
        text = messages(language)
        shown = [row["text"] for row in event_rows(rows, "lab", text, names)]
        assert all(word in said for word, said in zip(words, shown, strict=True)), shown
        closed = event_rows(rows, "regulator", text, names)
        assert [row["seq"] for row in closed] == [1, 2]
        assert event_texts(bodies[0], "regulator", text, names) == ("risk-level", "")


@pytest.mark.parametrize(
    ("code", "args", "en", "zh"),
    [
        ("look-back", {"lookback": "LB-7", "target": "bal-1", "cause": "check-failed", "failed": "T-2"},
         "(the check failed, T-2)", "（核查未通过，T-2）"),
        ("qc-overdue", {"kind": "matrix-spike", "basis": "per-batch"},
         "matrix spike (in each batch)", "加标（每批）"),
        ("service-state", {"instrument": "bal-1", "state": "fault", "purpose": "test"},
         "state fault", "处于 故障"),
        ("status-kind-unsuitable", {"channel": "p-1.pressure", "kind": "check", "needed": "calibration"},
         "'check'", "“check”"),
    ],
)  # fmt: skip
def test_codes_within_a_reason_are_put_into_words(code: str, args: dict[str, str], en: str, zh: str) -> None:
    assert en in render_reason(code, "x", args, "en")
    assert zh in render_reason(code, "x", args, "zh")
