"""The official class and the table of spot checks: imported with their source, never computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from config import ConfigInvalid
from pipeline.elements import Refused
from pipeline.elements.risk.spot_check import read_spot_checks
from tests.support.tree import ROOT
from tests.unit.elements.bench import (
    RUN0,
    SIGNER,
    UTC0,
)
from tests.unit.elements.risky import clean, gap

ILLUSTRATION = ROOT / "config" / "examples" / "spot-check" / "illustrative.toml"


def test_the_official_class_is_imported_with_its_source_and_never_computed() -> None:
    bench = clean()
    assert bench.shown("risk")["credit_class"] is None
    args = {"credit_class": "B", "source": "SAMR list", "decided_on": "2026-03-01", "document": "No. 7"}
    who = bench.someone(SIGNER)
    bench.do("risk.class", who, **args)
    shown = bench.shown("risk")["credit_class"]
    seq = bench.of_kind("event")[-1].seq
    assert shown == {**args, "person": SIGNER, "seq": seq}
    again = bench.elements.plan("risk.class", args, who, UTC0, RUN0)
    assert (again.drafts, again.seqs) == ((), (seq,))
    gap(bench, 1000.0)
    bench.tick()
    assert bench.shown("risk")["credit_class"] == shown
    assert "class" not in json.dumps(bench.shown("risk", "lab"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"credit_class": "E"}, "wrong-argument"),
        ({"decided_on": "March"}, "wrong-argument"),
        ({"source": ""}, "missing-argument"),
        ({"grade": "A"}, "unknown-argument"),
    ],
)
def test_a_class_without_sense_or_source_is_refused(change: dict[str, str], code: str) -> None:
    args = {"credit_class": "B", "source": "SAMR list", "decided_on": "2026-03-01", **change}
    with pytest.raises(Refused) as refused:
        clean().plan("risk.class", None, **args)
    assert refused.value.code == code


def test_a_class_that_somebody_merely_asserts_is_refused() -> None:
    bench = clean()
    with pytest.raises(Refused) as refused:
        bench.plan(
            "risk.class",
            bench.someone(SIGNER, "asserted"),
            credit_class="A",
            source="x",
            decided_on="2026-01-01",
        )
    assert refused.value.code == "not-authenticated"


def test_the_regulators_table_says_what_applies_to_the_class() -> None:
    bench = clean()
    bench.do("risk.table", bench.someone(SIGNER), table=read_spot_checks(ILLUSTRATION))
    shown = bench.shown("risk")["spot_checks"]
    assert shown["illustrative"] is True
    assert shown["applies"] is None, "without an official class no row applies"
    bench.do("risk.class", bench.someone(SIGNER), credit_class="C", source="list", decided_on="2026-03-01")
    applies = bench.shown("risk")["spot_checks"]["applies"]
    assert (applies["credit_class"], applies["proportion"], applies["per_year"]) == ("C", 0.1, 4.0)


def test_the_shipped_table_says_that_it_is_an_illustration() -> None:
    table = read_spot_checks(ILLUSTRATION)
    assert table["illustrative"] is True
    assert "illustrative" in table["title"]
    assert [row["credit_class"] for row in table["rows"]] == ["A", "B", "C", "D"]


def test_a_broken_table_is_refused_with_every_line(tmp_path: Path) -> None:
    text = ILLUSTRATION.read_text(encoding="utf-8")
    broken = tmp_path / "broken.toml"
    broken.write_text(text.replace("0.05", "5").replace("per_year = 4", 'per_year = "4"'), encoding="utf-8")
    with pytest.raises(ConfigInvalid) as invalid:
        read_spot_checks(broken)
    assert len(invalid.value.findings) == 2
    twice = tmp_path / "twice.toml"
    twice.write_text(text.replace('credit_class = "D"', 'credit_class = "A"'), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="class A is there already"):
        read_spot_checks(twice)


@pytest.mark.parametrize("table", [None, {}, {"title": "x"}, {**read_spot_checks(ILLUSTRATION), "rows": []}])
def test_a_table_that_is_none_is_refused(table: Any) -> None:
    with pytest.raises(Refused) as refused:
        clean().plan("risk.table", table=table)
    assert refused.value.code == "wrong-argument"
