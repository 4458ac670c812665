"""The catalogue of events: one literal table of code, severity and text in both languages.

Codes are part of the record format: append, never rename.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.records.block import Severity


@dataclass(frozen=True, slots=True)
class EventKind:
    """How an event of one code is shown."""

    severity: Severity
    en: str
    zh: str


CATALOGUE: dict[str, EventKind] = {
    # drivers
    "instrument-lost": EventKind(
        "alarm", "{instrument} stopped answering: {error}", "{instrument} 停止应答：{error}"
    ),
    "instrument-back": EventKind(
        "info", "{instrument} answers again after {seconds} s", "{instrument} 中断 {seconds} 秒后恢复应答"
    ),
    "identity": EventKind(
        "info",
        "{instrument} identifies itself as {identity}",
        "{instrument} 自报身份：{identity}",
    ),
    "source-pty": EventKind(
        "alarm",
        "{instrument} is declared live, and a program is behind its port {endpoint}: a pseudo-terminal",
        "{instrument} 声明为实时来源，而其端口 {endpoint} 是伪终端，另一端是程序",
    ),
    "source-simulator": EventKind(
        "alarm",
        "{instrument} is declared live, and says by itself at {endpoint} that it is a simulator",
        "{instrument} 声明为实时来源，而其在 {endpoint} 自报为模拟器",
    ),
    "source-live": EventKind(
        "info",
        "{instrument} at {endpoint} is no longer found to be simulated",
        "{instrument}（{endpoint}）不再表现为模拟来源",
    ),
    "rows-to-rehearsal": EventKind(
        "warning",
        "Rows of {instrument} go to rehearsal journal {of_journal} from its record {of_seq} on, "
        "not into this one",
        "{instrument} 的数据行自演练日志 {of_journal} 的记录 {of_seq} 起改记入该日志，不再记入本日志",
    ),
    "rows-to-rehearsal-end": EventKind(
        "info",
        "Rows of {instrument} come into this journal again; rehearsal journal {of_journal} holds {rows} of "
        "them and ends with its record {of_seq}",
        "{instrument} 的数据行恢复记入本日志；演练日志 {of_journal} 记有 {rows} 行，至其记录 {of_seq} 为止",
    ),
    "rehearsal-opened": EventKind(
        "info",
        "Rehearsal journal opened beside production journal {of_journal}, time {boot} (clock offset "
        "{offset_ns} ns)",
        "已在生产日志 {of_journal} 旁打开演练日志，第 {boot} 次（时钟偏移 {offset_ns} 纳秒）",
    ),
    "rehearsal-unavailable": EventKind(
        "alarm",
        "The rehearsal journal cannot be opened, so simulated rows stay in this one and are held: {error}; "
        "see docs/record.md",
        "演练日志无法打开，模拟数据行仍记入本日志并扣留待处置：{error}；见 docs/record.md",
    ),
    "rows-from-production": EventKind(
        "info",
        "Rows of {instrument} come here from now on: record {of_seq} of production journal {of_journal} "
        "says why",
        "{instrument} 的数据行自此记入本日志：原因见生产日志 {of_journal} 的记录 {of_seq}",
    ),
    "rows-from-production-end": EventKind(
        "info",
        "No further rows of {instrument} come here, {rows} came: record {of_seq} of production journal "
        "{of_journal} says why",
        "{instrument} 的数据行不再记入本日志，共 {rows} 行：原因见生产日志 {of_journal} 的记录 {of_seq}",
    ),
    "bad-frame": EventKind(
        "warning", "{instrument} sent a frame that is not valid: {error}", "{instrument} 发来无效帧：{error}"
    ),
    "device-exception": EventKind(
        "warning",
        "{instrument} answered with exception {code} ({meaning})",
        "{instrument} 返回异常码 {code}（{meaning}）",
    ),
    "register-refused": EventKind(
        "warning",
        "{instrument} does not have {channel} at {where}: exception {code} ({meaning}); the other values are "
        "read without it, and it is asked again every {retry_s} s",
        "{instrument} 在 {where} 没有 {channel}：异常码 {code}（{meaning}）；"
        "其余数值照常读取，每 {retry_s} 秒重试一次",
    ),
    "register-granted": EventKind(
        "info", "{instrument} answers at {where} again", "{instrument} 在 {where} 恢复应答"
    ),
    "device-error": EventKind(
        "warning",
        "{instrument} reports error {code} ({meaning})",
        "{instrument} 报告错误 {code}（{meaning}）",
    ),
    "wire-recording-ended": EventKind(
        "warning", "Nothing is recorded of the lines any more: {error}", "线路录制已中断：{error}"
    ),
    "wire-recording-resumed": EventKind(
        "info", "The lines are recorded again; before: {error}", "线路录制已恢复；此前：{error}"
    ),
    "write-prepared": EventKind(
        "info",
        "{person} prepared to set {point} of {instrument} from {before} to {value} {unit}: {reason}",
        "{person} 准备将 {instrument} 的 {point} 由 {before} 设为 {value} {unit}：{reason}",
    ),
    "write-confirmed": EventKind(
        "warning",
        "{person} confirmed that {point} of {instrument} is set from {before} to {value} {unit}: {reason}",
        "{person} 确认将 {instrument} 的 {point} 由 {before} 设为 {value} {unit}：{reason}",
    ),
    "write-done": EventKind(
        "info",
        "{point} of {instrument} was set and reads {found} {unit}",
        "{instrument} 的 {point} 已设置，回读为 {found} {unit}",
    ),
    "write-failed": EventKind(
        "alarm",
        "{point} of {instrument} was to become {value} {unit} and reads {found}: {error}",
        "{instrument} 的 {point} 应设为 {value} {unit}，回读为 {found}：{error}",
    ),
    "write-unverified": EventKind(
        "alarm",
        "It is not certain that {point} of {instrument} is {value} {unit}: it reads {found}, {error}",
        "无法确认 {instrument} 的 {point} 已为 {value} {unit}：回读为 {found}，{error}",
    ),
    "write-read-back": EventKind(
        "warning",
        "The gateway stopped while {point} of {instrument} was set to {value} {unit}; now it reads {found}",
        "设置 {instrument} 的 {point} 为 {value} {unit} 时网关中断；现回读为 {found}",
    ),
    "write-differs": EventKind(
        "alarm",
        "{point} of {instrument} was confirmed to become {value} {unit}; after the gateway's stop it reads "
        "{found} (before: {before})",
        "{instrument} 的 {point} 已确认设为 {value} {unit}；网关中断后回读为 {found}（原为 {before}）",
    ),
    "write-unknown": EventKind(
        "alarm",
        "It is not known whether {point} of {instrument} was set to {value} {unit}: the gateway was stopped "
        "meanwhile, and now: {error}",
        "无法确认 {instrument} 的 {point} 是否已设为 {value} {unit}：期间网关中断，目前：{error}",
    ),
    "environment-too-seldom": EventKind(
        "warning",
        "Environment {environment} cannot be judged as registered: {problem}",
        "环境 {environment} 无法按登记要求判定：{problem}",
    ),
    "device-message": EventKind("info", "{instrument} says: {text}", "{instrument} 报告：{text}"),
    # daemon
    "daemon-start": EventKind(
        "info", "Gateway started, boot {boot}, {downtime}", "网关启动，第 {boot} 次，{downtime}"
    ),
    "daemon-stop": EventKind("info", "Gateway stopped in order", "网关正常停止"),
    "unattributed-change": EventKind(
        "alarm",
        "Started on a configuration that no authenticated person applied ({sha256})",
        "启动所用配置未经认证人员应用（{sha256}）",
    ),
    "clock-step": EventKind("alarm", "UTC stepped by {step_s} s", "UTC 时钟跳变 {step_s} 秒"),
    "slow-sync": EventKind("warning", "Disk sync took {seconds} s", "磁盘同步耗时 {seconds} 秒"),
    "quarantine": EventKind(
        "alarm",
        "Journal segment {segment} has bytes that cannot be read; set aside",
        "记录分段 {segment} 有无法读取的字节，已隔离",
    ),
    "records-missing": EventKind(
        "alarm",
        "{records} records, seq {first_seq} to {last_seq}, are gone and have no receipt",
        "有 {records} 条记录（序号 {first_seq} 至 {last_seq}）丢失，且无回执证明已保存",
    ),
    "snapshot-unreadable": EventKind(
        "warning",
        "The saved state of {consumer} could not be taken up; all records were read again",
        "{consumer} 的保存状态无法读取，已重读全部记录",
    ),
    "journal-repaired": EventKind(
        "warning",
        "The journal was repaired at the start: {torn_bytes} torn bytes cut; description rebuilt: "
        "{meta_rebuilt}",
        "启动时已修复记录：截去残缺字节 {torn_bytes}，重建描述：{meta_rebuilt}",
    ),
    "trusted-keys-damaged": EventKind(
        "alarm",
        "The pinned collector keys cannot be read; those known before stay in force: {error}",
        "已固定的采集端密钥无法读取，沿用先前密钥：{error}",
    ),
    "log-key-changed": EventKind(
        "warning",
        "The log's key was changed: {old} has signed its successor {new}, which seals from here on",
        "日志密钥已更换：{old} 已签署其后继密钥 {new}，此后由后者封存",
    ),
    "witness-key-changed": EventKind(
        "warning",
        "Witness {witness} has changed its key: {old} has signed its successor {new}",
        "见证方 {witness} 已更换密钥：{old} 已签署其后继密钥 {new}",
    ),
    "witness-key-misused": EventKind(
        "alarm",
        "A key of witness {witness} may be in the wrong hands; ask its operator: {reason}",
        "见证方 {witness} 的密钥可能已被他人掌握，请询问其运营机构：{reason}",
    ),
    "qc-failed": EventKind(
        "alarm",
        "{instrument}: the rules failed on rows from {n} on, which stand as not evaluated: {error}",
        "{instrument}：自第 {n} 行起质控规则运行失败，这些行记为未评价：{error}",
    ),
    "storage-trouble": EventKind(
        "alarm",
        "The journal cannot be written since {since}: {error}; records wait in memory",
        "记录自 {since} 起无法写入磁盘：{error}；数据暂存内存",
    ),
    "storage-recovered": EventKind(
        "warning", "The journal is written again after {seconds} s", "记录写盘中断 {seconds} 秒后恢复"
    ),
    "disk-full": EventKind(
        "alarm",
        "The disk is full: no more rows are taken until there is room; free space on {path}",
        "磁盘已满：腾出空间前不再接收数据行；请清理 {path}",
    ),
    "disk-room": EventKind(
        "warning", "The disk has room again, the reserve is kept anew", "磁盘空间已恢复，重新保留备用空间"
    ),
    "journal-filling": EventKind(
        "warning",
        "The journal has reached {percent} % of its limit of {limit} bytes; beyond it the oldest rows go",
        "记录已达上限 {limit} 字节的 {percent}%；超过后将舍弃最早的数据行",
    ),
    "bulk-shed": EventKind(
        "alarm",
        "Given up for room: {rows} rows in {records} records that no collector has stored, seq {first_seq} "
        "to {last_seq}",
        "因空间不足舍弃采集端尚未保存的 {rows} 行数据（{records} 条记录，序号 {first_seq} 至 {last_seq}）",
    ),
    "part-failed": EventKind(
        "alarm", "{part} failed and was started again: {error}", "{part} 故障，已重新启动：{error}"
    ),
    "qc-onset": EventKind(
        "warning",
        "{instrument} {channel}: {rule} ({flag}) at row {n}",
        "{instrument} {channel}：{rule}（{flag}），第 {n} 行",
    ),
    "flags-unplaced": EventKind(
        "warning",
        "{instrument}: {count} late verdicts of {rule} could not be recorded, their rows are not at hand",
        "{instrument}：{rule} 的 {count} 个延迟判定无法记录，对应数据行不在手边",
    ),
    "service-state": EventKind(
        "info", "{instrument} is now {state}: {reason}", "{instrument} 状态变更为 {state}：{reason}"
    ),
    # elements
    "element-held": EventKind(
        "alarm",
        "Task {task}: {element} is held: {reason}",
        "任务 {task}：要素“{element}”扣留待处置：{reason}",
    ),
    "lookback-opened": EventKind(
        "alarm",
        "Look-back {lookback} on {subject} ({cause}, {failed}): {affected} tasks are affected",
        "已启动对 {subject} 的追溯评价 {lookback}（{cause}，{failed}）：涉及 {affected} 个任务",
    ),
    "alarm-undelivered": EventKind(
        "warning",
        "The webhook refused notice {notice} of alarm {alarm}: {error}",
        "Webhook 拒收报警 {alarm} 的第 {notice} 次通知：{error}",
    ),
    "record-not-understood": EventKind(
        "alarm",
        "Record {of_seq} of kind {of_kind} cannot be understood: {error}",
        "记录 {of_seq}（类型 {of_kind}）无法解读：{error}",
    ),
    "command-refused": EventKind(
        "warning",
        "{command} by {person} was refused: {reason}{details}",
        "{person} 的命令 {command} 被拒绝：{reason}{details}",
    ),
    "command-file": EventKind(
        "warning", "A command file has a mistake: {problem}", "命令文件有误：{problem}"
    ),
    "person-changed": EventKind(
        "info", "{by} changed the access of {person}: {action}", "{by} 变更了 {person} 的访问权限：{action}"
    ),
    "trust-signed": EventKind(
        "info",
        "{by} signed a change of who is believed ({file}): {after}",
        "{by} 签署了受信任名单（{file}）的变更：{after}",
    ),
    "trust-found": EventKind(
        "info", "Believed from now on ({file}): {changes}", "自此受信任（{file}）：{changes}"
    ),
    "trust-changed": EventKind(
        "info",
        "{by} changed who is believed ({file}): {changes}",
        "{by} 变更了受信任名单（{file}）：{changes}",
    ),
    "trust-changed-unsigned": EventKind(
        "alarm",
        "Who is believed was changed, and nobody signed it ({file}): {changes}",
        "受信任名单（{file}）被变更且无人签署：{changes}",
    ),
    # evidence of the detectors: facts from the records for a person to look at, never an accusation
    "evidence-no-raw-data": EventKind(
        "warning",
        "Task {task} on {subject}: no reading with a value was received in its window (case {case})",
        "任务 {task}（{subject}）：其时段内未收到有效读数（情形 {case}）",
    ),
    "evidence-throughput": EventKind(
        "warning",
        "{subject}: {count} tasks ended within an hour, its registered capacity is {capacity} (case {case})",
        "{subject}：一小时内完成任务 {count} 个，登记的每小时能力为 {capacity} 个（情形 {case}）",
    ),
    "evidence-identical-windows": EventKind(
        "warning",
        "Task {task}, {subject}: {pieces} pieces of its readings equal those of task {other} (case {case})",
        "任务 {task}，{subject}：有 {pieces} 段读数与任务 {other} 的读数相同（情形 {case}）",
    ),
    "evidence-manual-share": EventKind(
        "warning",
        "Task {task}: {count} readings were entered by hand, {read} were read from instruments (case {case})",
        "任务 {task}：手工录入读数 {count} 个，仪器采集读数 {read} 个（情形 {case}）",
    ),
    "evidence-attempts": EventKind(
        "warning",
        "Task {task} is attempt {attempt} at sample {subject}; attempts with readings before it: aborted "
        "{aborted}, with a result outside the limits {nonconforming} (case {case})",
        "任务 {task} 是样品 {subject} 的第 {attempt} 次检测；此前有读数的检测：中止 {aborted} 次，"
        "结果超限 {nonconforming} 次（情形 {case}）",
    ),
    "evidence-sample-mass": EventKind(
        "warning",
        "Task {task}: {quantity} of sample {subject} differs from that of task {other} (case {case})",
        "任务 {task}：样品 {subject} 的 {quantity} 与任务 {other} 的不同（情形 {case}）",
    ),
    "evidence-custody-order": EventKind(
        "warning",
        "Task {task}: the recorded hand-overs of sample {subject} do not follow one another (case {case})",
        "任务 {task}：样品 {subject} 的交接记录先后次序不一致（情形 {case}）",
    ),
    "evidence-element": EventKind(
        "warning",
        "Task {task} ({overall}): {element} tells of {subject}: {reason} (case {case})",
        "任务 {task}（{overall}）：要素“{element}”对 {subject} 有记录：{reason}（情形 {case}）",
    ),
    "evidence-clock-step": EventKind(
        "warning",
        "Task {task} on {subject}: the UTC clock went back while it ran, epoch {epoch} began (case {case})",
        "任务 {task}（{subject}）：进行期间 UTC 时钟回退，记录进入纪元 {epoch}（情形 {case}）",
    ),
    "evidence-chain": EventKind(
        "warning",
        "Part of the record is not whole ({reason}, {subject}); task {task} (case {case})",
        "部分记录不完整（{reason}，{subject}）；任务 {task}（情形 {case}）",
    ),
    "evidence-signing": EventKind(
        "warning",
        "Task {task}: time or leave of the signature of {subject}: {reason} (case {case})",
        "任务 {task}：{subject} 签名的时间或授权：{reason}（情形 {case}）",
    ),
    "trigger": EventKind(
        "warning",
        "Trigger {trigger}: the raw window of task {task} may be read by a regulator",
        "触发 {trigger}：监管方可调阅任务 {task} 的原始数据时段",
    ),
    "read-notice": EventKind(
        "info",
        "{person} reads {channels} of task {task} under trigger record {trigger_seq}",
        "{person} 依据触发记录 {trigger_seq} 调阅任务 {task} 的 {channels}",
    ),
    # operational risk
    "risk-level": EventKind(
        "warning",
        "Operational risk index of {subject}: {before} → {level} ({index})",
        "{subject} 的运行风险指数：{before} → {level}（{index}）",
    ),
    "credit-class": EventKind(
        "info",
        "Official credit-risk class imported: {credit_class}, {source}, decided {decided_on}",
        "导入官方信用风险类别：{credit_class}，来源 {source}，认定日期 {decided_on}",
    ),
    "spot-check-table": EventKind(
        "info",
        "Table of spot checks imported: {title}, {issuer}, {issued_on}",
        "导入抽查比例和频次表：{title}，{issuer}，{issued_on}",
    ),
}
