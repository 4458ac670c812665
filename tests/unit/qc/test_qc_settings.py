"""Settings of the rules: what makes no sense is refused with words that help."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from config.errors import SettingError
from pipeline.qc import ChannelQc
from pipeline.qc.table import window_bytes

_SCHEDULE = {"start": datetime(2026, 1, 1, tzinfo=UTC), "points": [[0.0, 0.0], [5.0, 2.0]], "suspect": 1.0}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"range": {}}, "no limit"),
        ({"range": {"suspect_low": 2.0, "suspect_high": 1.0}}, "no value lies between"),
        ({"range": {"fail_low": 2.0, "suspect_low": 1.0}}, "fail range must contain the suspect range"),
        ({"range": {"suspect_high": 5.0, "fail_high": 4.0}}, "fail range must contain the suspect range"),
        ({"range": {"fail_low": 5.0, "suspect_high": 4.0}}, "no value lies between"),
        ({"rate": {}}, "no limit"),
        ({"rate": {"suspect": 3.0, "fail": 2.0}}, "no reading could be suspect"),
        ({"rate": {"suspect": -1.0}}, "greater than or equal to 0"),
        ({"rate": {"suspect": 1.0, "per": "day"}}, "'s', 'min' or 'h'"),
        ({"rate": {"suspect": 1.0, "max_gap_s": 0.0}}, "greater than 0"),
        ({"spike": {}}, "no limit"),
        ({"spike": {"suspect": 3.0, "fail": 2.0}}, "no reading could be suspect"),
        ({"flat_line": {"tolerance": 0.1}}, "no limit"),
        ({"flat_line": {"suspect_s": 60.0, "fail_s": 30.0}}, "no reading could be suspect"),
        ({"flat_line": {"suspect_s": 0.0}}, "greater than 0"),
        ({"flat_line": {"suspect_s": 1.0, "tolerance": -0.1}}, "greater than or equal to 0"),
        ({"gap": {"order": False, "duplicate": False}}, "switches nothing on"),
        ({"gap": {"interval_s": float("inf")}}, "finite"),
        ({"repeated": {}}, "no limit"),
        ({"repeated": {"suspect_n": 9, "fail_n": 5}}, "no reading could be suspect"),
        ({"repeated": {"fail_n": 5}, "stable_by_design": True}, "stable by design"),
        ({"identical": {"fail_n": 5}, "stable_by_design": True}, "stable by design"),
        ({"noise": {}}, "no limit"),
        ({"noise": {"suspect_low": 1.0, "fail_low": 2.0}}, "no reading could be suspect"),
        ({"noise": {"suspect_low": 3.0, "fail_high": 2.0}}, "nothing lies between"),
        ({"rate_dev": {}}, "no limit"),
        ({"ewma": {"centre": 0.0, "sigma": 1.0}}, "no limit"),
        ({"ewma": {"centre": 0.0, "sigma": 0.0, "fail_k": 3.0}}, "greater than 0"),
        ({"ewma": {"centre": 0.0, "sigma": 1.0, "fail_k": 3.0, "weight": 0.0}}, "greater than 0"),
        ({"cusum": {"target": 0.0, "sigma": 1.0}}, "no limit"),
        ({"cusum": {"target": 0.0, "sigma": 1.0, "fail_h": 4.0, "head_start": 1.0}}, "less than 1"),
        ({"page_hinkley": {}}, "no limit"),
        ({"hampel": {"fail_k": 3.0, "readings": 8}}, "no reading in the middle"),
        ({"level_shift": {"fail": 3.0, "readings": 8}}, "no reading in the middle"),
        ({"level_shift": {"fail": 3.0, "readings": 1}}, "greater than or equal to 3"),
        ({"stability": {"tolerance": 1.0}}, "required"),
        ({"late": {}}, "no limit"),
        ({"completeness": {"suspect": 0.5, "fail": 0.9}}, "no reading could be suspect"),
        ({"identical": {"fail_n": 20, "history_n": 30}}, "two stretches"),
        ({"identical": {"fail_n": 3}}, "change at most"),
        ({"schedule": {**_SCHEDULE, "points": [[1.0, 0.0], [1.0, 2.0]]}}, "must rise"),
        ({"schedule": {**_SCHEDULE, "repeat_s": 3.0}}, "ends before repeat_s"),
        ({"schedule": {**_SCHEDULE, "repeat_s": 9.0, "lag_s": 9.0}}, "whole repeat_s"),
        ({"schedule": {**_SCHEDULE, "ramp_per_min": 1.0, "between": "line"}}, "needs between"),
        ({"schedule": {"suspect": 1.0}}, "does not say what to expect"),
        ({"schedule": {"suspect": 1.0, "setpoint": "sp", "points": [[0.0, 1.0]]}}, "names a channel"),
        ({"schedule": {"suspect": 1.0, "setpoint": "sp", "between": "line"}}, "names a channel"),
        ({"schedule": {**_SCHEDULE, "instrument": "oven"}}, "that of the channel setpoint"),
        ({"redundancy": {"partner": "c1"}}, "no limit"),
        ({"redundancy": {"partner": "c1", "fail": 1.0, "late_s": 1.0}}, "partner of another instrument"),
        ({"redundancy": {"partner": "c1", "fail": 1.0, "instrument": "b", "late_s": 0.1}}, "or equal to 0.2"),
        ({"ramge": {"suspect_low": 1.0}}, "not permitted"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ChannelQc.model_validate(settings)


def test_a_contradiction_names_the_key_and_a_way_out() -> None:
    with pytest.raises(ValidationError) as caught:
        ChannelQc.model_validate({"range": {"fail_low": 2.0, "suspect_low": 1.0}})
    cause = caught.value.errors()[0]["ctx"]["error"]
    assert isinstance(cause, SettingError)
    assert (cause.code, cause.key) == ("E023", "fail_low")
    assert cause.hint is not None


def test_limits_of_zero_and_equal_limits_are_taken() -> None:
    qc = ChannelQc.model_validate(
        {
            "range": {"suspect_low": 0, "suspect_high": 0},
            "rate": {"suspect": 0, "fail": 0},
            "spike": {"fail": 0},
            "flat_line": {"tolerance": 0, "fail_s": 1},
            "gap": {},
        }
    )
    assert qc.range is not None
    assert qc.range.required
    assert qc.rate is not None
    assert not qc.rate.required


def test_the_memory_of_windows_follows_from_duration_and_interval() -> None:
    qc = ChannelQc.model_validate({"flat_line": {"tolerance": 0.1, "suspect_s": 30, "fail_s": 60}})
    assert window_bytes(qc, 0.1) == 32 * (750 + 8)
    assert window_bytes(ChannelQc(), 0.1) == 0
