"""What the daemon does when a person's command comes through the door."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from gateway.door.app import CommandRefusedError
from gateway.persons import PersonsError
from pipeline.elements import Actor, Refused
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gateway.edge.config_history import ConfigHistory
    from gateway.edge.recorder import Recorder
    from gateway.persons import Directory

Json = dict[str, Any]
ANSWERS_MAX = 1024
"""Answers kept by command, person and key; the elements keep those of their commands in their state."""


class Commands:
    """Executes commands. An answer waits until its records are durable: what is answered cannot be lost."""

    def __init__(self, recorder: Recorder, directory: Directory, history: ConfigHistory) -> None:
        self._recorder = recorder
        self._history = history
        self._directory = directory
        self._answers: OrderedDict[tuple[str, str, str], Json] = OrderedDict()
        self._lock = asyncio.Lock()
        self._own: dict[str, Callable[[Json, Json], Awaitable[Json]]] = {
            "config.apply": self._config_apply,
            "person.add": self._person_add,
            "person.passwd": self._person_passwd,
            "person.disable": self._person_disable,
        }

    async def execute(self, command: str, args: Json, actor: Json, key: str) -> Json:
        """Do a command once. Raises CommandRefusedError."""
        async with self._lock:
            asked = (command, actor["person"], key)
            answer = self._answers.get(asked)
            if answer is None:
                own = self._own.get(command)
                answer = await (own(args, actor) if own else self._plan(command, args, actor))
                self._answers[asked] = answer
                if len(self._answers) > ANSWERS_MAX:
                    self._answers.popitem(last=False)
        return answer

    async def _plan(self, command: str, args: Json, actor: Json) -> Json:
        clock = self._recorder.journal.clock
        names = args.pop("directory", None) if command == "registry.import" else None
        try:
            planned = self._recorder.elements.plan(
                command, args, Actor(**actor), clock.utc_ns(), clock.run_ns()
            )
        except Refused as refused:
            raise CommandRefusedError(refused.code, refused.en, refused.zh, refused.hint) from None
        if names:
            self._directory.learn_names({str(entry["id"]): str(entry["name"]) for entry in names})
        seqs = [
            self._recorder.append(draft.kind, draft.body, instrument=draft.body.get("instrument")).seq
            for draft in planned.drafts
        ]
        await self._durable()
        return {"seq": seqs or list(planned.seqs), "result": planned.result}

    async def _durable(self) -> None:
        journal = self._recorder.journal
        await journal.wait_durable(journal.head_seq - 1)

    def _require_administrator(self, actor: Json) -> None:
        roles = {person.id: person.roles for person in self._directory.persons()}.get(actor["person"], ())
        if actor["how"] not in {"password", "pin"} or "administrator" not in roles:
            raise CommandRefusedError(
                "not-authorised", "only an administrator may do this", "仅管理员可执行此操作",
                "log in as a person with the role administrator",
            )  # fmt: skip

    async def _config_apply(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        sha256 = str(args.get("sha256", ""))
        if len(sha256) != 64:
            raise CommandRefusedError("bad-request", "sha256 of the file is missing", "缺少文件的 sha256")
        body = {
            "action": "apply",
            "sha256": sha256,
            "path_name": str(args.get("path_name", "")),
            "actor": actor,
        }
        record = self._recorder.append("config", body)
        self._history.see(record)
        await self._durable()
        return {"seq": [record.seq], "result": {"sha256": sha256}}

    async def _person_add(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        roles = tuple(args.get("roles", ()))
        person, name = str(args["person"]), str(args.get("name", ""))
        await self._change(
            self._directory.add, person, name, roles, str(args["password"]), str(args.get("pin", ""))
        )
        return await self._record_person("add", person, actor)

    async def _person_passwd(self, args: Json, actor: Json) -> Json:
        person = str(args["person"])
        if person != actor["person"]:
            self._require_administrator(actor)
        await self._change(
            self._directory.set_password, person, str(args["password"]), str(args.get("pin", ""))
        )
        return await self._record_person("passwd", person, actor)

    async def _person_disable(self, args: Json, actor: Json) -> Json:
        self._require_administrator(actor)
        person = str(args["person"])
        await self._change(self._directory.disable, person)
        return await self._record_person("disable", person, actor)

    @staticmethod
    async def _change(change: Callable[..., object], *args: Any) -> None:
        try:
            await asyncio.to_thread(change, *args)
        except PersonsError as error:
            raise CommandRefusedError("persons", str(error), str(error)) from None

    async def _record_person(self, action: str, person: str, actor: Json) -> Json:
        body = event_body("person-changed", person=person, action=action, by=actor["person"]) | {
            "actor": actor
        }
        record = self._recorder.append("event", body)
        await self._durable()
        return {"seq": [record.seq], "result": {"person": person}}

    async def refused(self, command: str, code: str, person: str) -> None:
        """Record a refusal: an attempt is evidence too."""
        self._recorder.append(
            "event", event_body("command-refused", command=command, reason=code, person=person)
        )
