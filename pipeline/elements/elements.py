"""The door of the elements: fold, commands and views over one state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipeline.elements import views
from pipeline.elements.answers import IMPORT, OF_REGISTRY, answer_key
from pipeline.elements.commands import COMMANDS, Planned, Request
from pipeline.elements.corrected import CorrectionsInForce
from pipeline.elements.engine import Fold
from pipeline.elements.refusal import Refused
from pipeline.elements.settings import ElementsSettings

if TYPE_CHECKING:
    from pipeline.corrections import Plan
    from pipeline.elements.saving import Capture
    from pipeline.elements.shapes import Actor, Draft
    from pipeline.elements.state import Answer, TaskState
    from pipeline.elements.vocabulary import RegistryType, TaskPhase
    from pipeline.records.envelope import Record


class Elements:
    """Judges the elements of every task from the records of one journal.

    Pure and deterministic: no clock, no input or output. The daemon feeds every appended record in seq order
    to `consume`, appends the drafts at once and in order, and feeds those records back too. `plan` changes
    nothing; the drafts that it gives must be appended before the next `plan`. Thread-safe: no.
    Memory is bounded by the registry, the open and held tasks and `settings.retained_tasks` finished ones.
    """

    def __init__(self, settings: ElementsSettings | None = None) -> None:
        self._fold = Fold(ElementsSettings() if settings is None else settings)
        self._corrections = CorrectionsInForce()

    @property
    def open_tasks(self) -> int:
        """Tasks that run or wait for their final verdicts: while there are any, ticks come every second."""
        return sum(not task.final for task in self._fold.state.tasks.values())

    @property
    def last_seq(self) -> int:
        """Seq of the last record taken in; -1 before the first."""
        return self._fold.state.last_seq

    @property
    def fold(self) -> Fold:
        """The fold, for views to read; nobody outside changes it."""
        return self._fold

    def consume(self, record: Record) -> list[Draft]:
        """Take a record in and give the drafts that follow from it. Never raises on a record's content."""
        return self._fold.consume(record)

    def plan(
        self, command: str, args: dict[str, Any], actor: Actor, t_utc_ns: int, t_run_ns: int,
        retired: TaskState | None = None,
    ) -> Planned:  # fmt: skip
        """Check a person's command against the state.

        The same person and idempotency key get the earlier answer again, without drafts.

        Args:
            command: a key of `COMMANDS`.
            args: its arguments.
            actor: who gives it.
            t_utc_ns: now, UTC.
            t_run_ns: now, gateway time.
            retired: the task that `args` names, built from its records, where the state no longer has it.

        Raises:
            Refused: the command is not carried out; its message says why and what to do.
        """
        handler = COMMANDS.get(command)
        if handler is None:
            raise Refused("unknown-command", command=command)
        if not actor.idempotency_key:
            raise Refused("missing-argument", argument="idempotency_key")
        fold = self._fold
        request = Request(command, args, actor, fold.state, fold.registry, t_utc_ns, t_run_ns, retired)
        earlier = self.answered(command, actor)
        if earlier is None:
            return handler(request)
        if command == "registry.import":
            # A power cut may have kept a part of an import: what is missing of it is added now.
            rest = handler(request)
            return rest if rest.drafts else earlier
        return earlier

    def answered(self, command: str, actor: Actor) -> Planned | None:
        """Give the answer that a command of this person and idempotency key had; None for a new one.

        Raises:
            Refused: the key was used for another command.
        """
        answer = self._fold.state.answers.get(answer_key(actor.person, actor.idempotency_key))
        return None if answer is None else self.answer_again(command, answer)

    @staticmethod
    def answer_again(command: str, answer: Answer) -> Planned:
        """Give the answer of a remembered command again.

        Raises:
            Refused: the key was used for another command.
        """
        if answer.command != command and not {answer.command, command} <= OF_REGISTRY:
            raise Refused("key-reused", earlier=answer.command)
        result = dict(answer.result)
        if answer.command == IMPORT:
            name = "imported" if command == IMPORT else "id"
            result = {name: result[name]}
        return Planned((), result, tuple(dict.fromkeys(answer.seqs)))

    def remembers(self, person: str, key: str) -> bool:
        """Tell whether a command of this person and idempotency key is among the newest."""
        return answer_key(person, key) in self._fold.state.answers

    @property
    def first_remembered_seq(self) -> int | None:
        """First record of the oldest command remembered, where older ones were let go; else None."""
        answers = self._fold.state.answers
        if len(answers) < self._fold.settings.recent_keys:
            return None
        return next(iter(answers.values())).seqs[0]

    def on_file(self, args: dict[str, Any]) -> dict[str, str]:
        """Keep of a command's arguments the ids that are on file here: those may stand in a record."""
        return views.on_file(self._fold, args)

    def snapshot(self) -> bytes:
        """Encode the whole state at once (msgpack)."""
        return self._fold.snapshot()

    def capture(self) -> Capture:
        """Begin to encode the state as it is now: `take` its pieces between other work.

        A record that changes what was not taken yet loses it; right after a tick there is most time.
        """
        return self._fold.capture()

    def restore(self, snapshot: bytes) -> None:
        """Take over a state that `snapshot` gave.

        Raises:
            MalformedBody: not a snapshot of this version; start empty and replay the records instead.
        """
        self._fold.restore(snapshot)

    def tasks(self, limit: int = 100, phase: TaskPhase | None = None) -> list[dict[str, Any]]:
        """List the newest tasks, newest first, in brief."""
        return views.tasks(self._fold, limit, phase)

    def task(self, task_id: str) -> dict[str, Any] | None:
        """Show one task in full; None when it is not known, or no longer kept here."""
        return views.task(self._fold, task_id)

    def brief(self, task_id: str) -> dict[str, Any] | None:
        """Show one task in brief; None when it is not kept here (any more)."""
        return views.brief(self._fold, task_id)

    def started_after(self, seq: int) -> list[dict[str, Any]]:
        """List in brief the tasks whose start is a later record, newest first."""
        return views.started_after(self._fold, seq)

    def holds(self) -> list[dict[str, Any]]:
        """List the tasks that wait for a disposition, oldest first."""
        return views.holds(self._fold)

    def registry(
        self, entry_type: RegistryType, known_at_seq: int | None = None, at_utc_ns: int | None = None,
        entry_id: str | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """List the entries of a type as known at a seq (default: now).

        Args:
            entry_type: person, equipment, material, method or environment.
            known_at_seq: leaves out what became known later.
            at_utc_ns: takes the version that is valid then; default: the last that became known.
            entry_id: lists this entry alone.
        """
        return views.registry(self._fold, entry_type, known_at_seq, at_utc_ns, entry_id)

    def instrument_states(self) -> dict[str, dict[str, Any]]:
        """Show service state, identity and last check of every instrument that was heard of."""
        return views.instrument_states(self._fold)

    def badge_owner(self, badge: str, t_utc_ns: int) -> str | None:
        """Tell whose badge this is at an instant; None for one that belongs to nobody then."""
        return self._fold.registry.person_of_badge(badge, t_utc_ns)

    def service_state(self, instrument: str) -> str:
        """Tell the service state of an instrument; one that was never set is in use."""
        known = self._fold.state.instruments.get(instrument)
        return "in-use" if known is None else known.service

    def corrections(self, instrument: str, t_utc_ns: int) -> Plan | None:
        """Give the corrections in force for an instrument's readings of an instant; None: there are none."""
        return self._corrections.of(self._fold.registry, instrument, t_utc_ns)

    def element_status(self) -> dict[str, dict[str, Any]]:
        """Show the worst status of each element over running and held tasks, with the reasons."""
        return views.element_status(self._fold)
