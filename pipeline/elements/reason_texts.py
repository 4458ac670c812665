"""Every reason code with its texts, English and Chinese. Codes stand in records: append, never rename."""

from __future__ import annotations

from pipeline.elements.batches.texts import REASONS as OF_BATCHES
from pipeline.elements.checks.texts import REASONS as OF_CHECKS
from pipeline.elements.hand.texts import REASONS as OF_HAND
from pipeline.elements.lookback.texts import REASONS as OF_LOOKBACK

REASONS: dict[str, tuple[str, str]] = {
    # people
    "operator-missing": ("no operator is bound to the task", "任务未绑定操作人员"),
    "operator-unknown": ("{subject} is not in the registry", "登记册中没有 {subject}"),
    "operator-not-authorised": (
        "{person} was not authorised for method {method} on {instrument} throughout the work",
        "{person} 未在整个操作期间获得方法 {method}、仪器 {instrument} 的授权",
    ),
    "authorisation-expiring": (
        "the authorisation of {person} for {method} on {instrument} ends {until_utc_ns}",
        "{person} 对 {method}、{instrument} 的授权将于 {until_utc_ns} 到期",
    ),
    # equipment
    "equipment-unregistered": ("{subject} is not in the equipment registry", "设备登记册中没有 {subject}"),
    "equipment-stopped": ("{subject} is stopped for use", "{subject} 处于停用状态"),
    "equipment-limited": ("{subject} is approved for limited use only", "{subject} 仅准限用"),
    "certificate-missing": (
        "{subject} has no certificate with a due date in the registry",
        "{subject} 在登记册中没有带有效期的证书",
    ),
    "certificate-not-confirmed": (
        "certificate {certificate} of {instrument} has not been confirmed against the method's requirements",
        "{instrument} 的证书 {certificate} 尚未按方法要求进行结果确认",
    ),
    "certificate-withdrawn": (
        "certificate {certificate} of {instrument} was withdrawn",
        "{instrument} 的证书 {certificate} 已撤销",
    ),
    "calibration-overdue": (
        "certificate {certificate} of {instrument} was due {due_utc_ns}",
        "{instrument} 的证书 {certificate} 已于 {due_utc_ns} 到期",
    ),
    "calibration-due-soon": (
        "certificate {certificate} of {instrument} is due {due_utc_ns}",
        "{instrument} 的证书 {certificate} 将于 {due_utc_ns} 到期",
    ),
    "serial-missing": ("no serial number of {subject} is registered", "{subject} 未登记出厂编号"),
    "identity-unknown": (
        "{subject} has not told its serial number to the gateway",
        "{subject} 尚未向网关报出编号",
    ),
    "identity-mismatch": (
        "{instrument} says it is {told}, registered is {registered}",
        "{instrument} 自报编号 {told}，登记编号为 {registered}",
    ),
    "service-state": (
        "{instrument} was in state {state} during a task of purpose {purpose}",
        "任务（{purpose}）期间 {instrument} 处于 {state} 状态",
    ),
    "return-check-missing": (
        "{subject} came back from repair or calibration and has not passed a check since",
        "{subject} 维修或校准返回后尚未通过核查",
    ),
    "range-left": (
        "{channel} read {value} {unit}, outside the calibrated range {low} to {high}",
        "{channel} 读数 {value} {unit}，超出校准范围 {low} 至 {high}",
    ),
    # material
    "sample-missing": ("no sample is bound to the task", "任务未绑定样品"),
    "material-unknown": ("{subject} is not in the registry", "登记册中没有 {subject}"),
    "hold-limit-missing": ("no hold time limit of {subject} is registered", "{subject} 未登记保存时限"),
    "received-at-missing": ("no time of receipt of {subject} is registered", "{subject} 未登记接收时间"),
    "received-after-start": (
        "{sample} was received after the test began",
        "{sample} 的接收时间晚于检测开始时间",
    ),
    "hold-time-exceeded": (
        "{sample} was {age_s} old at the start, allowed are {limit_s}",
        "检测开始时 {sample} 已保存 {age_s}，时限为 {limit_s}",
    ),
    "reference-missing": ("no reference is bound to the check", "核查任务未绑定标准物质"),
    "expiry-missing": ("no expiry of {subject} is registered", "{subject} 未登记有效期"),
    "material-expired": ("{subject} expired {expiry_utc_ns}", "{subject} 已于 {expiry_utc_ns} 过期"),
    "open-too-long": (
        "{subject} was opened {opened_utc_ns} and could be used until {ended_utc_ns}",
        "{subject} 于 {opened_utc_ns} 开封，仅可使用至 {ended_utc_ns}",
    ),
    # method
    "method-unknown": ("method {subject} is not in the registry", "登记册中没有方法 {subject}"),
    "edition-not-current": (
        "edition {edition} of {subject} was not in force throughout the work",
        "{subject} 的 {edition} 版在操作期间并非始终有效",
    ),
    "method-out-of-scope": (
        "{subject} is outside the laboratory's qualification",
        "{subject} 不在实验室资质范围内",
    ),
    "role-not-bound": (
        "the method asks for a binding of role {subject}",
        "方法要求绑定角色 {subject}",
    ),
    # given by fold version 1 only
    "steps-not-judged": (
        "edition {edition} of {subject} prescribes steps ({count}); the gateway does not judge them",
        "{subject} 的 {edition} 版规定了操作步骤（{count} 步），网关不予判定",
    ),
    "replicates-not-judged": (
        "edition {edition} of {subject} prescribes {count} replicates; the gateway does not judge them",
        "{subject} 的 {edition} 版规定平行测定 {count} 次，网关不予判定",
    ),
    "channel-without-data": ("no reading of {subject} was received", "未收到 {subject} 的读数"),
    # environment and storage
    "environment-missing": ("no environment is bound to the task", "任务未绑定环境"),
    "environment-unknown": ("{subject} is not in the registry", "登记册中没有 {subject}"),
    "environment-unwatched": (
        "{subject} of {place} was not bound when the task began",
        "任务开始时 {place} 的 {subject} 未绑定",
    ),
    "storage-unwatched": (
        "{subject} of {place} was not bound when the task began",
        "任务开始时储存场所 {place} 的 {subject} 未绑定",
    ),
    "environment-limits-missing": ("no limits of {channel} are known", "{channel} 没有限值"),
    "storage-limits-missing": ("no limits of {channel} are known", "储存条件 {channel} 没有限值"),
    "environment-excursion": (
        "{channel} of {place} read {value} {unit}, allowed are {low} to {high}",
        "{place} 的 {channel} 读数 {value} {unit}，允许范围 {low} 至 {high}",
    ),
    "storage-excursion": (
        "storage {place}: {channel} read {value} {unit}, allowed are {low} to {high}",
        "储存场所 {place}：{channel} 读数 {value} {unit}，允许范围 {low} 至 {high}",
    ),
    "environment-excursion-unsure": (
        "{channel} of {place} read {value} {unit} in readings that failed QC, allowed are {low} to {high}",
        "{place} 的 {channel} 在未通过质控的读数中为 {value} {unit}，允许范围 {low} 至 {high}",
    ),
    "storage-excursion-unsure": (
        "storage {place}: {channel} read {value} {unit} in failed readings, allowed are {low} to {high}",
        "储存场所 {place}：{channel} 在未通过质控的读数中为 {value} {unit}，允许范围 {low} 至 {high}",
    ),
    "environment-readings-failed": (
        "{count} readings of {channel} failed QC and do not count",
        "{channel} 有 {count} 个读数未通过质控，不予采用",
    ),
    "storage-readings-failed": (
        "{count} storage readings of {channel} failed QC and do not count",
        "储存条件 {channel} 有 {count} 个读数未通过质控，不予采用",
    ),
    "environment-bound-late": (
        "{subject} was bound afterwards; what it read before was not kept for the task",
        "{subject} 为事后绑定，此前的读数未为任务保留",
    ),
    "storage-bound-late": (
        "storage {subject} was bound afterwards; what it read before was not kept for the task",
        "储存条件 {subject} 为事后绑定，此前的读数未为任务保留",
    ),
    "environment-no-readings": ("no valid reading of {channel}", "{channel} 没有有效读数"),
    "storage-no-readings": ("no valid storage reading of {channel}", "储存条件 {channel} 没有有效读数"),
    "environment-stale": (
        "{channel} was without a valid reading for longer than {allowed_s}",
        "{channel} 超过 {allowed_s} 没有有效读数",
    ),
    "storage-stale": (
        "storage {channel} was without a valid reading for longer than {allowed_s}",
        "储存条件 {channel} 超过 {allowed_s} 没有有效读数",
    ),
    # measurement
    "measurand-missing": ("no measurand is bound to the task", "任务未绑定被测量"),
    "measurand-bound-late": (
        "{subject} was bound afterwards; what it read before was not kept for the task",
        "{subject} 为事后绑定，此前的读数未为任务保留",
    ),
    "no-readings": ("no reading of {subject} was received", "未收到 {subject} 的读数"),
    "readings-failed": ("{count} readings of {subject} failed QC", "{subject} 有 {count} 个读数未通过质控"),
    "readings-suspect": ("{count} readings of {subject} are suspect", "{subject} 有 {count} 个可疑读数"),
    "readings-lost": (
        "{channel}: {missing} answers without a value, {gap_polls} polls not sent",
        "{channel}：{missing} 次应答无值，{gap_polls} 次未发出查询",
    ),
    "completeness-low": (
        "{channel}: share of good readings {share}, the method asks for {limit}",
        "{channel}：有效读数比例 {share}，方法要求 {limit}",
    ),
    "rows-undecided": (
        "rule {rule} has not decided all readings of {subject}",
        "规则 {rule} 尚未判定 {subject} 的全部读数",
    ),
    "result-pending": ("{subject} follows when the task has ended", "{subject} 将在任务结束后给出"),
    "result-missing": (
        "{subject} cannot be computed: the readings that it needs are missing",
        "缺少所需读数，无法计算 {subject}",
    ),
    "uncertainty-missing": (
        "no uncertainty is registered for the instrument of {subject}",
        "{subject} 所用仪器未登记不确定度",
    ),
    "tolerance-missing": ("method {subject} states no tolerance", "方法 {subject} 未规定允差"),
    "check-weight-out-of-tolerance": (
        "check on {subject} deviates by {value} {unit}, allowed is {tolerance}",
        "{subject} 的核查偏差为 {value} {unit}，允差为 {tolerance}",
    ),
    "check-weight-missing": (
        "no passed check of {instrument} within {max_age_s} before the work",
        "操作前 {max_age_s} 内 {instrument} 没有通过的核查",
    ),
    "check-weight-pending": (
        "the last check of {instrument} has no final verdict yet",
        "{instrument} 最近一次核查尚无最终判定",
    ),
    "check-weight-failed": (
        "the last check of {instrument} ({task}) failed",
        "{instrument} 最近一次核查（{task}）未通过",
    ),
    **OF_CHECKS,
    **OF_BATCHES,
    **OF_LOOKBACK,
    **OF_HAND,
}
"""Code to its templates, English and Chinese."""
