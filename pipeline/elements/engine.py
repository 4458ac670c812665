"""The fold: journal records in, drafts of results, verdicts and events out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.elements.air import latest, note
from pipeline.elements.answers import remember
from pipeline.elements.apply import apply_action, apply_review, observe_state, read_action
from pipeline.elements.checks.finding import SECOND_NS
from pipeline.elements.codec import MalformedBody, from_body
from pipeline.elements.detectors.rows import observe_prints
from pipeline.elements.hand.part import put_result_seq, revise_results, take_entry
from pipeline.elements.judge import judge, note_check
from pipeline.elements.lookback.state import let_go
from pipeline.elements.mentions import Mentions
from pipeline.elements.observe import observe_batch, observe_flags, observe_gap
from pipeline.elements.parts import PARTS, View
from pipeline.elements.registry import Registry
from pipeline.elements.rows import ROWS_MAX, Waiting, join
from pipeline.elements.saving import Capture, PackedTasks, is_harmless, load, save
from pipeline.elements.settings import ElementsSettings
from pipeline.elements.shapes import Draft, Result, Verdict
from pipeline.elements.state import Observed, State, TaskState
from pipeline.records.block import Gap
from pipeline.records.events import event_body
from pipeline.records.frame import decode_flags, decode_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.records.envelope import Record
    from pipeline.records.frame import Frame

VERSION = 4
"""Version of the fold, for `By` and for the names of snapshots."""
_PATIENT = frozenset(
    {"flags", "gap", "event", "checkpoint", "cosignature", "command", "reply", "key", "witness-key"}
)
"""Kinds that change nothing that rows are judged by: frames go on waiting for the next tick or command."""
_OFF = frozenset({"maintenance", "fault", "out-of-service"})
"""Service states in which an instrument may be off or cold: it has to warm up afterwards."""
_OUT_OF_WORK = frozenset({"calibration", "maintenance", "fault", "out-of-service"})


class Fold:
    """State of the elements as a fold over the records of one journal, in seq order.

    Pure: no clock, no input or output; equal records give equal drafts. A record is taken once: one whose seq
    is not above the last is ignored. Thread-safe: no.
    """

    def __init__(self, settings: ElementsSettings) -> None:
        self.settings = settings
        self.state = State()
        self.registry = Registry()
        self._bound: dict[str, list[TaskState]] = {}
        self._mentions = Mentions()
        self._packed = PackedTasks()
        self._capture: Capture | None = None
        """A snapshot that is being made: whoever changes what it has not taken yet loses it."""
        self._waiting: dict[str, list[Waiting]] = {}
        """Frames since the last record that is not `data`, at most `ROWS_MAX` rows of an instrument."""
        self._handlers: dict[str, Callable[[Record], list[Draft]]] = {
            "tick": self._tick,
            "entry": self._entry,
            "registry": self._registry,
            "task": self._task,
            "flags": self._flags,
            "gap": self._gap,
            "event": self._event,
            "config": self._config,
            "result": self._result,
            "verdict": self._verdict,
            "review": self._review,
        }

    def consume(self, record: Record) -> list[Draft]:
        """Take one record in and give the drafts that follow from it, to be appended at once and in order."""
        state = self.state
        if record.seq <= state.last_seq:
            return []
        if not is_harmless(record):
            self._lose_capture()
        state.last_seq = record.seq
        if record.kind == "data":
            # The one hot path: a frame that neither a task nor an environment asks for costs two look-ups.
            name = record.body.get("instrument", "")
            wanted = name in self._bound or self.registry.air_of(name)
            return self._guarded(record, self._data) if wanted else []
        handler = self._handlers.get(record.kind)
        if not state.journal:
            state.journal = record.journal.hex()
        drafts = [] if record.kind in _PATIENT else self._guarded(record, self._catch_up)
        drafts += [] if handler is None else self._guarded(record, handler)
        drafts += self._guarded(record, self._remember)
        view = View(state, self.registry, self.settings)
        for part in PARTS:
            drafts += self._guarded(record, part, view)
        if drafts:
            self._lose_capture()  # whoever derives something remembers that it did
        return drafts

    def _remember(self, record: Record) -> list[Draft]:
        remember(self.state, self.settings, record)
        return []

    def _guarded(
        self, record: Record, handler: Callable[..., list[Draft]], *more: object
    ) -> list[Draft]:  # fmt: skip
        try:
            return handler(record, *more)
        except (MalformedBody, AttributeError, KeyError, TypeError, ValueError) as error:
            # A record that cannot be read must stop neither acquisition nor the judging of the others.
            told = event_body(
                "record-not-understood", of_kind=record.kind, of_seq=record.seq, error=str(error)
            )
            return [Draft("event", told)]

    def _tick(self, record: Record) -> list[Draft]:
        drafts = []
        settle_ns = round(self.settings.settle * SECOND_NS)
        touched = self.state.touched
        for task_id in touched:
            self._packed.forget(task_id)
        for task in list(self.state.tasks.values()):
            if task.end_run_ns is not None and record.t_run_ns >= task.end_run_ns + settle_ns:
                task.settled = True
            if task.id in touched:
                touched.remove(task.id)  # one by one: what still waits to be judged stays in memory
                drafts += self._judge(task, record, "tick")
            elif not task.measured:
                drafts += self._judge(task, record, "tick")
        self.state.touched = [task_id for task_id in touched if task_id in self.state.tasks]
        return drafts

    def _judge(self, task: TaskState, record: Record, cause: str) -> list[Draft]:
        self._packed.forget(task.id)
        drafts = judge(task, self.state, self.registry, self.settings, record.t_run_ns, (cause, record.seq))
        if task.settled:
            self._unbind(task)
        if task.final:
            self._retire()
        return drafts

    def _retire(self) -> None:
        """Let the oldest finished tasks go that nothing holds; they are in the store."""
        tasks, kept = self.state.tasks.values(), self.settings.retained_tasks
        finished = [task.id for task in tasks if task.final and not task.held]
        for task_id in finished[: max(0, len(finished) - kept)]:
            task = self.state.tasks.pop(task_id)
            self._mentions.drop(task)
            self._packed.forget(task_id)
            let_go(self.state.lookbacks, task)

    def _registry(self, record: Record) -> list[Draft]:
        added = self.registry.add(record.seq, record.body)
        touched = self._mentions.of(added)
        if added.type == "correction":
            for name in sorted(self.registry.instruments_of(str(added.data["equipment"]))):
                touched += self._mentions.reading(name)
        for task in touched:
            self.state.touch(task)
        return []

    def _task(self, record: Record) -> list[Draft]:
        action = read_action(record)
        task = apply_action(self.state, self.registry, record, action)
        if task is None:
            return []
        self._packed.forget(task.id)
        self._bind(task)
        # Whoever starts or ends a task sees at once how it stands; a link changes no fact.
        return [] if action.action == "link" else self._judge(task, record, action.action)

    def _entry(self, record: Record) -> list[Draft]:
        task = take_entry(self.state, record)
        if task is None:
            return []
        return revise_results(task, self.registry) + self._judge(task, record, "entry")

    def _data(self, record: Record) -> list[Draft]:
        frame = decode_frame(record.body)
        name = frame.block.instrument
        self._note_air(frame, record.seq)
        if len(frame.block) and name in self._bound:
            waiting = self._waiting.setdefault(name, [])
            waiting.append(Waiting(frame, record.seq, record.source))
            if sum(len(one.frame.block) for one in waiting) >= ROWS_MAX:
                self._observe(name)
        last_ns = int(frame.block.t_run_ns[-1]) if len(frame.block) else -1
        for task in list(self._bound.get(name, ())):
            self._note_progress(task, name, last_ns)
        return []

    def _observe(self, instrument: str) -> None:
        """Take the frames of an instrument in that came since the last record that is not `data`.

        Together they cost a fraction of what they cost one by one; no record but `data` came in between, so
        nothing that a row is judged by has changed.
        """
        waiting = self._waiting.pop(instrument, [])
        if waiting:
            self._lose_capture()
        for batch in join(waiting):
            for task in self._bound.get(instrument, ()):
                observe_batch(task, batch)
                observe_prints(self.state.detectors, task, batch, self.settings.detectors)

    def _catch_up(self, _record: Record) -> list[Draft]:
        for instrument in list(self._waiting):
            self._observe(instrument)
        return []

    def _note_air(self, frame: Frame, seq: int) -> None:
        for target, limits in self.registry.air_of(frame.block.instrument).items():
            reading = latest(frame, target.partition(".")[2], target, seq)
            if reading is not None:
                note(self.state.air, reading, limits)

    def _note_progress(self, task: TaskState, instrument: str, last_run_ns: int) -> None:
        """Settle a task once each of its instruments has delivered a row from after its end."""
        if task.end_run_ns is None or last_run_ns < task.end_run_ns:
            return
        self._lose_capture()
        if instrument not in task.passed:
            task.passed.append(instrument)
        if {facts.instrument for facts in task.channels} <= set(task.passed):
            task.settled = True

    def _flags(self, record: Record) -> list[Draft]:
        instrument = self.state.instrument(record.body["instrument"])
        rule = record.body["rule"]
        instrument.decided[rule] = max(record.body["decided"], instrument.decided.get(rule, -1))
        if record.body["n"]:
            flags = decode_flags(record.body)
            self._observe(flags.instrument)
            for task in self._mentions.reading(flags.instrument):
                self._packed.forget(task.id)
                if observe_flags(task, flags, record.seq):
                    self.state.touch(task)
        return []

    def _gap(self, record: Record) -> list[Draft]:
        gap = from_body(Gap, record.body)
        if gap.cause == "shed":
            return []  # its rows were seen and judged before they were given up
        for task in self._mentions.reading(gap.instrument):
            self._packed.forget(task.id)
            if observe_gap(task, gap, record.seq):
                self.state.touch(task)
        return []

    def _event(self, record: Record) -> list[Draft]:
        name, args = record.body.get("instrument"), record.body.get("args") or {}
        if name is not None and record.body.get("code") == "instrument-back":
            self.state.instrument(name).on_since_run_ns = record.t_run_ns
        if name is None or record.body.get("code") not in {"identity", "service-state"}:
            return []
        if record.body["code"] == "identity":
            observed = Observed(str(args["serial"]), record.seq, record.t_run_ns)
            instrument = self.state.instrument(name)
            instrument.identity = observed
            if instrument.on_since_run_ns is None:
                instrument.on_since_run_ns = record.t_run_ns
        else:
            observed = Observed(str(args["state"]), record.seq, record.t_run_ns)
            self._change_service(name, observed, str(args.get("reason", "")))
        for task in self.state.tasks.values():
            open_for = task.end_run_ns is None or record.t_run_ns < task.end_run_ns
            if open_for and name in task.start.instruments:
                seen = task.identities if record.body["code"] == "identity" else task.services
                observe_state(seen, name, observed)
        return []

    def _change_service(self, name: str, observed: Observed, reason: str) -> None:
        instrument = self.state.instrument(name)
        if instrument.service in _OUT_OF_WORK and observed.value not in _OUT_OF_WORK:
            instrument.return_check_due = True
        if observed.value == "warm-up" or (instrument.service in _OFF and observed.value not in _OFF):
            instrument.on_since_run_ns = observed.t_run_ns
        instrument.service, instrument.service_seq = observed.value, observed.seq
        instrument.service_run_ns, instrument.service_reason = observed.t_run_ns, reason

    def _config(self, record: Record) -> list[Draft]:
        self.state.purpose = str((record.body.get("site") or {}).get("purpose") or self.state.purpose)
        # Rules may have gone with the old configuration: those that remain will tell of themselves.
        for instrument in self.state.instruments.values():
            instrument.decided.clear()
        return []

    def _result(self, record: Record) -> list[Draft]:
        result = from_body(Result, record.body)
        self._packed.forget(result.task)
        task = self.state.tasks.get(result.task)
        if task is not None:
            put_result_seq(task.result_seqs, record.seq, result.supersedes)
        return []

    def _verdict(self, record: Record) -> list[Draft]:
        verdict = from_body(Verdict, record.body)
        self._packed.forget(verdict.task)
        task = self.state.tasks.get(verdict.task)
        if task is not None:
            task.verdicts[verdict.element].seq = record.seq
            if verdict.element == "measurement":
                note_check(task, self.state, record.seq)
        return []

    def _review(self, record: Record) -> list[Draft]:
        apply_review(self.state, record)
        self._packed.forget(record.body["task"])
        return []

    def _bind(self, task: TaskState) -> None:
        self._mentions.add(task)
        for name in {facts.instrument for facts in task.channels}:
            bound = self._bound.setdefault(name, [])
            if not task.settled and not any(known is task for known in bound):
                bound.append(task)
        self._bound = {name: bound for name, bound in self._bound.items() if bound}

    def _unbind(self, task: TaskState) -> None:
        self._bound = {
            name: rest
            for name, bound in self._bound.items()
            if (rest := [known for known in bound if known is not task])
        }

    def snapshot(self) -> bytes:
        """Encode the whole state at once; what is finished was encoded before."""
        for instrument in list(self._waiting):
            self._observe(instrument)
        return save(VERSION, self.state, self.registry, self._packed)

    def capture(self) -> Capture:
        """Begin a snapshot of the state as it is now, to be made between other work."""
        for instrument in list(self._waiting):
            self._observe(instrument)
        self._lose_capture()
        self._capture = Capture(VERSION, self.state, self.registry, self._packed)
        return self._capture

    def _lose_capture(self) -> None:
        if self._capture is not None:
            self._capture.lose()
            self._capture = None

    def restore(self, snapshot: bytes) -> None:
        """Take the state of a snapshot in place of this one.

        Raises:
            MalformedBody: the bytes are no snapshot of this version; replay the records instead.
        """
        self._lose_capture()
        self.state, self.registry, self._packed = load(VERSION, snapshot)
        self._bound, self._waiting, self._mentions = {}, {}, Mentions()
        for task in self.state.tasks.values():
            self._bind(task)
