"""Texts about hand-entered readings, English and Chinese. Codes stand in records: append, never rename."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    "entry-not-foreseen": (
        "{channel} was entered by hand ({count}), not provided for by the method: it counts for nothing",
        "{channel} 有手工录入读数 {count} 个；方法未规定可手工录入，不予采用",
    ),
    "entry-late": (
        "{channel}: {count} readings were entered by hand later than they were taken",
        "{channel}：有 {count} 个手工读数为事后补录",
    ),
    "entry-corrected": (
        "{channel}: {count} hand-entered readings were corrected",
        "{channel}：有 {count} 个手工读数经过更正",
    ),
    "entry-corrected-afterwards": (
        "{channel}: the hand-entered {was} was corrected to {now} after the result had been judged",
        "{channel}：手工读数 {was} 在结果判定之后更正为 {now}",
    ),
}
"""Reason code to its templates."""

REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "not-a-number": (
        "'{typed}' is no number as instruments show it", "“{typed}”不是仪器显示的数值",
        "type the figures exactly as they are shown, with a point: 12.50, -0.3, 1.2e-5",
        "请按仪器显示原样录入数字，小数点用“.”：12.50、-0.3、1.2e-5",
    ),
    "wrong-unit": (
        "{channel} is entered in {wanted}, not in '{given}'", "{channel} 应以 {wanted} 录入，而不是“{given}”",
        "switch the display of the instrument to {wanted}, read it again; do not convert in the head",
        "请将仪器切换到 {wanted} 后重新读数，切勿心算换算",
    ),
    "not-operator": (
        "{person} is no operator of task {task}", "{person} 不是任务 {task} 的操作人员",
        "who reads the instrument enters it: hand the task over first (yaosu task handover {task})",
        "由读数人员本人录入：请先交接任务（yaosu task handover {task}）",
    ),
    "too-many-entries": (
        "task {task} has {count} hand-entered readings, and takes no more",
        "任务 {task} 已有 {count} 个手工读数，不再接受",
        "connect the instrument to the gateway for work of this size", "如此多的读数请将仪器接入网关",
    ),
    "no-such-entry": (
        "record {entry} is no hand-entered reading of task {task}", "记录 {entry} 不是任务 {task} 的手工读数",
        "see the entries of the task: yaosu task show {task}", "查看该任务的手工读数：yaosu task show {task}",
    ),
    "corrected-already": (
        "entry {entry} was corrected by entry {by}", "手工读数 {entry} 已由 {by} 更正",
        "correct the one that is in force: {by}", "请更正现行的一条：{by}",
    ),
    "nothing-corrected": (
        "entry {entry} says {was} already", "手工读数 {entry} 已是 {was}",
        "give the figures that are right", "请给出正确的数值",
    ),
    "task-in-archive": (
        "task {task} is {overall} and older than what is judged at once: nothing would hold its result",
        "任务 {task}（{overall}）已超出即时判定范围，其结果无法自动扣留",
        "recall it first: yaosu hold release {task} --disposition recall, then correct the entry",
        "请先召回：yaosu hold release {task} --disposition recall，再更正读数",
    ),
}  # fmt: skip
"""Code to message and hint, each in English and Chinese."""
