"""The rules on windows, charts and expectations explain themselves in both languages."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.qc import RULES, ChannelQc, Evidence, explain_reading
from pipeline.qc.explain import explain_unevaluated, gather
from tests.unit.qc.blocks import SECOND, block_of

TABLES: dict[str, tuple[dict[str, Any], str, str]] = {
    "repeated": (
        {"suspect_n": 10, "fail_n": 20},
        "10 equal readings or more in a row (suspect)",
        "连续 10 个及以上读数相同（可疑）",
    ),
    "rate_dev": (
        {"fail": 3.0, "window_s": 60.0},
        "step of more than 3 standard deviations of the 60 s before (fail)",
        "变化超过此前 60 s 读数标准差的 3 倍（失败）",
    ),
    "ewma": (
        {"centre": 20.0, "sigma": 0.3, "suspect_k": 3.0},
        "the moving average is more than 3 sigma from the centre 20 °C (suspect)",
        "移动平均偏离中心线 20 °C 超过 3 倍标准差（可疑）",
    ),
    "cusum": (
        {"target": 20.0, "sigma": 0.3, "suspect_h": 4.0, "fail_h": 5.0},
        "the sum of deviations from the target 20 °C exceeds 4 sigma (suspect)",
        "对目标值 20 °C 的累积偏差超过 4 倍标准差（可疑）",
    ),
    "hampel": (
        {"suspect_k": 3.0, "readings": 7},
        "more than 3 scaled MAD from the median of 7 readings (suspect)",
        "偏离最近 7 个读数的中位数超过 3 倍标准化 MAD（可疑）",
    ),
    "level_shift": (
        {"suspect": 2.0, "readings": 7},
        "the medians of 7 readings before and after differ by over 2 °C (suspect)",
        "前后各 7 个读数的中位数相差超过 2 °C（可疑）",
    ),
    "page_hinkley": (
        {"suspect": 2.0},
        "the readings have left their mean: the sum of deviations exceeds 2 °C (suspect)",
        "读数偏离自身均值：累积偏差超过 2 °C（可疑）",
    ),
    "stability": (
        {"tolerance": 0.1, "duration_s": 30.0},
        "stable: within ± 0.1 °C for 30 s or longer",
        "稳定：30 s 及以上保持在 ± 0.1 °C 之内",
    ),
    "late": (
        {"suspect_s": 2.0},
        "older than 2 s when it arrived (suspect)",
        "到达时已超过 2 s（可疑）",
    ),
    "completeness": (
        {"suspect": 0.95, "window_s": 60.0},
        "fewer than 95 % of the readings to be polled in 60 s have come (suspect)",
        "60 s 内应采读数到达不足 95 %（可疑）",
    ),
    "identical": (
        {"suspect_n": 20},
        "the last 20 readings or more repeat an earlier stretch exactly (suspect)",
        "最近 20 个及以上读数与此前一段完全相同（可疑）",
    ),
    "unit_change": (
        {},
        "unit, range or last digit has changed before this reading; now °C (suspect)",
        "此读数之前单位、量程或末位已改变；现为 °C（可疑）",
    ),
    "schedule": (
        {"start": datetime(2026, 1, 1, tzinfo=UTC), "points": ((0.0, 20.0),), "suspect": 1.0},
        "more than 1 °C from what the set-points let expect (suspect)",
        "偏离设定程序的期望值超过 1 °C（可疑）",
    ),
    "redundancy": (
        {"partner": "t2", "suspect": 1.0},
        "differs from channel 't2' by more than 1 °C (suspect)",
        "与通道“t2”相差超过 1 °C（可疑）",
    ),
}


@pytest.mark.parametrize("rule", TABLES)
def test_a_rule_explains_itself_by_its_limits(rule: str) -> None:
    table, english, chinese = TABLES[rule]
    qc = ChannelQc.model_validate({rule: table})
    evidence = Evidence(value=20.0, status=0, t_run_ns=0, t_utc_ns=0, unit="°C")
    assert explain_reading(rule, qc, evidence, "en") == english
    assert explain_reading(rule, qc, evidence, "zh") == chinese
    assert "not evaluated" in explain_unevaluated(rule, qc, evidence, "en")
    assert "未评价" in explain_unevaluated(rule, qc, evidence, "zh")


def test_every_rule_with_a_table_is_tried_here_or_by_its_own_test() -> None:
    others = {"missing", "range", "rate", "spike", "flat_line", "gap", "order", "duplicate", "noise"}
    assert {rule.name for rule in RULES} == others | set(TABLES)


def test_a_window_that_lies_in_the_frame_is_computed_again() -> None:
    qc = ChannelQc.model_validate({"noise": {"suspect_low": 0.2, "fail_high": 2.0, "window_s": 3.0}})
    block = block_of([[1.0, 1.0, 1.0, 1.0, 9.0, 1.0]], [k * SECOND for k in range(6)])
    assert explain_reading("noise", qc, gather(block, 3, "c0"), "en") == (
        "standard deviation 0 °C over 3 s is below 0.2 °C: attenuated (suspect)"
    )
    assert explain_reading("noise", qc, gather(block, 4, "c0"), "zh") == (
        "3 s 内标准差 3.4641 °C 超过 2 °C：噪声过大（失败）"
    )
    assert explain_reading("noise", qc, gather(block, 1, "c0"), "en") == (
        "standard deviation over 3 s is outside its limits (low: suspect 0.2 °C; high: fail 2 °C)"
    )


def test_a_tolerance_of_repeated_values_is_told() -> None:
    qc = ChannelQc.model_validate({"repeated": {"fail_n": 5, "tolerance": 0.1}})
    evidence = Evidence(value=20.0, status=0, t_run_ns=0, t_utc_ns=0, unit="g")
    assert explain_reading("repeated", qc, evidence, "en") == (
        "5 readings or more in a row within 0.1 g (fail)"
    )
