"""`yaosu qc run` gives the flags of the streaming engine, bit for bit, however the stream is cut."""

import csv
import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from gateway.cli.main import app
from pipeline.qc import RULES, ChannelQc, QcEngine
from pipeline.qc.files import load_rules
from pipeline.records import Block, Channel, Flag, Layout
from pipeline.records.flags import worst
from tests.unit.qc.blocks import SECOND, block_of

SEED = 20261122
ROWS = 400
START_NS = 1_772_323_200 * SECOND
RULES_TOML = """
[channel.a]
range = { suspect_low = 5.0, fail_high = 30.0 }
rate = { suspect = 3.0, fail = 9.0, max_gap_s = 10.0 }
spike = { suspect = 2.0, fail = 6.0, max_gap_s = 10.0, required = true }
flat_line = { tolerance = 0.0, suspect_s = 4.0, fail_s = 8.0, max_gap_s = 10.0 }
gap = { interval_s = 2.5 }
repeated = { suspect_n = 5, max_gap_s = 10.0 }
noise = { suspect_low = 0.05, suspect_high = 2.0, window_s = 10.0, max_gap_s = 10.0 }
rate_dev = { suspect = 4.0, window_s = 10.0, max_gap_s = 10.0 }
ewma = { centre = 20.0, sigma = 0.5, suspect_k = 4.0 }
cusum = { target = 20.0, sigma = 0.5, suspect_h = 8.0 }
hampel = { suspect_k = 6.0, readings = 7, max_gap_s = 10.0 }
level_shift = { suspect = 1.5, readings = 5, max_gap_s = 10.0 }
page_hinkley = { delta = 0.3, suspect = 12.0 }
stability = { tolerance = 0.3, duration_s = 3.0 }
late = { suspect_s = 1.0 }
completeness = { suspect = 0.9, window_s = 20.0 }
identical = { suspect_n = 12 }
unit_change = {}
schedule = { start = 2026-03-01T00:00:00Z, points = [[0.0, 20.0]], suspect = 3.0, lag_s = 5.0 }
redundancy = { partner = "b", suspect = 1.0, fail = 3.0 }

[channel.b]
range = { suspect_high = 22.0 }
schedule = { setpoint = "set", late_s = 5.0, suspect = 1.5, required = true }

[channel.set]
"""


def readings() -> tuple[list[int], NDArray[np.float64]]:
    """Two columns that measure the same thing and a set-point: faults, gaps, NaN, stamps out of order."""
    rng = np.random.default_rng(SEED)
    a = 20 + np.cumsum(rng.normal(0, 0.02, ROWS)) + rng.normal(0, 0.15, ROWS)
    b = a + rng.normal(0, 0.1, ROWS)
    a[50], a[80], b[90] = 28.0, 41.0, 26.0
    a[100:115] = a[100]
    a[130:160] += np.linspace(0, 4, 30)
    a[200:240] += 2.5
    a[250:280] += rng.normal(0, 3.0, 30)
    a[300:330] = a[20:50]
    values = np.array([a, b, np.where(np.arange(ROWS) < 220, 20.0, 22.0)]).round(2)
    values[0, 340:344] = np.nan
    values[:, rng.integers(0, ROWS, 12)] = np.nan
    values[0, 350] = np.inf
    steps = np.full(ROWS, SECOND)
    steps[[60, 180]] = 8 * SECOND, 40 * SECOND
    steps[[70, 71, 290]], steps[295] = 0, -SECOND
    return [START_NS + int(t) for t in np.cumsum(steps)], values


def write(path: Path, times: list[int], values: NDArray[np.float64]) -> None:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["t_ns", "a", "b", "set"])
        for t_ns, row in zip(times, values.T.tolist(), strict=True):
            out.writerow([t_ns, *("" if math.isnan(x) else repr(x) for x in row)])


def stream(
    rules: dict[str, ChannelQc], block: Block, cuts: list[int]
) -> tuple[dict[str, list[Flag]], dict[str, list[str]]]:
    """Judge in pieces, and fold in what was decided later: worst flag, names of the rules that fired."""
    engine = QcEngine({"dut": rules}, {"dut": 1.0})
    engine.warm()
    flags: dict[str, list[list[int]]] = {name: [] for name in rules}
    masks: dict[str, list[int]] = {name: [] for name in rules}
    decisions = []
    for start, stop in zip([0, *cuts], [*cuts, ROWS], strict=True):
        found = engine.process(block.rows(start, stop), start)
        decisions += found.decisions
        for position, name in enumerate(rules):
            flags[name] += [[int(flag)] for flag in found.flag[position]]
            masks[name] += [int(mask) for mask in found.reason[position]]
    decisions += engine.flush("dut")
    bits = {rule.name: 1 << rule.bit for rule in RULES}
    for one in decisions:
        for n, name, flag, required in zip(one.n, one.channel, one.flag, one.required, strict=True):
            if flag != Flag.NOT_EVALUATED or required:
                flags[name][n].append(int(flag))
            if flag != Flag.NOT_EVALUATED:
                masks[name][n] |= bits[one.rule]
    names = {
        name: [" ".join(rule.name for rule in RULES if mask & bits[rule.name]) for mask in own]
        for name, own in masks.items()
    }
    return {name: [worst(each) for each in own] for name, own in flags.items()}, names


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("qc-run")
    write(folder / "data.csv", *readings())
    (folder / "rules.toml").write_text(RULES_TOML, encoding="utf-8")
    result = CliRunner().invoke(app, [
        "qc", "run", str(folder / "data.csv"), "--rules", str(folder / "rules.toml"), "--interval", "1",
        "--out", str(folder / "out.csv"),
    ])  # fmt: skip
    assert result.exit_code == 1, result.output
    with (folder / "out.csv").open(newline="") as file:
        return folder, list(csv.DictReader(file))


@pytest.mark.parametrize("seed", range(8))
def test_a_file_is_judged_as_its_stream_would_be_however_it_is_cut(
    ran: tuple[Path, list[dict[str, str]]], seed: int
) -> None:
    folder, written = ran
    rules = dict(load_rules(folder / "rules.toml").value.channel)
    times, values = readings()
    layout = Layout(tuple(Channel(name) for name in rules))
    cuts = sorted(Random(seed).sample(range(1, ROWS), Random(seed).choice([0, 1, 20, 150, ROWS - 1])))
    flags, names = stream(rules, block_of(values, times, layout=layout), cuts)
    for name in rules:
        assert [int(row[f"{name}.flag"]) for row in written] == flags[name]
        assert [" ".join(sorted(row[f"{name}.reason"].replace(";", " ").split())) for row in written] == [
            " ".join(sorted(one.split())) for one in names[name]
        ]


def test_the_file_shows_every_rule_that_a_file_can_show(ran: tuple[Path, list[dict[str, str]]]) -> None:
    fired = {name for row in ran[1] for column in "ab" for name in
             row[f"{column}.reason"].replace(";", " ").split()}  # fmt: skip
    # A file has no arrival times, and its units do not change.
    assert fired == {rule.name for rule in RULES} - {"late", "unit_change"}
