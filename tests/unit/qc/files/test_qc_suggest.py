"""Proposed limits come from the clean stretch, and what they would have flagged is what they flag."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.qc import ChannelQc, evaluate
from pipeline.qc.files import Readings, proposal_toml, propose
from pipeline.qc.files.readings import Problems
from pipeline.qc.files.rules import FileRules
from pipeline.qc.files.stamps import TimeForm
from pipeline.qc.files.suggest import Proposal, clean_stretch

SECOND = 1_000_000_000
SEED = 20261122


def readings_of(values: NDArray[np.float64], name: str = "t", step_ns: int = SECOND // 10) -> Readings:
    times = np.arange(len(values), dtype=np.int64) * step_ns
    return Readings(
        Path("data.csv"), "time", TimeForm("iso"), (name,), times, np.ones(len(values), dtype=np.bool_),
        values.reshape(1, -1), Problems(),
    )  # fmt: skip


def proposed(values: NDArray[np.float64], name: str = "t") -> Proposal:
    (proposal,) = propose(readings_of(values, name))
    return proposal


def noisy(count: int = 4000) -> NDArray[np.float64]:
    return np.random.default_rng(SEED).normal(20, 0.3, count).round(2)


def test_noise_cadence_and_span_are_those_of_the_data() -> None:
    stretch = clean_stretch(np.arange(4000) * SECOND // 10, noisy())
    assert stretch is not None
    assert stretch.noise_sd == pytest.approx(0.3, rel=0.1)
    assert stretch.cadence_s == pytest.approx(0.1)
    assert stretch.resolution == pytest.approx(0.01)
    assert stretch.low == pytest.approx(20 - 0.3 * 3.09, abs=0.2)
    assert stretch.readings == 4000


def test_faults_do_not_move_the_proposed_limits_and_are_found_by_them() -> None:
    values = noisy()
    clean = proposed(values).rules
    spoilt = values.copy()
    spoilt[3000] = 35.0
    spoilt[3100:3300] = spoilt[3100]
    spoilt[3500:3550] = np.nan
    spoilt[3700:] += 8
    proposal = proposed(spoilt)
    assert proposal.stretch is not None
    assert proposal.stretch.last_ns <= 3000 * SECOND // 10
    assert proposal.rules.range is not None
    assert clean.range is not None
    assert proposal.rules.range.fail_high == pytest.approx(clean.range.fail_high, rel=0.05)
    found = evaluate(np.arange(4000) * (SECOND // 10), spoilt, proposal.rules, per_rule=True).by_rule
    assert found is not None
    assert found["range"][3000] == 4
    assert found["spike"][3000] == 4
    assert found["flat_line"][3290] in {3, 4}
    assert set(found["range"][3700:].tolist()) <= {3, 4}
    assert proposal.flagged["range"]["fail"] >= 1


def test_the_file_of_rules_reads_back_as_what_was_proposed() -> None:
    for name in ("t", "温度 °C", 'a "b" \\ c', "x.y"):
        proposal = proposed(noisy(), name)
        text = proposal_toml("data.csv", [proposal])
        rules = FileRules.model_validate(tomllib.loads(text)).channel
        assert rules == {name: proposal.rules}
        assert "A person decides" in text
        found = proposal.flagged["range"]
        assert f"range would have flagged {found['suspect'] + found['fail']} of 4000" in text


def test_a_channel_that_rests_by_nature_gets_no_flat_line() -> None:
    rules = proposed(np.repeat([100.0, 100.1, 100.0], 1000)).rules
    assert rules.flat_line is None


def test_nothing_is_learnt_from_a_constant_or_from_too_little() -> None:
    constant = proposed(np.full(500, 7.0))
    assert constant.rules == ChannelQc()
    assert "nothing to learn" in proposal_toml("data.csv", [constant])
    few = proposed(np.array([1.0, 2.0, np.nan]))
    assert few.stretch is None
    text = proposal_toml("data.csv", [few])
    assert "fewer than 50 valid readings" in text
    assert FileRules.model_validate(tomllib.loads(text)).channel == {"t": ChannelQc()}


def test_equal_time_stamps_are_survived() -> None:
    (proposal,) = propose(readings_of(noisy(200), step_ns=0))
    assert proposal.rules == ChannelQc()


def test_clean_data_suffice_for_the_rules_with_memory_and_leave_them_silent() -> None:
    values = noisy()
    proposal = proposed(values)
    tables = ("noise", "repeated", "hampel", "ewma", "cusum", "level_shift", "stability")
    assert all(getattr(proposal.rules, table) is not None for table in tables)
    assert proposal.rules.ewma is not None
    assert proposal.rules.ewma.centre == pytest.approx(20.0, abs=0.02)
    assert proposal.rules.ewma.sigma == pytest.approx(0.3, rel=0.1)
    for table in tables[:-1]:
        assert proposal.flagged[table]["suspect"] + proposal.flagged[table]["fail"] == 0, table
    spoilt = values.copy()
    spoilt[2000:2100] = spoilt[2000]
    spoilt[3000:] += 3.0
    found = evaluate(np.arange(4000) * (SECOND // 10), spoilt, proposal.rules, per_rule=True).by_rule
    assert found is not None
    for table in ("noise", "repeated"):
        assert set(found[table][2090:2100].tolist()) <= {3, 4}, table
    for table in ("ewma", "cusum"):
        assert 3 in found[table][3000:3100], table
    assert 3 in found["level_shift"][2990:3010]
