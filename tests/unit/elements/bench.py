"""A laboratory on paper: a journal without a disk, a clock that moves when told, and one weighing room."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.elements import Actor, Draft, Elements, ElementsSettings, Planned
from pipeline.elements.codec import to_body
from pipeline.elements.quality_views import quality_view
from pipeline.elements.registry_shapes import (
    Authorisation,
    CertifiedValue,
    ChannelQualification,
    Environment,
    EnvironmentChannel,
    Equipment,
    Grant,
    Material,
    Method,
    Metrology,
    Person,
    Requirement,
    ResultSpec,
)
from pipeline.elements.vocabulary import SIGNATORY
from pipeline.records.block import Block, Channel, Layout
from pipeline.records.clock import ClockState
from pipeline.records.envelope import By, Record, Source, decode, encode
from pipeline.records.events import event_body
from pipeline.records.frame import FlagSet, Frame, encode_flags, encode_frame

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
UTC0 = 1_780_000_000 * SECOND
RUN0 = 5_000 * SECOND
JOURNAL = bytes(range(16))

ANALYST, SECOND_ANALYST, SIGNER, STRANGER = "p-1", "p-2", "p-3", "p-4"


def actor(person: str = ANALYST, how: str = "password", key: str = "k") -> Actor:
    return Actor(person, "analyst", how, "bench", "", "", UTC0, key)  # type: ignore[arg-type]


def metrology(**changes: Any) -> Metrology:
    facts: dict[str, Any] = {
        "kind": "calibration", "certificate": "C-1", "confirmed_by": SIGNER, "due_ns": UTC0 + 100 * DAY,
        "channels": (ChannelQualification("weight", "g", -0.1, 220.0, 0.0003, 2.0),),
    }  # fmt: skip
    return Metrology(**{**facts, **changes})


def leave(**changes: Any) -> Authorisation:
    facts: dict[str, Any] = {"methods": ("*",), "instruments": ("*",), "valid_from_ns": UTC0 - DAY}
    return Authorisation(**{**facts, **changes})


def weighing(**changes: Any) -> Method:
    facts: dict[str, Any] = {
        "code": "WI-12", "edition": "2025",
        "required_elements": ("people", "equipment", "material", "method", "environment", "measurement"),
        "requirements": (Requirement("operator"), Requirement("measurand", "weight")),
        "measurands": ("weight",), "min_load": 1.0, "weight_tolerance": 0.001, "check_max_age_s": 3600.0,
        "results": (
            ResultSpec("net_mass", "net-weight", "weight"),
            ResultSpec("deviation", "check-weight", "weight", ("qc",)),
        ),
    }  # fmt: skip
    return Method(**{**facts, **changes})


def room(**changes: Any) -> Environment:
    facts: dict[str, Any] = {
        "quantity": "temperature",
        "target": "th-1.temperature",
        "low": 18.0,
        "high": 26.0,
    }
    return Environment("room", (EnvironmentChannel(**{**facts, "staleness_s": 10.0, **changes}),))


def fridge() -> Environment:
    return Environment("fridge", (EnvironmentChannel("temperature", "th-2.temperature", 2.0, 8.0, 10.0),))


def sample(**changes: Any) -> Material:
    facts: dict[str, Any] = {"received_at_ns": UTC0 - HOUR, "hold_limit_s": 7200.0, "storage": "fridge"}
    return Material(**{"kind": "sample", **facts, **changes})


def check_weight(**changes: Any) -> Material:
    facts: dict[str, Any] = {
        "kind": "check-weight", "expiry_ns": UTC0 + 100 * DAY,
        "certified": (CertifiedValue("mass", 100.0, "g", 0.0001, 2.0),),
    }  # fmt: skip
    return Material(**{**facts, **changes})


def sensor(instrument: str, **changes: Any) -> Equipment:
    facts: dict[str, Any] = {"exclusive": False, "metrology": metrology(channels=())}
    return Equipment(**{"instrument": instrument, **facts, **changes})


def balance(**changes: Any) -> Equipment:
    facts: dict[str, Any] = {
        "instrument": "bal-1", "serial": "SN-1", "channels": ("weight",), "room": "room",
        "metrology": metrology(),
    }  # fmt: skip
    return Equipment(**{**facts, **changes})


def registry() -> dict[tuple[str, str], Any]:
    signer = Person(badge="B-3", authorisations=(leave(),), roles=(Grant(SIGNATORY, UTC0 - DAY),))
    return {
        ("person", ANALYST): Person(badge="B-1", authorisations=(leave(),)),
        ("person", SECOND_ANALYST): Person(badge="B-2", authorisations=(leave(),)),
        ("person", SIGNER): signer,
        ("person", STRANGER): Person(badge="B-4"),
        ("environment", "room"): room(),
        ("environment", "fridge"): fridge(),
        ("equipment", "EQ-1"): balance(),
        ("equipment", "EQ-2"): sensor("th-1"),
        ("equipment", "EQ-3"): sensor("th-2"),
        ("material", "S-1"): sample(),
        ("material", "CW-1"): check_weight(),
        ("method", "weighing"): weighing(),
    }


TEMPERATURE = Layout((Channel("temperature", unit="°C", decimals=1),))
WEIGHT = Layout((Channel("weight", unit="g", decimals=4), Channel("stable", "i8")))


class BenchClock:
    """The clock of a bench."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench

    def utc_ns(self) -> int:
        return UTC0 + self._bench.now

    def run_ns(self) -> int:
        return RUN0 + self._bench.now


