"""Words of the triggers: part of the record format, append, never rename."""

from __future__ import annotations

from typing import Literal, get_args

Trigger = Literal[
    "overdue-instrument", "release-without-reason", "chain-break", "identical-data", "offline",
    "excursion-released",
]  # fmt: skip
TRIGGERS: tuple[Trigger, ...] = get_args(Trigger)
TRIGGER_TEXTS: dict[Trigger, tuple[str, str]] = {
    "overdue-instrument": ("an instrument was used after its due date", "使用了超过有效期的仪器"),
    "release-without-reason": ("a hold was released without a reason", "未说明理由放行扣留结果"),
    "chain-break": ("part of the record cannot be read", "部分记录无法读取"),
    "identical-data": ("identical data in two windows", "两个时段数据雷同"),
    "offline": ("an instrument was offline during the work", "任务期间仪器离线"),
    "excursion-released": ("an excursion during work whose result is out", "已放行结果的任务期间环境超限"),
}
"""Trigger to its texts (en, zh)."""
