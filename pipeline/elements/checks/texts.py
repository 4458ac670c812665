"""Texts of the reasons of the checks, continued: English and Chinese. Append, never rename."""

from __future__ import annotations

REASONS: dict[str, tuple[str, str]] = {
    # people
    "training-not-valid": (
        "training {training} of {person} was not valid throughout the work",
        "{person} 的培训 {training} 在整个操作期间并非有效",
    ),
    "training-expiring": (
        "training {training} of {person} ends {until_utc_ns}",
        "{person} 的培训 {training} 将于 {until_utc_ns} 到期",
    ),
    "operator-elsewhere": (
        "{person} was operator of task {task} at a distant place at the same time",
        "{person} 同时在远处担任任务 {task} 的操作人员",
    ),
    "operator-place-unknown": (
        "{person} was operator of task {task} at the same time, and the registry does not say where it was",
        "{person} 同时担任任务 {task} 的操作人员，而登记册未说明地点",
    ),
    # equipment
    "source-not-of-purpose": (
        "readings of {instrument} are {source}, which does not belong into a {purpose} journal",
        "{instrument} 的读数来源为 {source}，不属于 {purpose} 记录",
    ),
    "identity-unregistered": (
        "{instrument} says it is {told}, and no serial number is registered for it",
        "{instrument} 自报编号 {told}，而登记册未登记其编号",
    ),
    "warm-up-unknown": (
        "it is not known since when {instrument} was on; it needs {needed_s} to warm up",
        "不知 {instrument} 何时开机；其预热需 {needed_s}",
    ),
    "warm-up-short": (
        "{instrument} was on for {on_s} at the start; it needs {needed_s} to warm up",
        "开始时 {instrument} 已开机 {on_s}；其预热需 {needed_s}",
    ),
    "limited-range-missing": (
        "{subject} is approved for limited use, and its limits are not registered",
        "{subject} 仅准限用，而限用范围未登记",
    ),
    "limited-range-left": (
        "{channel} read {value} {unit}, outside the range {low} to {high} of its limited use",
        "{channel} 读数 {value} {unit}，超出限用范围 {low} 至 {high}",
    ),
    "correction-not-applied": (
        "readings of {channel} carried the correction {applied}; registered for their time is {registered}",
        "{channel} 的读数采用的修正为 {applied}；登记册中该时间应为 {registered}",
    ),
    "correction-unknown": (
        "the correction {registered} of {channel} is not registered for that time: import it",
        "{channel} 的修正 {registered} 在该时间未登记：请导入",
    ),
    "correction-of-other": (
        "the correction {registered} is not that of {channel} under its present certificate",
        "修正 {registered} 不属于 {channel} 的现行证书",
    ),
    "correction-withdrawn": (
        "the certificate that states the correction {registered} of {channel} was withdrawn",
        "给出 {channel} 修正 {registered} 的证书已撤销",
    ),
    "correction-unit": (
        "{channel} was not read in the unit of its correction {registered}: nothing was corrected",
        "{channel} 的读数单位与其修正 {registered} 的单位不同：未作修正",
    ),
    "correction-not-numeric": (
        "{channel} gives text or codes, which its correction {registered} cannot correct",
        "{channel} 给出文本或代码，修正 {registered} 不能用于其读数",
    ),
    "correction-out-of-range": (
        "{count} readings of {channel} are outside {low} to {high} {unit}, the range of {applied}: no value",
        "{channel} 有 {count} 个读数超出 {applied} 的范围 {low} 至 {high} {unit}：无修正值",
    ),
    "status-kind-unsuitable": (
        "{channel} has the status '{kind}'; the method asks for {needed}",
        "{channel} 的计量状态为“{kind}”，方法要求 {needed}",
    ),
    "uncertainty-above-requirement": (
        "the certificate states U = {uncertainty} {unit} for {channel}; the method allows {needed}",
        "证书给出 {channel} 的 U = {uncertainty} {unit}，方法允许 {needed}",
    ),
    "range-below-requirement": (
        "certified are {low}–{high} {unit} of {channel}; the method needs {needed_low}–{needed_high}",
        "证书覆盖 {channel} 的 {low}–{high} {unit}，方法需要 {needed_low}–{needed_high}",
    ),
    "requirement-not-confirmable": (
        "the certificate does not state what the method asks for {channel}",
        "证书未给出方法对 {channel} 所要求的内容",
    ),
    "intermediate-check-missing": (
        "no intermediate check of {instrument} by {method} is known",
        "{instrument} 没有按 {method} 进行的期间核查",
    ),
    "intermediate-check-overdue": (
        "the last intermediate check of {instrument} is {age_s} old; planned is one every {interval_s}",
        "{instrument} 最近一次期间核查已过 {age_s}，计划间隔为 {interval_s}",
    ),
    "intermediate-check-failed": (
        "the last intermediate check of {instrument} ({task}) failed",
        "{instrument} 最近一次期间核查（{task}）未通过",
    ),
    # material
    "storage-exposure": (
        "storage of {sample}: {channel} beyond its limits by {value_h} (unit × h), allowed: {limit_h}",
        "{sample} 的储存条件 {channel} 累计超限 {value_h}（单位·小时），允许 {limit_h}",
    ),
    "storage-exposure-unknown": (
        "the storage of {sample} was not read all the time since receipt",
        "{sample} 自接收以来的储存条件读数不连续",
    ),
    "custody-missing": ("no hand-over of {sample} is registered", "{sample} 未登记交接记录"),
    "custody-gap": (
        "the hand-overs of {sample} do not lead to its operator; the last one was to {holder}",
        "{sample} 的交接链未到达操作人员，最后一次交接给 {holder}",
    ),
    "sample-elsewhere": (
        "{sample} was in task {task} on another instrument at the same time",
        "{sample} 同时在任务 {task} 中用于另一台仪器",
    ),
    "fingerprint-changed": (
        "{quantity} of {sample} is {value} {unit}; at receipt it was {received}, allowed are ±{tolerance}",
        "{sample} 的 {quantity} 为 {value} {unit}，接收时为 {received}，允许偏差 ±{tolerance}",
    ),
    "fingerprint-missing": (
        "{sample} cannot be recognised: nothing measured at receipt is measured again",
        "无法辨认 {sample}：没有可与接收时比对的测量",
    ),
    # method: steps
    "steps-changed": (
        "the steps of {method} were changed after the work had begun; they cannot be judged",
        "{method} 的步骤在工作开始后被更改，无法判定",
    ),
    "step-pending": (
        "step {step}: {passes} of {needed} passes so far",
        "步骤 {step}：目前完成 {passes}/{needed} 次",
    ),
    "step-not-reached": ("step {step} was not reached", "步骤 {step} 未达到"),
    "step-cycles-missing": (
        "step {step} was gone through {passes} times, prescribed are {needed}",
        "步骤 {step} 完成 {passes} 次，规定 {needed} 次",
    ),
    "step-not-marked": (
        "nobody marked the beginning of step {step}, which no reading shows",
        "步骤 {step} 无读数可判，且无人标记其开始",
    ),
    "step-unwatched": ("no channel that shows step {step} is bound", "未绑定可反映步骤 {step} 的通道"),
    "step-out-of-order": ("step {step} was begun out of order", "步骤 {step} 未按顺序开始"),
    "step-too-short": (
        "step {step} lasted {value_s}, prescribed are at least {limit_s}",
        "步骤 {step} 持续 {value_s}，规定至少 {limit_s}",
    ),
    "step-too-long": (
        "step {step} lasted {value_s}, prescribed are at most {limit_s}",
        "步骤 {step} 持续 {value_s}，规定至多 {limit_s}",
    ),
    "step-paused": (
        "step {step}: {count} times no reading for longer than {allowed_s}; that time does not count",
        "步骤 {step}：{count} 次超过 {allowed_s} 没有读数，该时间不计入",
    ),
    "step-interrupted": (
        "step {step}: left its limits {low} to {high} {count} times before it was done, first with {value}",
        "步骤 {step}：完成前 {count} 次超出 {low} 至 {high}，首次为 {value}",
    ),
    "step-too-fast": (
        "step {step} changed by {value} per second, allowed are {limit}",
        "步骤 {step} 每秒变化 {value}，允许 {limit}",
    ),
    "step-too-slow": (
        "step {step} changed by {value} per second on the whole, prescribed are at least {limit}",
        "步骤 {step} 平均每秒变化 {value}，规定至少 {limit}",
    ),
    "step-channel-silent": (
        "step {step}: no reading of {channel} for longer than {allowed_s}",
        "步骤 {step}：{channel} 超过 {allowed_s} 没有读数",
    ),
    # environment and storage
    "environment-outside-at-start": (
        "{channel} of {place} read {value} when the work began, allowed are {low} to {high}",
        "开始时 {place} 的 {channel} 读数为 {value}，允许范围 {low} 至 {high}",
    ),
    "environment-excursion-brief": (
        "{channel} of {place} read {value} {unit}, outside {low} to {high}, for {grace_s} at most",
        "{place} 的 {channel} 读数 {value} {unit}，短时超出 {low} 至 {high}，不超过 {grace_s}",
    ),
    "storage-excursion-brief": (
        "storage {place}: {channel} read {value} {unit}, outside {low} to {high}, for {grace_s} at most",
        "储存场所 {place}：{channel} 读数 {value} {unit}，短时超出 {low} 至 {high}，不超过 {grace_s}",
    ),
    "environment-rate": (
        "{channel} changed by {value_per_h} {unit} per hour, allowed are {limit_per_h}",
        "{channel} 每小时变化 {value_per_h} {unit}，允许 {limit_per_h}",
    ),
    "storage-rate": (
        "storage {channel} changed by {value_per_h} {unit} per hour, allowed are {limit_per_h}",
        "储存条件 {channel} 每小时变化 {value_per_h} {unit}，允许 {limit_per_h}",
    ),
    # measurement
    "unit-changed": (
        "{channel} changed its unit from {before} to {after} during the work",
        "{channel} 的单位在工作期间由 {before} 变为 {after}",
    ),
    "resolution-changed": (
        "{channel} changed from {before} to {after} digits after the point during the work",
        "{channel} 的小数位数在工作期间由 {before} 变为 {after}",
    ),
    "readings-unstable": (
        "{channel} called {count} of {answers} answers unstable",
        "{channel} 的 {answers} 次应答中有 {count} 次为不稳定",
    ),
    "redundant-disagreement": (
        "{channels} measure the same and differ by {value}, allowed are {limit}",
        "{channels} 测量同一量而相差 {value}，允许 {limit}",
    ),
    "redundant-not-compared": (
        "{subject} measure the same and have no readings close enough in time to be compared",
        "{subject} 测量同一量，但没有时间上足够接近的读数可供比较",
    ),
    "result-not-computable": (
        "{quantity} has no value for these readings: {problem}",
        "{quantity} 对这些读数没有值：{problem}",
    ),
    "replicates-missing": (
        "{quantity}: {count} replicates, the method prescribes {needed}",
        "{quantity}：平行测定 {count} 次，方法规定 {needed} 次",
    ),
    "replicates-limit-missing": (
        "{quantity}: the method states no limit for {count} replicates",
        "{quantity}：方法未规定 {count} 次平行测定的限值",
    ),
    "replicates-not-comparable": (
        "{quantity}: {count} replicates have a mean of 0; their spread in per cent has no meaning",
        "{quantity}：{count} 次平行测定的平均值为 0，相对偏差无意义",
    ),
    "replicates-disagree": (
        "{quantity}: {count} replicates differ by {spread_pct} %, allowed are {limit_pct} %",
        "{quantity}：{count} 次平行测定相差 {spread_pct} %，允许 {limit_pct} %",
    ),
    "en-exceeded": (
        "check on {subject}: E_n of {quantity} is {value}, allowed is 1",
        "{subject} 的核查：{quantity} 的 E_n 为 {value}，允许为 1",
    ),
    "en-not-computable": (
        "check on {subject}: E_n of {quantity} needs the uncertainty of instrument and reference",
        "{subject} 的核查：计算 {quantity} 的 E_n 需要仪器和标准物质的不确定度",
    ),
    "decision-not-possible": (
        "conformity of {quantity} cannot be stated: {problem}",
        "无法作出 {quantity} 的符合性声明：{problem}",
    ),
}
"""Code to its templates, English and Chinese."""
