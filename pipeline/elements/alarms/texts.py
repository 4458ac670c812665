"""Refusals and words about alarms, English and Chinese."""

from __future__ import annotations

REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "unknown-alarm": (
        "there is no alarm {alarm}", "没有报警 {alarm}",
        "list them: yaosu alarm list", "列出报警：yaosu alarm list",
    ),
    "alarm-step": (
        "alarm {alarm} stands at {step}; next comes: {allowed}",
        "报警 {alarm} 处于 {step}；下一步：{allowed}",
        "an alarm goes raised, acknowledged, cause, action, closed",
        "报警依次为：发出、确认、原因、措施、关闭",
    ),
}  # fmt: skip

STEPS: dict[str, tuple[str, str]] = {
    "raised": ("raised", "已发出"),
    "acknowledged": ("acknowledged", "已确认"),
    "cause": ("cause known", "原因已明"),
    "action": ("action taken", "已采取措施"),
    "closed": ("closed", "已关闭"),
}

FLOOD: tuple[str, str] = (
    "further events of this kind, many causes at once; the first: ",
    "同类事件过多，合并显示；首个为：",
)
