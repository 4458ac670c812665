"""Reasons, refusals and words of look-backs, English and Chinese."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    "look-back": (
        "under look-back {lookback}: {target} is not vouched for ({cause}, {failed})",
        "处于追溯评价 {lookback}：{target} 的有效性存疑（{cause}，{failed}）",
    ),
    "task-recalled": (
        "{subject} had no verdict of this element when it left memory",
        "{subject} 移出内存时该要素尚无判定",
    ),
}

REFUSALS: dict[str, tuple[str, str, str, str]] = {
    "unknown-lookback": (
        "there is no look-back {lookback}", "没有追溯评价 {lookback}",
        "list them: yaosu lookback list", "列出追溯评价：yaosu lookback list",
    ),
    "lookback-closed": (
        "look-back {lookback} was closed by {person}", "追溯评价 {lookback} 已由 {person} 关闭",
        "see: yaosu lookback show {lookback}", "参见：yaosu lookback show {lookback}",
    ),
    "lookback-unreached": (
        "look-back {lookback} is still collecting older tasks", "追溯评价 {lookback} 仍在收集较早的任务",
        "wait a moment and try again", "请稍后重试",
    ),
    "lookback-held": (
        "{count} tasks of look-back {lookback} still wait for a disposition",
        "追溯评价 {lookback} 中仍有 {count} 个任务待处置",
        "dispose of them first: yaosu hold list", "请先处置：yaosu hold list",
    ),
}  # fmt: skip

CAUSES: dict[str, tuple[str, str]] = {
    "check-failed": ("the check failed", "核查未通过"),
    "certificate-withdrawn": ("the certificate was withdrawn", "证书已撤销"),
    "control-failed": ("the quality control failed", "质控未通过"),
}

REPORT: dict[str, tuple[str, str]] = {
    "title": ("Look-back {lookback}: impact report", "追溯评价 {lookback}：影响报告"),
    "cause": ("Cause: {cause}: {subject} ({failed}), record {cause_seq}",
              "原因：{cause}：{subject}（{failed}），记录 {cause_seq}"),
    "last-good": ("Last good: {last_good}, record {last_good_seq}, {from_utc_ns}",
                  "最近一次有效：{last_good}，记录 {last_good_seq}，{from_utc_ns}"),
    "no-last-good": ("Last good: none on record; everything before is looked at",
                     "最近一次有效：无记录，此前全部结果均须评价"),
    "span": ("Looked at: {from_utc_ns} to {to_utc_ns}", "评价区间：{from_utc_ns} 至 {to_utc_ns}"),
    "count": ("Affected: {affected} tasks, {released} of them released before, {open} wait for a disposition",
              "受影响任务 {affected} 个，其中此前已放行 {released} 个，尚待处置 {open} 个"),
    "collecting": ("Older tasks are still being collected from the ledger.", "较早的任务仍在从台账中收集。"),
    "beyond": ("{beyond} more tasks are too many to be brought back; list them: yaosu task list",
               "另有 {beyond} 个任务数量过多未调回：请用 yaosu task list 查询并处置"),
    "further": ("{further} more affected tasks are held too; list them: yaosu hold list, yaosu task list",
                "另有 {further} 个受影响的任务亦已扣留：请用 yaosu hold list、yaosu task list 查询"),
    "none": ("No result rests on it.", "没有结果受其影响。"),
    "task": ("{task}  sample {sample}  {item}  {method}  {started_utc_ns}  was {before}, is {now}  {results}",
             "{task}  样品 {sample}  {item}  {method}  {started_utc_ns}  原为{before}，现为{now}  {results}"),
    "links": ("    ids elsewhere: {links}", "    外部编号：{links}"),
    "closed": ("Closed by {person} {closed_utc_ns}: {conclusion}",
               "由 {person} 于 {closed_utc_ns} 关闭：{conclusion}"),
}  # fmt: skip
