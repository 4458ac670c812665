"""What the daemon does when a person's command comes through the door."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gateway.door.app import CommandRefusedError
from gateway.edge.ledger import IndexBehindError
from gateway.persons import PersonsError
from gateway.remote.rate import RateLimit
from gateway.trust.history import SIGNED
from gateway.trust.roles import may_command
from gateway.trust.watch import PERSONS, TELLERS
from pipeline.elements import Actor, Refused
from pipeline.journal import CommitFailedError, JournalFullError
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.edge.config_history import ConfigHistory
    from gateway.edge.ledger import Ledger
    from gateway.edge.recorder import Recorder
    from gateway.persons import Directory
    from gateway.trust.watch import TrustWatch
    from pipeline.elements import Planned
    from pipeline.elements.state import TaskState

Json = dict[str, Any]
DURABLE_S = 8.0
"""A caller waits this long for the disk; less than the client's own patience."""
TEXT_MAX = 1024
TOGETHER = 100
"""Records of one command that are appended without letting anything else run."""
REFUSALS_PER_S, REFUSALS_BURST = 0.1, 20
"""Refusals of one person for one reason that are recorded one by one."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_COMMAND = re.compile(r"[a-z]{1,20}(\.[a-z]{1,20})?")
ANSWERS_MAX = 1024
"""Answers kept by command, person and key; the elements keep those of their commands in their state."""


class Commands:
    """Executes commands. An answer waits until its records are durable: what is answered cannot be lost."""

    def __init__(
        self, recorder: Recorder, directory: Directory, history: ConfigHistory, ledger: Ledger,
        trust: TrustWatch,
    ) -> None:  # fmt: skip
        self._trust = trust
        self._recorder = recorder
        self._ledger = ledger
        self._refusals = RateLimit(REFUSALS_PER_S, REFUSALS_BURST)
        self._unrecorded = 0
        self._history = history
        self._directory = directory
        self._answers: OrderedDict[tuple[str, str, str, str], Json] = OrderedDict()
        self._lock = asyncio.Lock()
        self._own: dict[str, Callable[[Json, Json], Awaitable[Json]]] = {
            "config.apply": self._config_apply,
            "keys.apply": self._keys_apply,
            "person.add": self._person_add,
            "person.passwd": self._person_passwd,
            "person.disable": self._person_disable,
        }

    def offer(self, handlers: Mapping[str, Callable[[Json, Json], Awaitable[Json]]]) -> None:
        """Take up commands that another part carries out, by name."""
        self._own.update(handlers)

    async def execute(self, command: str, args: Json, actor: Json, key: str) -> Json:
        """Do a command once.

        Raises:
            CommandRefusedError: it will not be done; or the disk does not work, and the same key asks again.
        """
        if actor["how"] == "service" and not may_command(actor["role"], command):
            raise CommandRefusedError(
                "not-permitted", f"a service of role {actor['role']} may not give {command}",
                f"角色为 {actor['role']} 的服务无权执行 {command}",
                "this is for a person, who logs in or signs with password or PIN", status=403,
            )  # fmt: skip
        await self._within(self._recorder.room())
        async with self._lock:
            asked = (command, actor["person"], actor["how"], key)
            answer = self._answers.get(asked)
            if answer is None:
                answer = await self._do(command, args, actor)
                # Kept before it is durable: whoever asks again meanwhile must not have it done twice.
                self._answers[asked] = answer
                if len(self._answers) > ANSWERS_MAX:
                    self._answers.popitem(last=False)
        journal = self._recorder.journal
        await self._within(journal.wait_durable(journal.head_seq - 1))
        return answer

    @staticmethod
    async def _within(waiting: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(DURABLE_S):
                await waiting
        except (TimeoutError, CommitFailedError, JournalFullError):
            raise CommandRefusedError(
                "not-durable",
                "the journal cannot be written now, nothing can be promised; see: yaosu status",
                "记录暂时无法落盘,不能确认操作;请查看 yaosu status",
                "send it again with the same idempotency key once the disk works", status=503,
            ) from None  # fmt: skip

    async def _do(self, command: str, args: Json, actor: Json) -> Json:
        own = self._own.get(command)
        try:
            earlier = await self._long_ago(command, actor)
            if own is not None and earlier is None:
                earlier = self._recorder.elements.answered(command, Actor(**actor))
        except Refused as refused:
            raise CommandRefusedError(refused.code, refused.en, refused.zh, refused.hint) from None
        if earlier is not None:
            return {"seq": list(earlier.seqs), "result": earlier.result}
        return await (self._plan(command, args, actor) if own is None else own(args, actor))

    async def _long_ago(self, command: str, actor: Json) -> Planned | None:
        """Look a key up that memory may have let go of; None where memory knows it, or lacks none."""
        elements, key = self._recorder.elements, actor["idempotency_key"]
        first_seq = elements.first_remembered_seq
        if first_seq is None or elements.remembers(actor["person"], key):
            return None
        try:
            answer = await self._ledger.answer(actor["person"], key, first_seq)
        except IndexBehindError:
            raise CommandRefusedError(
                "not-durable", "the index of earlier commands is being made again; it takes a while",
                "正在重建历史命令索引，请稍候", "send it again with the same idempotency key", status=503,
            ) from None  # fmt: skip
        return None if answer is None else elements.answer_again(command, answer)

    async def _retired(self, args: Json) -> TaskState | None:
        """Look a task up that the elements have let go of; None when the command names none such."""
        task = args.get("task")
        if not isinstance(task, str) or self._recorder.elements.brief(task) is not None:
            return None
        return await self._ledger.rebuilt(task)

    async def _plan(self, command: str, args: Json, actor: Json) -> Json:
        retired = await self._retired(args)
        clock = self._recorder.journal.clock
        args = dict(args)
        names = _names(args.pop("directory", None)) if command == "registry.import" else {}
        try:
            planned = self._recorder.elements.plan(
                command, args, Actor(**actor), clock.utc_ns(), clock.run_ns(), retired
            )
        except Refused as refused:
            raise CommandRefusedError(refused.code, refused.en, refused.zh, refused.hint) from None
        try:
            self._directory.learn_names(names)
        except OSError as error:
            raise CommandRefusedError(
                "persons", f"the names cannot be kept: {error}", "姓名无法保存"
            ) from None
        seqs = []
        for number, draft in enumerate(planned.drafts, start=1):
            seqs.append(
                self._recorder.append(draft.kind, draft.body, instrument=draft.body.get("instrument")).seq
            )
            if number % TOGETHER == 0:
                # A large import lets readings pass; the lock keeps other commands behind it.
                await self._recorder.room()
                await asyncio.sleep(0)
        return {"seq": seqs or list(planned.seqs), "result": planned.result}

    def _require_administrator(self, actor: Json) -> None:
        known = self._directory.find(actor["person"])
        if (
            actor["how"] not in {"password", "pin"}
            or known is None
            or known.disabled
            or "administrator" not in known.roles
        ):
            raise CommandRefusedError(
                "not-authorised", "only an administrator may do this", "仅管理员可执行此操作",
                "log in as a person with the role administrator",
            )  # fmt: skip

    async def _config_apply(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        sha256 = _text(args, "sha256")
        if not _SHA256.fullmatch(sha256):
            raise CommandRefusedError(
                "bad-request", "sha256 is not the hash of a file", "sha256 不是文件的哈希值"
            )
        body = {
            "action": "apply",
            "sha256": sha256,
            "path_name": PurePath(_text(args, "path_name", required=False)).name,
            "actor": actor,
        }
        record = self._recorder.append("config", body)
        self._history.see(record)
        return {"seq": [record.seq], "result": {"sha256": sha256}}

    async def _keys_apply(self, args: Json, actor: Json) -> Json:
        """Take down that a person is about to change who is believed: to a file of this hash."""
        self._require_administrator(actor)
        file, before, after = (
            _text(args, name, required=name != "before") for name in ("file", "before", "after")
        )
        if file not in TELLERS or file == PERSONS or not _SHA256.fullmatch(after):
            raise CommandRefusedError(
                "bad-request", "this is no file of pinned keys or tokens with the hash that it will have",
                "不是受信任密钥或令牌文件及其哈希值",
            )  # fmt: skip
        body = event_body(SIGNED, file=file, before=before, after=after, by=actor["person"])
        record = self._recorder.append("event", body | {"actor": actor})
        self._history.trust.see(record)
        return {"seq": [record.seq], "result": {"file": file, "sha256": after}}

    async def _person_add(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        roles = args.get("roles")
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise CommandRefusedError("bad-request", "roles is a list of texts", "roles 应为文本列表")
        person = _text(args, "person")
        await self._change(
            self._directory.add, person, _text(args, "name", required=False) or person, tuple(roles),
            _text(args, "password"), _text(args, "pin", required=False),
        )  # fmt: skip
        return await self._record_person("add", person, actor)

    async def _person_passwd(self, args: Json, actor: Json) -> Json:
        person = _text(args, "person")
        if person != actor["person"] or actor["how"] not in {"password", "pin"}:
            self._require_administrator(actor)
        await self._change(
            self._directory.set_password, person, _text(args, "password"), _text(args, "pin", required=False)
        )
        return await self._record_person("passwd", person, actor)

    async def _person_disable(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        person = _text(args, "person")
        if not any(
            "administrator" in p.roles and not p.disabled for p in self._directory.persons() if p.id != person
        ):
            raise CommandRefusedError(
                "last-administrator",
                f"{person} is the last administrator: nobody could enrol people any more",
                f"{person} 是最后一名管理员：停用后将无人能够登记人员",
                "enrol another administrator first: yaosu person add",
            )
        await self._change(self._directory.disable, person)
        return await self._record_person("disable", person, actor)

    @staticmethod
    async def _change(change: Callable[..., object], *args: Any) -> None:
        try:
            await asyncio.to_thread(change, *args)
        except PersonsError as error:
            raise CommandRefusedError("persons", str(error), f"人员目录拒绝此操作:{error}") from None
        except OSError as error:
            raise CommandRefusedError(
                "persons", f"the directory of persons cannot be written: {error}",
                f"人员目录无法写入:{error}",
            ) from None  # fmt: skip

    async def _record_person(self, action: str, person: str, actor: Json) -> Json:
        body = event_body("person-changed", person=person, action=action, by=actor["person"]) | {
            "actor": actor
        }
        record = self._recorder.append("event", body)
        await self._trust.look(PERSONS, actor)
        return {"seq": [record.seq], "result": {"person": person}}

    async def refused(self, command: str, code: str, person: str, args: Json | None = None) -> None:
        """Record a refusal: an attempt is evidence too. `person` is an id on file, or "unknown".

        Of what was asked only ids stand in the record that are on file: the rest may be anything. Somebody
        who is refused again and again fills no journal: the next event counts what was left out.
        """
        if not self._refusals.allow(f"{person} {code}", self._recorder.journal.clock.run_ns()):
            self._unrecorded += 1
            return
        name = command if _COMMAND.fullmatch(command) else "unknown"
        about = self._recorder.elements.on_file(args or {})
        told = event_body(
            "command-refused", command=name, reason=code, person=person, about=about,
            unrecorded=self._unrecorded,
        )  # fmt: skip
        # Where there is no room for readings, there is none for refusals.
        with contextlib.suppress(JournalFullError):
            self._recorder.append("event", told)
            self._unrecorded = 0


def _text(args: Json, name: str, *, required: bool = True) -> str:
    value = args.get(name, "")
    if not isinstance(value, str) or len(value) > TEXT_MAX or (required and not value):
        raise CommandRefusedError(
            "bad-request", f"'{name}' is a text of 1 to {TEXT_MAX} characters",
            f"'{name}' 应为 1 至 {TEXT_MAX} 字符的文本",
        )  # fmt: skip
    return value


def _names(entries: Any) -> dict[str, str]:
    """Names by id from the lab-side part of a registry file; they go to the directory and nowhere else."""
    try:
        names = {entry["id"]: entry["name"] for entry in entries or ()}
    except (TypeError, KeyError):
        names = {"": 0}
    if not all(isinstance(text, str) and text for pair in names.items() for text in pair):
        raise CommandRefusedError(
            "bad-request", "directory is a list of {id, name}", "directory 应为 {id, name} 的列表"
        )
    return names
