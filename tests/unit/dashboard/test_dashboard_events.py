"""How events read on the pages."""

from typing import Any

import pytest

from dashboard.events import event_rows
from dashboard.language import messages
from pipeline.elements.refusal import REFUSALS
from pipeline.records.events import event_body
from pipeline.store.door import LedgerRow

NAMES = {"p-li": "Li Na"}


def shown(code: str) -> tuple[str, str]:
    """Give the text of a refusal by that code in English and in Chinese."""
    body = event_body("command-refused", command="hold.release", person="p-li", reason=code)
    record = LedgerRow("event", "", bytes(16), "e", 7, 0, "live", body)
    (row,) = event_rows([record], "lab", messages("en"), NAMES)
    return row["text"], row["other"]


REFUSED = ("hold.release by Li Na was refused: ", "Li Na 的命令 hold.release 被拒绝：")
WORDS = {
    "own-task": ("Li Na was an operator of task …", "Li Na 是任务 … 的操作人员"),
    "not-signatory": ("Li Na is not an authorised signatory now", "Li Na 当前不是授权签字人"),
    "unknown-person": ("… is not a person of the registry", "登记册中没有人员 …"),
    "unknown-command": ("there is no command hold.release", "没有命令 hold.release"),
    "wrong-secret": ("", "人员与口令不符"),
    "from-the-future": ("from the future", "from the future"),
}


@pytest.mark.parametrize("code", WORDS)
def test_a_refusal_is_told_in_words(code: str) -> None:
    for text, start, words in zip(shown(code), REFUSED, WORDS[code], strict=True):
        assert text.startswith(start + words)
        assert code not in text


@pytest.mark.parametrize("code", REFUSALS)
def test_no_refusal_shows_its_code_or_a_blank(code: str) -> None:
    for text in shown(code):
        assert code not in text
        assert "?>" not in text
        assert "{" not in text


@pytest.mark.parametrize(
    ("body", "en", "zh"),
    [
        (
            event_body("trigger", trigger="offline", task="T-1", seqs=[3], margin_s=60.0),
            "Trigger an instrument was offline during the work: the raw window of task T-1",
            "触发 任务期间仪器离线：监管方可调阅任务 T-1",
        ),
        (
            event_body("risk-level", subject="lab", before="ordinary", level="attention", index=61.25),
            "Operational risk index of Laboratory: ordinary → attention (61.2)",
            "实验室 的运行风险指数：平常 → 关注（61.2）",
        ),
        (
            event_body(
                "evidence-element", task="T-1", subject="bal-1", case="A2", seqs=[3], element="equipment",
                reason="calibration-overdue", overall="released",
            ),
            "Task T-1 (released): equipment tells of bal-1: calibration-overdue (case A2)",
            "任务 T-1（released）：要素“设备”对 bal-1 有记录：calibration-overdue（情形 A2）",
        ),
    ],
    ids=["trigger", "risk", "evidence"],
)  # fmt: skip
def test_triggers_levels_and_evidence_are_told_in_words(body: dict[str, Any], en: str, zh: str) -> None:
    record = LedgerRow("event", "", bytes(16), "e", 7, 0, "live", body)
    (row,) = event_rows([record], "regulator", messages("en"), {})
    assert row["text"].startswith(en)
    assert row["other"].startswith(zh)
