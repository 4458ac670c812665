"""`yaosu qc explain`: the flags of a recorded frame, from the journal on disk, while it is open."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.site import load_site
from pipeline.journal import Journal, JournalSettings
from pipeline.qc import Decision, QcEngine
from pipeline.records import Frame
from pipeline.records.block import concatenate
from pipeline.records.frame import FlagSet, encode_flags, encode_frame
from tests.unit.qc.blocks import SECOND, block_of, layout_of

SITE = """
[site]
lab = "lab-1"
gateway = "gateway-1"
state_dir = "state"

[[instrument]]
id = "dut"
driver = "modbus-tcp"
host = "127.0.0.1"
poll_interval_s = 1.0

[[instrument.channels]]
name = "c0"
table = "input"
address = 0
type = "float32"
unit = "°C"
qc.range = { suspect_high = 30.0, fail_high = 40.0 }
qc.rate = { suspect = 2.0, per = "min" }
qc.spike = { fail = 5.0 }

[[instrument.channels]]
name = "c1"
table = "input"
address = 2
type = "float32"
unit = "°C"
"""
T0 = 1_772_323_200 * SECOND


class Recorded:
    """A journal with a configuration, frames of three rows of one instrument, and what was decided later."""

    def __init__(self, journal: Journal, folder: Path) -> None:
        self.journal = journal
        site = load_site(folder / "gateway.toml")
        body = {"action": "start", "sha256": site.sha256, "path_name": "gateway.toml", "site": site.summary()}
        self.config = journal.append("config", body, source="live").seq
        journal.append("config", {"action": "apply", "sha256": "f" * 64}, source="live")
        self._engine = QcEngine(site.qc(), site.intervals_s())
        self._engine.warm()
        self._layout, self._n = layout_of(2), 0
        self._frames: list[Frame] = []
        self.decisions: list[Decision] = []

    def frame(self, values: list[float], status: list[int] | None = None) -> int:
        """Record a frame of channel c0 (c1 is always 1)."""
        times = [T0 + (self._n + k) * 60 * SECOND for k in range(len(values))]
        codes = np.array([status or [0] * len(values), [0] * len(values)], dtype=np.uint8)
        block = block_of([values, [1.0] * len(values)], times, layout=self._layout, status=codes)
        result = self._engine.process(block, self._n)
        self.decisions += result.decisions
        frame = Frame(block, self._n, result.flag, result.reason, result.unevaluated)
        self._frames.append(frame)
        self._n += len(values)
        self.journal.append("event", {"code": "x"}, source="live")
        return self.journal.append("data", encode_frame(frame), source="live").seq

    def decide(self) -> int:
        """Record what was decided since; return the last record's number."""
        times = concatenate([frame.block for frame in self._frames]).t_utc_ns
        seq = -1
        for one in self.decisions:
            through = one.decided_through_n
            flags = FlagSet("dut", one.rule, through, one.n, one.channel, one.flag, times[one.n])
            seq = self.journal.append("flags", encode_flags(flags), source="live").seq
        self.decisions.clear()
        return seq

    async def durable(self) -> None:
        await self.journal.wait_durable(self.journal.head_seq - 1)


@pytest.fixture
async def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_leaked_tasks: None) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    (tmp_path / "gateway.toml").write_text(SITE, encoding="utf-8")
    settings = JournalSettings(commit_delay_ms=1)
    journal = await Journal.open(tmp_path / "state/journal", settings, purpose="production")
    yield Recorded(journal, tmp_path)
    await journal.close()


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["qc", "explain", *arguments])


async def test_a_flag_tells_its_rule_inputs_limits_and_configuration(recorded: Recorded) -> None:
    recorded.frame([20.0, 20.5, 20.6])
    seq = recorded.frame([24.6, 41.0, 20.0], [0, 0, 1])
    recorded.frame([25.0, 25.1, 25.2])
    last = recorded.decide()
    await recorded.durable()
    result = explain(str(seq))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"record {seq}: dut, rows 3 to 5, 2026-03-01")
    assert lines[1].startswith(f"configuration: record {recorded.config}, gateway.toml, sha256 ")
    assert lines[2].startswith("limits of c0: range (suspect_high = 30.0, fail_high = 40.0, required = True)")
    text = "\n".join(line.split("  2026")[0] for line in lines[3:])
    assert "rate 4 °C/min exceeds 2 °C/min (suspect)" in text
    assert "41 °C is above the fail limit 40 °C" in text
    assert "spike of 6.2 °C (average) exceeds 5 °C (fail)" in text
    assert re.search(r"decided later, in record \d+: spike fail", text)
    assert "no value: no answer" in text
    assert "c0  n 3" in text
    assert "c1" not in text
    told = json.loads(explain(str(seq), "--json").stdout)
    assert [(one["n"], one["flag"], one["value"]) for one in told["readings"]] == [
        (3, 4, 24.6), (4, 4, 41.0), (5, 9, None)
    ]  # fmt: skip
    later = [one["later"] for one in told["readings"]]
    verdicts = [[(each["rule"], each["flag"]) for each in one] for one in later]
    assert verdicts == [[("spike", 4)], [("spike", 2)], []]
    assert all(seq < each["seq"] <= last for one in later for each in one)
    assert told["config"]["seq"] == recorded.config
    assert told["limits"]["c0"]["rate"]["suspect"] == 2.0


async def test_it_speaks_chinese(recorded: Recorded) -> None:
    seq = recorded.frame([20.0, 35.0])
    await recorded.durable()
    result = explain(str(seq), "--lang", "zh")
    assert result.exit_code == 0, result.output
    assert "35 °C 高于可疑上限 30 °C" in result.stdout
    assert f"配置：记录 {recorded.config}" in result.stdout


async def test_what_is_not_decided_yet_is_said_to_be_open(recorded: Recorded) -> None:
    seq = recorded.frame([20.0, 20.1, 20.2])
    recorded.decide()
    await recorded.durable()
    result = explain(str(seq))
    assert "every reading passed" in result.stdout
    assert "spike: not decided yet for rows from 2 on" in result.stdout


async def test_only_so_many_readings_and_only_one_channel_are_shown_on_request(recorded: Recorded) -> None:
    seq = recorded.frame([50.0] * 5)
    await recorded.durable()
    result = explain(str(seq), "--limit", "2", "--channel", "c0")
    assert result.stdout.count("above the fail limit") == 2
    assert "… and 3 more readings (--limit)" in result.stdout
    assert "every reading passed" in explain(str(seq), "--channel", "c1").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["999999"], "has no readable record 999999"),
        (["0"], "is of kind"),
        (["{seq}", "--lang", "fr"], "there are: en, zh"),
        (["{seq}", "--channel", "c9"], "no channel 'c9' in record"),
    ],
)
async def test_what_cannot_be_explained_is_told(recorded: Recorded, arguments: list[str], words: str) -> None:
    seq = recorded.frame([50.0])
    await recorded.durable()
    result = explain(*(one.format(seq=seq) for one in arguments))
    assert result.exit_code == 2
    assert words in result.stderr


def test_without_a_journal_it_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gateway.toml").write_text(SITE, encoding="utf-8")
    result = explain("1")
    assert result.exit_code == 69
    assert "yaosu init" in result.stderr