@dataclass
class Bench:
    """Feeds records to the elements and appends what they draft, as the daemon does."""

    settings: ElementsSettings = field(default_factory=ElementsSettings)
    records: list[Record] = field(default_factory=list)
    now: int = 0
    """Seconds·10⁹ since the beginning, of both clocks."""
    ordinals: dict[str, int] = field(default_factory=dict)
    keys: int = 0
    epoch: int = 0
    source: Source = "live"
    nonsense: bool = False
    """Records that cannot be understood are meant."""

    def __post_init__(self) -> None:
        self.elements = Elements(self.settings)

    def append(self, kind: str, body: Mapping[str, Any], by: By | None = None) -> list[Record]:
        """Append a record, then what follows from it in the order of the recorder: cause by cause."""
        made: list[Record] = []
        owed: deque[tuple[str, Mapping[str, Any], By | None]] = deque([(kind, body, by)])
        while owed:
            record = self.make(*owed.popleft())
            self.records.append(record)
            made.append(record)
            # A mistake of ours must not pass for a strange record.
            assert self.nonsense or record.body.get("code") != "record-not-understood", record.body
            for index, draft in enumerate(self.elements.consume(record)):
                owed.append((draft.kind, draft.body, By("elements", 1, record.seq, index)))
        return made

    def make(self, kind: str, body: Mapping[str, Any], by: By | None = None) -> Record:
        encoded = encode(
            kind=kind, source=self.source, journal=JOURNAL, epoch=self.epoch, boot=1, seq=len(self.records),
            t_utc_ns=UTC0 + self.now, t_run_ns=RUN0 + self.now,
            clock=ClockState(synchronised=True, error_ns=0),
            by=by, body=dict(body),
        )  # fmt: skip
        return decode(encoded.data)

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def tick(self, seconds: float = 1.0) -> None:
        self.advance(seconds)
        self.append("tick", {})

    def enrol(self, entries: Mapping[tuple[str, str], Any] | None = None, **span: Any) -> None:
        for (kind, entry_id), data in (registry() if entries is None else entries).items():
            body = {
                "type": kind, "id": entry_id, "valid_from_ns": span.get("from_ns", UTC0 - 1000 * DAY),
                "valid_to_ns": span.get("to_ns"), "recorded_at_ns": UTC0 + self.now, "data": to_body(data),
                "actor": {},
            }  # fmt: skip
            self.append("registry", body)

    def identify(self, instrument: str = "bal-1", serial: str = "SN-1") -> None:
        self.append(
            "event", event_body("identity", instrument=instrument, vendor="V", model="M", serial=serial)
        )

    def frame(
        self, instrument: str, layout: Layout, rows: Iterable[tuple[float, ...]],
        flag: int = 1, status: int = 0,
        step_s: float = 0.1,
        correction: str | None = None, lag_s: float = 0.0,
    ) -> int:  # fmt: skip
        """Append rows that end now, or `lag_s` ago; columns of kind i8 come after those of kind f8.

        They carry the correction in force; with `correction` the first channel carries that one: "" for none.
        """
        table = list(rows)
        n, channels = len(table), len(layout.channels)
        first = self.ordinals.get(instrument, 0)
        self.ordinals[instrument] = first + n
        back = np.arange(n - 1, -1, -1, dtype=np.int64) * round(step_s * SECOND) + round(lag_s * SECOND)
        columns = np.array(table, dtype=np.float64).T.reshape(channels, n)
        reals = layout.counts["f8"]
        run = RUN0 + self.now - back
        block = Block(
            instrument, layout, UTC0 + self.now - back, run, run, run,
            np.full((channels, n), status, np.uint8),
            np.ascontiguousarray(columns[:reals]) if status == 0 else np.full((reals, n), np.nan),
            columns[reals:].astype(np.int64), np.empty((0, n), np.uint64),
        )  # fmt: skip
        flags = np.full((channels, n), flag, np.uint8)
        none = np.zeros((channels, n), np.int64)
        name = layout.channels[0].name
        plan = self.elements.corrections(instrument, int(block.t_utc_ns[0])) if n else None
        corrected, uncorrected = ({}, {}) if plan is None or correction is not None else plan.apply(block)
        if correction:
            corrected = {name: (correction, block.f8[0] + 0.001)}
        frame = Frame(block, first, flags, none, none, corrected=corrected, uncorrected=uncorrected)
        return self.append("data", encode_frame(frame))[0].seq

    def temperature(self, value: float = 21.0, instrument: str = "th-1", **facts: Any) -> int:
        return self.frame(instrument, TEMPERATURE, [(value,)], **facts)

    def weight(self, *values: float, stable: int = 1, **facts: Any) -> int:
        return self.frame("bal-1", WEIGHT, [(value, stable) for value in values], **facts)

    def air(self, seconds: int, value: float = 21.0, cold: float = 4.0) -> None:
        """Let time pass with a reading of room and refrigerator each second."""
        for _ in range(seconds):
            self.advance(1)
            self.temperature(value)
            self.temperature(cold, "th-2")
            self.append("tick", {})

    def decide(self, instrument: str, rule: str = "spike", **rows: list[Any]) -> int:
        body = encode_flags(
            FlagSet(
                instrument, rule, self.ordinals.get(instrument, 0) - 1,
                np.array(rows.get("n", []), np.int64), tuple(rows.get("channel", [])),
                np.array(rows.get("flag", []), np.uint8), np.zeros(len(rows.get("n", [])), np.int64),
            )
        )  # fmt: skip
        return self.append("flags", body)[0].seq

    def plan(self, command: str, who: Actor | None = None, **args: Any) -> Planned:
        return self.elements.plan(command, args, who or self.someone(), UTC0 + self.now, RUN0 + self.now)

    def someone(self, person: str = ANALYST, how: str = "password") -> Actor:
        self.keys += 1
        return actor(person, how, f"key-{self.keys}")

    def do(self, command: str, who: Actor | None = None, **args: Any) -> dict[str, Any]:
        planned = self.plan(command, who, **args)
        for draft in planned.drafts:
            self.append(draft.kind, draft.body)
        return planned.result

    def start(self, **args: Any) -> str:
        facts: dict[str, Any] = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}
        return str(self.do("task.start", **{**facts, **args})["task"])

    def finish(self, task: str) -> None:
        """Stop a task and wait until its rows can no longer arrive."""
        self.advance(0.001)
        self.do("task.stop", task=task)
        self.air(6)

    def check_passes(self, *values: float) -> str:
        """Run a check with the weight; by default it passes."""
        task = self.start(purpose="qc", sample=None, reference="CW-1")
        self.air(1)
        for value in values or (100.0002, 100.0004):
            self.weight(value)
        self.finish(task)
        return task

    def weigh(self, *values: float, **args: Any) -> str:
        """Run a whole test: an empty pan, then the loads."""
        task = self.start(**args)
        self.air(1)
        for value in values or (0.0, 50.0):
            self.weight(value)
            self.air(1)
        self.finish(task)
        return task

    def shown(self, name: str, argument: str | None = None) -> Any:
        """Answer a view of the door, as of now. Raises KeyError: there is none."""
        clock: Any = BenchClock(self)
        return quality_view(self.elements.fold, clock, name, argument)

    def view(self, task: str) -> dict[str, Any]:
        shown = self.elements.task(task)
        assert shown is not None
        return shown

    def verdict(self, task: str, element: str) -> dict[str, Any]:
        return next(verdict for verdict in self.view(task)["verdicts"] if verdict["element"] == element)

    def codes(self, task: str, element: str) -> set[str]:
        return {reason["code"] for reason in self.verdict(task, element)["reasons"]}

    def of_kind(self, kind: str) -> list[Record]:
        return [record for record in self.records if record.kind == kind]


def opened(entries: Mapping[tuple[str, str], Any] | None = None, **settings: Any) -> Bench:
    """Give a bench with its registry, some entries changed, and an instrument that has told its serial."""
    bench = Bench(ElementsSettings(**settings))
    bench.append("config", {})
    bench.enrol({**registry(), **(entries or {})})
    bench.identify()
    return bench


def drafts_of(records: Iterable[Record], elements: Elements) -> list[Draft]:
    return [draft for record in records for draft in elements.consume(record)]
