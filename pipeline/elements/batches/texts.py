"""Reasons and refusals about batches, quality controls and charts, English and Chinese."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    "qc-failed": (
        "{kind} {control} failed for {quantity}: {figure_name} {figure}, allowed {low} to {high} {rules}",
        (
            "质控 {control}（{kind}）的 {quantity} 未通过：{figure_name} 为 {figure}，"
            "允许 {low} 至 {high} {rules}"
        ),
    ),
    "qc-warned": (
        "{kind} {control} is in the warning range for {quantity}: {figure_name} {figure} {rules}",
        "质控 {control}（{kind}）的 {quantity} 处于警告范围：{figure_name} 为 {figure} {rules}",
    ),
    "qc-not-evaluated": (
        "{kind} {control} could not be judged for {quantity}: {why}",
        "质控 {control}（{kind}）的 {quantity} 无法评价：{why}",
    ),
    "qc-overdue": (
        "the method's QC plan was not kept: {kind} ({basis})",
        "未执行方法的质控计划：{kind}（{basis}）",
    ),
    "qc-batch-missing": (
        "the method's QC plan counts in batches, and task {subject} is in none",
        "方法的质控计划按分析批计，而任务 {subject} 不属于任何分析批",
    ),
    "qc-without-outcome": (
        "quality control {subject} ended without anything to judge",
        "质控 {subject} 已结束，但没有可评价的结果",
    ),
}

REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "unknown-batch": (
        "there is no open batch {batch}", "没有打开的分析批 {batch}",
        "open it first: yaosu batch open {batch} --method METHOD",
        "请先打开：yaosu batch open {batch} --method METHOD",
    ),
    "batch-exists": (
        "batch {batch} exists already", "分析批 {batch} 已存在",
        "choose another id", "请使用其他编号",
    ),
    "batch-of-another-method": (
        "batch {batch} is one of method {method}", "分析批 {batch} 属于方法 {method}",
        "start the task in a batch of its own method", "请在本方法的分析批中开始任务",
    ),
    "batch-full": (
        "batch {batch} has {limit} tasks, no more fit", "分析批 {batch} 已有 {limit} 个任务",
        "close it and open another", "请关闭后另开一批",
    ),
    "batches-open": (
        "{limit} batches are open, no more fit", "已打开 {limit} 个分析批",
        "close those that are done: yaosu batch list", "请关闭已完成的分析批：yaosu batch list",
    ),
    "place-taken": (
        "place {place} of batch {batch} is taken by {task}", "分析批 {batch} 的位置 {place} 已被 {task} 占用",
        "leave the place out, or give a free one", "请不指定位置，或给出空闲位置",
    ),
    "batch-not-measured": (
        "tasks of batch {batch} still run or wait for readings: {tasks}",
        "分析批 {batch} 仍有未完成的任务：{tasks}",
        "stop or abort them, then close the batch", "请先结束或中止这些任务，再关闭分析批",
    ),
    "qc-due": (
        "the QC plan of the method asks for more: {missing}", "方法的质控计划尚缺：{missing}",
        "measure it, or close with a reason (--without-qc REASON): every result of the batch is held then",
        "请补测，或说明理由后关闭（--without-qc 理由），本批全部结果将被扣留",
    ),
    "not-a-control": (
        "task {task} is no quality control whose value is told afterwards", "任务 {task} 不是事后赋值的质控",
        "name a blind sample or a proficiency test", "请给出盲样或能力验证任务",
    ),
    "control-needs": (
        "a control of kind {kind} needs {argument}", "{kind} 类质控需要 {argument}",
        "give {argument} and try again", "请给出 {argument} 后重试",
    ),
    "no-such-chart": (
        "there is no chart of {quantity} in {material}, level '{level}', on {instrument}",
        "没有 {instrument} 上 {material}（水平“{level}”）{quantity} 的控制图",
        "measure the QC sample first; see: yaosu chart list", "请先测定质控样；参见：yaosu chart list",
    ),
    "chart-refused": (
        "the chart cannot be made: {problem}", "无法建立控制图：{problem}",
        "correct it and try again", "请改正后重试",
    ),
    "no-such-version": (
        "the chart has no version {version} that waits for approval", "控制图没有待批准的第 {version} 版",
        "see: yaosu chart show CHART", "参见：yaosu chart show CHART",
    ),
    "own-proposal": (
        "{person} proposed this version of the chart", "该控制图版本由 {person} 提出",
        "somebody else approves it", "请由他人批准",
    ),
}  # fmt: skip
