"""Setting points of instruments: prepared, confirmed, recorded, read back. Nothing else ever writes.

A person prepares (what, to which value, why), sees what the device says now and what is asked, and confirms
within two minutes. The confirmation is on the disk before a byte goes to the device; what the device says
afterwards is recorded too. A write that failed, or that does not read back as it was meant, is an alarm.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drivers.errors import DriverError
from gateway.door.app import CommandRefusedError
from pipeline.journal import CommitFailedError, JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from drivers.modbus.write_point import WritePoint
    from drivers.modbus.writer import PointWriter
    from gateway.edge.open_writes import OpenWrites
    from gateway.edge.recorder import Recorder
    from gateway.persons import Directory

Json = dict[str, Any]
EXPIRES_S = 120
DURABLE_S = 4.0
"""The confirmation has so long to reach the disk; nothing is written before it has."""
PREPARED_MAX = 16
"""Writes that wait for their confirmation; of more, the oldest is forgotten."""
REASON_MAX = 1024


@dataclass(frozen=True, slots=True)
class _Prepared:
    instrument: str
    point: WritePoint
    value: float
    before: float | int
    person: str
    until_run_ns: int
    seq: int


class Writes:
    """The two commands. The caller holds the lock of commands: one write at a time.

    Args:
        recorder: takes the records.
        directory: roles of people.
        writers: of the instruments whose settings name points.
        opened: sees every record of a write, as the next start would.
    """

    def __init__(
        self, recorder: Recorder, directory: Directory, writers: Mapping[str, PointWriter], opened: OpenWrites
    ) -> None:
        self._recorder = recorder
        self._opened = opened
        self._directory = directory
        self._writers = writers
        self._prepared: OrderedDict[str, _Prepared] = OrderedDict()

    @property
    def handlers(self) -> dict[str, Callable[[Json, Json], Awaitable[Json]]]:
        """The commands by name."""
        return {"write.prepare": self.prepare, "write.confirm": self.confirm}

    async def prepare(self, args: Json, actor: Json) -> Json:
        """Check a write and record the intention. Nothing is written. Raises CommandRefusedError."""
        instrument, point, writer = self._find(args)
        value, reason = _number(args), _text(args, "reason")
        self._check(instrument, point, value, actor)
        try:
            before = point.decode(await writer.read(point))
        except DriverError as error:
            raise CommandRefusedError(
                "instrument-away", f"{instrument} does not say what {point.name} is now: {error}",
                f"无法读取 {instrument} 的 {point.name} 当前值:{error}", "try again when it answers",
                status=503,
            ) from None  # fmt: skip
        token = secrets.token_hex(4)
        about = {
            "instrument": instrument, "point": point.name, "value": value, "unit": point.unit,
            "before": before, "person": actor["person"], "reason": reason, "write": token,
        }  # fmt: skip
        seq = self._tell("write-prepared", about, actor)
        until_ns = self._recorder.journal.clock.run_ns() + EXPIRES_S * 1_000_000_000
        self._prepared[token] = _Prepared(instrument, point, value, before, actor["person"], until_ns, seq)
        if len(self._prepared) > PREPARED_MAX:
            self._prepared.popitem(last=False)
        asked = {"confirm": {"en": point.confirm.en, "zh": point.confirm.zh}, "expires_s": EXPIRES_S}
        return {"seq": [seq], "result": {**about, **asked}}

    async def confirm(self, args: Json, actor: Json) -> Json:
        """Write what was prepared and read it back. Raises CommandRefusedError."""
        token, value, reason = _text(args, "write"), _number(args), _text(args, "reason")
        known = self._prepared.get(token)
        if known is None or known.until_run_ns < self._recorder.journal.clock.run_ns():
            self._prepared.pop(token, None)
            raise CommandRefusedError(
                "not-prepared", f"no write '{token}' waits for its confirmation; one expires after "
                f"{EXPIRES_S} s and is confirmed once",
                f"没有待确认的写入“{token}”;准备后 {EXPIRES_S} 秒内有效,只能确认一次",
                "prepare it again: yaosu write prepare", status=404,
            )  # fmt: skip
        if value != known.value:
            raise CommandRefusedError(
                "other-value", f"{known.value:g} was prepared, {value:g} is confirmed",
                f"准备的值为 {known.value:g},确认的值为 {value:g}", "repeat the value that was prepared",
            )  # fmt: skip
        self._check(known.instrument, known.point, value, actor)
        if known.point.second_person and actor["person"] == known.person:
            raise CommandRefusedError(
                "same-person", "another person than the one who prepared has to confirm",
                "须由准备者以外的人员确认", status=403,
            )  # fmt: skip
        del self._prepared[token]
        return await self._carry_out(token, known, reason, actor)

    async def _carry_out(self, token: str, known: _Prepared, reason: str, actor: Json) -> Json:
        about = {
            "instrument": known.instrument, "point": known.point.name, "value": known.value,
            "unit": known.point.unit, "before": known.before, "person": actor["person"], "reason": reason,
            "write": token, "prepared_seq": known.seq,
        }  # fmt: skip
        confirmed = self._tell("write-confirmed", about, actor)
        # What is done to an instrument is on the disk before it is done.
        await self._durable(confirmed, about, actor)
        data = known.point.encode(known.value)
        found, failure = await self._writers[known.instrument].write(known.point, data)
        reads = None if found is None else known.point.decode(found)
        shown = "nothing" if reads is None else reads
        if found == data and failure is None:
            done = self._tell("write-done", {**about, "found": shown}, actor)
            return {"seq": [confirmed, done], "result": {**about, "found": reads, "verified": True}}
        error = "it reads back otherwise" if failure is None else str(failure)
        code = "write-unverified" if failure is None or found == data else "write-failed"
        self._tell(code, {**about, "found": shown, "error": error}, actor)
        raise CommandRefusedError(
            code, f"{known.point.name} of {known.instrument} was to become {known.value:g} and reads {shown} "
            f"now: {error}",
            f"{known.instrument} 的 {known.point.name} 应写为 {known.value:g},回读为 {shown}:{error}",
            "look at the instrument before anything else is done with it", status=502,
        )  # fmt: skip

    async def _durable(self, seq: int, about: Json, actor: Json) -> None:
        try:
            async with asyncio.timeout(DURABLE_S):
                await self._recorder.journal.wait_durable(seq)
        except (TimeoutError, CommitFailedError, JournalFullError):
            with contextlib.suppress(JournalFullError):
                # The confirmation may reach the disk yet: then so does this.
                error = "the journal could not be written, so that nothing was set"
                self._tell("write-failed", {**about, "found": "nothing", "error": error}, actor)
            raise CommandRefusedError(
                "not-durable", "the journal cannot be written now, so that nothing was set",
                "记录暂时无法落盘,未执行写入", "prepare it again once the disk works", status=503,
            ) from None  # fmt: skip

    def _find(self, args: Json) -> tuple[str, WritePoint, PointWriter]:
        instrument, name = _text(args, "instrument"), _text(args, "point")
        writer = self._writers.get(instrument)
        point = None if writer is None else writer.point(name)
        if writer is None or point is None:
            raise CommandRefusedError(
                "not-writable", f"the site file names no point '{name}' of '{instrument}' that may be set",
                f"站点文件未声明“{instrument}”的可写点“{name}”", "see those that there are: yaosu write list",
                status=404,
            )  # fmt: skip
        return instrument, point, writer

    def _check(self, instrument: str, point: WritePoint, value: float, actor: Json) -> None:
        """Refuse who may not, what is beyond the limits, and what would touch somebody's work."""
        person = self._directory.find(actor["person"])
        known = actor["how"] in {"password", "pin"} and person is not None and not person.disabled
        if not known or person is None or not set(person.roles) & set(point.roles):
            raise CommandRefusedError(
                "not-authorised", f"{point.name} of {instrument} is set by: {', '.join(point.roles)}",
                f"{instrument} 的 {point.name} 仅可由以下角色设置:{', '.join(point.roles)}",
                "sign as a person with one of these roles", status=403,
            )  # fmt: skip
        problem = point.problem(value)
        if problem is not None:
            raise CommandRefusedError("out-of-limits", *problem, "choose a value within the limits")
        for task in self._recorder.elements.fold.state.tasks.values():
            bound = any(facts.instrument == instrument for facts in task.channels)
            if task.phase == "running" and bound and task.start.method not in point.in_methods:
                raise CommandRefusedError(
                    "task-running", f"task {task.id} is running on {instrument}, and its method does not "
                    f"allow {point.name} to be set",
                    f"任务 {task.id} 正在使用 {instrument},其方法不允许设置 {point.name}",
                    "stop the task first, or name its method in in_methods of the point",
                )  # fmt: skip

    def _tell(self, code: str, about: Json, actor: Json) -> int:
        body = event_body(code, **about) | {"actor": actor}
        record = self._recorder.append("event", body, instrument=about["instrument"])
        self._opened.see(record)
        return record.seq


def _number(args: Json) -> float:
    value = args.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CommandRefusedError("bad-request", "'value' is a number", "'value' 应为数值", status=400)
    return float(value)


def _text(args: Json, name: str) -> str:
    value = args.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= REASON_MAX:
        raise CommandRefusedError(
            "bad-request", f"'{name}' is a text of 1 to {REASON_MAX} characters",
            f"'{name}' 应为 1 至 {REASON_MAX} 字符的文本", status=400,
        )  # fmt: skip
    return value
