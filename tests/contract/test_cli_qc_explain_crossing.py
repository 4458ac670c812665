"""`yaosu qc explain`: flags that came from another instrument, in both languages."""

import dataclasses
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.site import load_site
from pipeline.journal import Journal, JournalSettings
from pipeline.qc import Decision, QcEngine
from pipeline.records import Block, Channel, Frame, Layout
from pipeline.records.frame import FlagSet, encode_flags, encode_frame
from tests.unit.qc.blocks import SECOND, block_of

INSTRUMENT = """
[[instrument]]
id = "{id}"
driver = "modbus-tcp"
host = "127.0.0.1"
port = {port}
poll_interval_s = 1.0
channels = [
    {{ name = "temperature", table = "input", address = 0, type = "float32", unit = "°C"{rules} }},
    {{ name = "setpoint", table = "input", address = 2, type = "float32", unit = "°C" }},
]
"""
REDUNDANCY = (
    'redundancy = { instrument = "reference", partner = "temperature", align_tol_s = 0.5, suspect = 0.5 }'
)
SCHEDULE = 'schedule = { instrument = "reference", setpoint = "setpoint", late_s = 2.0, fail = 2.0 }'
SITE = (
    '[site]\nlab = "lab-1"\ngateway = "gateway-1"\nstate_dir = "state"\n'
    + INSTRUMENT.format(id="oven", port=502, rules=f", qc = {{ {REDUNDANCY}, {SCHEDULE} }}")
    + INSTRUMENT.format(id="reference", port=503, rules="")
)
T0 = 1_772_323_200 * SECOND
LAYOUT = Layout((Channel("temperature", unit="°C"), Channel("setpoint", unit="°C")))
OVEN = [60.0, 60.2, 60.9, 65.0, 60.0, 60.0]
TEXTS = {
    "en": (
        "differs from channel 'reference.temperature' by more than 0.5 °C (suspect)",
        "more than 2 °C from what the set-points let expect (fail)",
        "redundancy suspect",
        "schedule fail",
    ),
    "zh": (
        "与通道“reference.temperature”相差超过 0.5 °C（可疑）",
        "偏离设定程序的期望值超过 2 °C（失败）",
        "redundancy 可疑",
        "schedule 失败",
    ),
}


def rows(instrument: str, values: list[float]) -> Block:
    times = [T0 + k * SECOND for k in range(len(values))]
    block = block_of([values, [60.0] * len(values)], times, layout=LAYOUT)
    return dataclasses.replace(block, instrument=instrument)


async def record(folder: Path) -> int:
    """Record a frame of both instruments and what the rules decided; the number of the oven's."""
    site = load_site(folder / "gateway.toml")
    journal = await Journal.open(
        folder / "state/journal", JournalSettings(commit_delay_ms=1), purpose="production"
    )
    body = {"action": "start", "sha256": site.sha256, "path_name": "gateway.toml", "site": site.summary()}
    journal.append("config", body, source="live")
    engine = QcEngine(site.qc(), site.intervals_s())
    engine.warm()
    decisions: list[Decision] = []
    seqs = []
    for block in (rows("oven", OVEN), rows("reference", [60.0] * 8)):
        found = engine.process(block, 0)
        decisions += found.decisions
        frame = Frame(block, 0, found.flag, found.reason, found.unevaluated)
        seqs.append(journal.append("data", encode_frame(frame), source="live").seq)
    for one in decisions:
        assert one.instrument == "oven"
        through = one.decided_through_n
        flags = FlagSet("oven", one.rule, through, one.n, one.channel, one.flag, T0 + one.n * SECOND)
        journal.append("flags", encode_flags(flags), source="live")
    await journal.wait_durable(journal.head_seq - 1)
    await journal.close()
    return seqs[0]


@pytest.mark.parametrize("language", ["en", "zh"])
async def test_a_flag_that_another_instrument_brought_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaked_tasks: None, language: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(SITE, encoding="utf-8")
    seq = await record(tmp_path)
    runner = CliRunner()
    text = runner.invoke(app, ["qc", "explain", str(seq), "--lang", language]).stdout
    assert [one for one in TEXTS[language] if one not in text] == []
    told = json.loads(runner.invoke(app, ["qc", "explain", str(seq), "--lang", language, "--json"]).stdout)
    assert [(one["channel"], one["n"], one["flag"]) for one in told["readings"]] == [
        ("temperature", 2, 3), ("temperature", 3, 4)
    ]  # fmt: skip
    later = [{each["rule"]: each["flag"] for each in one["later"]} for one in told["readings"]]
    assert later == [{"redundancy": 3}, {"redundancy": 3, "schedule": 4}]
    assert told["readings"][0]["explanations"] == [TEXTS[language][0]]
    assert told["decided_through"] == {"redundancy": 5, "schedule": 5}
    assert told["limits"]["temperature"]["redundancy"]["partner"] == "temperature"
