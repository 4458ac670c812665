"""Why a person's command is refused, with what to do instead, in both languages."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.elements.alarms.texts import REFUSALS as OF_ALARMS
from pipeline.elements.batches.texts import REFUSALS as OF_BATCHES
from pipeline.elements.hand.texts import REFUSALS as OF_HAND
from pipeline.elements.lookback.texts import REFUSALS as OF_LOOKBACK
from pipeline.elements.texts import fill


class Refusal(NamedTuple):
    """Templates of one refusal."""

    en: str
    zh: str
    hint_en: str
    hint_zh: str


REFUSALS: dict[str, Refusal] = {
    "unknown-command": Refusal(
        "there is no command {command}", "没有命令 {command}",
        "see: yaosu --help", "参见：yaosu --help",
    ),
    "missing-argument": Refusal(
        "{argument} is missing", "缺少 {argument}",
        "give {argument} and try again", "请给出 {argument} 后重试",
    ),
    "wrong-argument": Refusal(
        "{argument} is not acceptable: {problem}", "{argument} 不可接受：{problem}",
        "correct {argument} and try again", "请改正 {argument} 后重试",
    ),
    "unknown-step": Refusal(
        "method {method} has no step '{step}'", "方法 {method} 没有步骤“{step}”",
        "name one of: {known}", "请给出其中之一：{known}",
    ),
    "environment-outside": Refusal(
        "{channel} reads {value}, outside the limits of the method",
        "{channel} 读数 {value}，超出方法限值",
        "wait until the environment is within its limits, then start again",
        "请待环境恢复至限值之内后再开始",
    ),
    "unknown-argument": Refusal(
        "{command} takes no {argument}", "{command} 没有参数 {argument}",
        "leave it out; known are: {known}", "请去掉该参数；可用参数：{known}",
    ),
    "key-reused": Refusal(
        "this idempotency key was used for {earlier}", "该幂等键已用于 {earlier}",
        "use a new key for each command", "每条命令请使用新的键",
    ),
    "unknown-badge": Refusal(
        "badge {badge} belongs to nobody now", "工牌 {badge} 当前不属于任何人",
        "scan the badge again, or register it: yaosu registry import FILE",
        "请重新扫描工牌，或登记：yaosu registry import FILE",
    ),
    "unknown-person": Refusal(
        "{person} is not a person of the registry", "登记册中没有人员 {person}",
        "scan the badge first, or register the person: yaosu registry import FILE",
        "请先扫描工牌，或登记该人员：yaosu registry import FILE",
    ),
    "unknown-sample": Refusal(
        "{sample} is not a sample of the registry", "登记册中没有样品 {sample}",
        "scan the sample label again, or book the sample in: yaosu registry import FILE",
        "请重新扫描样品标签，或登记该样品：yaosu registry import FILE",
    ),
    "unknown-material": Refusal(
        "{material} is not a material of the registry", "登记册中没有物料 {material}",
        "check the label, or register it: yaosu registry import FILE",
        "请核对标签，或登记：yaosu registry import FILE",
    ),
    "unknown-instrument": Refusal(
        "{instrument} is not an instrument of the equipment registry", "设备登记册中没有仪器 {instrument}",
        "scan the instrument label again, or register it: yaosu registry import FILE",
        "请重新扫描仪器标签，或登记：yaosu registry import FILE",
    ),
    "unknown-environment": Refusal(
        "{environment} is not an environment of the registry", "登记册中没有环境 {environment}",
        "check the id, or register it: yaosu registry import FILE",
        "请核对编号，或登记：yaosu registry import FILE",
    ),
    "unknown-equipment": Refusal(
        "{equipment} is neither an asset nor an instrument of the registry",
        "登记册中没有设备或仪器 {equipment}",
        "list the assets: yaosu registry show equipment", "查看设备：yaosu registry show equipment",
    ),
    "not-present": Refusal(
        "an identity by {how} may not do this", "以“{how}”方式确认的身份无权执行此操作",
        "scan the badge of the person who is there, or sign with password or PIN",
        "请扫描在场人员的工牌，或用口令或 PIN 签名",
    ),
    "custody-order": Refusal(
        "the last hand-over of {material} is later than now", "{material} 的上一次交接时间晚于现在",
        "the clock went backwards or the registry has a wrong time: yaosu registry show material {material}",
        "时钟回拨或登记时间有误：yaosu registry show material {material}",
    ),
    "opened-already": Refusal(
        "{material} was opened already", "{material} 已开封",
        "see when: yaosu registry show material {material}",
        "查看开封时间：yaosu registry show material {material}",
    ),
    "no-certificate": Refusal(
        "{subject} has no certificate on file", "{subject} 没有在册证书",
        "check the id: yaosu registry show equipment (or material)",
        "请核对编号：yaosu registry show equipment（或 material）",
    ),
    "withdrawn-already": Refusal(
        "the certificate of {subject} is withdrawn already", "{subject} 的证书已撤销",
        "see what rested on it: yaosu hold list", "查看受影响的任务：yaosu hold list",
    ),
    "unknown-method": Refusal(
        "{method} is not a method of the registry", "登记册中没有方法 {method}",
        "check the id, or register it: yaosu registry import FILE",
        "请核对编号，或登记：yaosu registry import FILE",
    ),
    "unknown-task": Refusal(
        "there is no task {task}", "没有任务 {task}",
        "list the tasks: yaosu task list", "列出任务：yaosu task list",
    ),
    "instrument-busy": Refusal(
        "{instrument} is in use by running task {task}", "{instrument} 正被进行中的任务 {task} 使用",
        "stop that task first (yaosu task stop {task}), or use another instrument",
        "请先结束该任务（yaosu task stop {task}），或使用其他仪器",
    ),
    "task-not-running": Refusal(
        "task {task} is not running: it is {phase}", "任务 {task} 不在进行中：{phase}",
        "start a new task for further work", "后续工作请新建任务",
    ),
    "task-aborted": Refusal(
        "task {task} was aborted", "任务 {task} 已中止",
        "start a new attempt", "请开始新的一次检测",
    ),
    "task-disposed": Refusal(
        "task {task} is {overall}: what was signed is not corrected beneath the signature",
        "任务 {task} 已{overall}，不得在签名之后更正",
        "recall or amend it first: yaosu hold release {task} --disposition recall",
        "请先召回或更正处置：yaosu hold release {task} --disposition recall",
    ),
    "nothing-amended": Refusal(
        "task {task} says so already", "任务 {task} 已是如此",
        "give the sample, item or clause that is right", "请给出正确的样品、项目或条款",
    ),
    "clock-ambiguous": Refusal(
        "the clock showed {instant} twice during the task ({after} after its start)",
        "任务期间时钟两次显示 {instant}（任务开始后 {after}）",
        "say which is meant: occurrence first or second", "请说明是哪一次：occurrence 取 first 或 second",
    ),
    "clock-skipped": Refusal(
        "the clock was put forward over {instant}: it never was", "时钟被拨快，{instant} 从未出现",
        "give an {argument} from before or after the step; steps are among the events: yaosu events",
        "请为 {argument} 给出拨钟之前或之后的时间；拨钟见：yaosu events",
    ),
    "task-not-final": Refusal(
        "task {task} still has provisional verdicts", "任务 {task} 仍有暂定判定",
        "stop the task and wait until its readings are decided", "请结束任务并等待读数判定完成",
    ),
    "same-operator": Refusal(
        "{person} is the operator of task {task} already", "{person} 已是任务 {task} 的操作人员",
        "scan the badge of the person who takes over", "请扫描接班人员的工牌",
    ),
    "nothing-held": Refusal(
        "task {task} is not held", "任务 {task} 未被扣留",
        "held tasks: yaosu hold list", "查看被扣留的任务：yaosu hold list",
    ),
    "not-authenticated": Refusal(
        "an identity by {how} may not do this", "以“{how}”方式确认的身份无权执行此操作",
        "sign with password or PIN", "请用口令或 PIN 签名",
    ),
    "own-task": Refusal(
        "{person} was an operator of task {task}", "{person} 是任务 {task} 的操作人员",
        "ask another authorised signatory", "请由其他授权签字人处置",
    ),
    "not-signatory": Refusal(
        "{person} is not an authorised signatory now", "{person} 当前不是授权签字人",
        "ask an authorised signatory, or register the role: yaosu registry import FILE",
        "请由授权签字人处置，或登记该角色：yaosu registry import FILE",
    ),
    "signed-something-else": Refusal(
        "what was signed is not what is in force for task {task}", "所签内容与任务 {task} 的现行内容不一致",
        "load the task again, read it and sign again", "请重新加载任务，阅读后再签名",
    ),
    "not-regulator": Refusal(
        "{person} is no regulator logged in here", "{person} 不是已登录的监管人员",
        "windows under a trigger are read by a person whose only role is regulator",
        "触发后的时段数据仅由监管角色人员调阅",
    ),
    "no-trigger": Refusal(
        "no trigger is recorded for task {task}", "任务 {task} 没有已记录的触发",
        "status, verdicts and seals are open; ask the laboratory for the raw data",
        "状态、判定和封存信息可直接查看；原始数据请向实验室索取",
    ),
    "not-of-task": Refusal(
        "{channel} is no channel of task {task}", "{channel} 不是任务 {task} 的通道",
        "channels of the task: {known}", "该任务的通道：{known}",
    ),
    "registry-invalid": Refusal(
        "the registry records cannot be taken in: {problems}", "登记记录无法导入：{problems}",
        "correct all of them and import again; nothing was taken in",
        "请全部改正后重新导入；本次未导入任何记录",
    ),
    **{code: Refusal(*texts) for room in (OF_ALARMS, OF_BATCHES, OF_LOOKBACK, OF_HAND)
       for code, texts in room.items()},
}  # fmt: skip
"""Code to templates. Codes are answers of the command door: append, never rename."""


class Refused(Exception):  # noqa: N818 - it states an answer
    """A command that is not carried out: nothing was recorded. `hint` says what to do next."""

    def __init__(self, code: str, **args: str) -> None:
        texts = REFUSALS[code]
        self.code = code
        self.en = fill(texts.en, args)
        self.zh = fill(texts.zh, args)
        self.hint = fill(texts.hint_en, args)
        self.hint_zh = fill(texts.hint_zh, args)
        super().__init__(f"{self.en} — {self.hint}")
