"""A small laboratory in the fake store: two instruments, a registry, one held task and one that runs."""

import numpy as np

from pipeline.elements.codec import to_body
from pipeline.elements.shapes import (
    Actor,
    Binding,
    Reason,
    Result,
    TaskHandover,
    TaskStart,
    TaskStop,
    Verdict,
)
from pipeline.elements.vocabulary import ELEMENTS, Element, Finality, VerdictStatus
from pipeline.records.events import event_body
from tests.unit.dashboard.fakes import NOW_NS, SECOND, FakeStore

HELD, RUNNING = "00010203-00001", "00010203-00002"
ACTOR = Actor("p-li", "", "badge", "scan (uid:1000)", "task.start", "", NOW_NS, "k-1")
RUN_NS = 5_000 * SECOND
LIMITS = {"fail_low": 10.0, "suspect_low": 18.0, "suspect_high": 26.0, "fail_high": 35.0}


def add_readings(store: FakeStore, now_ns: int = NOW_NS) -> None:
    """Ten minutes of a room sensor with a spike, a missing value and a gap, and a silent balance."""
    n = np.array([k for k in range(600) if not 300 <= k < 360])
    times = [int(now_ns - (600 - k) * SECOND) for k in n]
    values = 22.0 + 0.8 * np.sin(n / 60.0) + 0.05 * np.cos(n * 1.7)
    flags = np.ones(len(n), dtype=np.uint8)
    reasons = np.zeros(len(n), dtype=np.int64)
    values[100], flags[100], reasons[100] = 29.5, 3, 0b1010
    values[180], flags[180], reasons[180] = 36.4, 4, 0b10
    values[250], flags[250], reasons[250] = np.nan, 9, 0b1
    flags[430:433] = 2
    store.put("room-t", "temperature", times, values.tolist(), flags.tolist(), reasons.tolist(), "°C")
    store.put("room-t", "humidity", times, (48 + 3 * np.cos(n / 90.0)).tolist(), [1] * len(n), None, "%RH")
    old = [int(now_ns - (600 - k) * SECOND) for k in range(400)]
    store.put("balance", "weight", old, [100.0002] * 399 + [100.0004], [1] * 400, None, "g")


def add_config(store: FakeStore) -> None:
    """The site as configured, an applied configuration on top, gaps, events and a checkpoint."""
    channel = {"decimals": 2, "low": None, "high": None}
    instruments = [
        {
            "id": "balance",
            "driver": "mt-sics",
            "poll_interval_s": 1.0,
            "channels": [{"name": "weight", "unit": "g", "decimals": 4, "qc": {}}],
        },
        {
            "id": "room-t",
            "driver": "modbus",
            "poll_interval_s": 1.0,
            "channels": [
                {**channel, "name": "temperature", "unit": "°C", "qc": {"range": LIMITS}},
                {**channel, "name": "humidity", "unit": "%RH", "decimals": 1, "qc": {}},
            ],
        },
    ]
    site = {"title": "Food residue laboratory", "purpose": "rehearsal", "instruments": instruments}
    store.record(
        "config", {"action": "start", "sha256": "ab" * 32, "site": site}, t_utc_ns=NOW_NS - 700 * SECOND
    )
    store.record("config", {"action": "apply", "sha256": "ab" * 32}, t_utc_ns=NOW_NS - 600 * SECOND)
    _add_gap(store)
    _add_events(store)
    store.record(
        "checkpoint",
        {"note": "yaosu/lab-a/gw-1\n", "size": 4096, "root": "00"},
        t_utc_ns=NOW_NS - 4 * SECOND,
    )


def _add_gap(store: FakeStore) -> None:
    gap = {
        "instrument": "room-t",
        "from_run_ns": RUN_NS,
        "from_utc_ns": NOW_NS - 300 * SECOND,
        "cause": "disconnected",
    }
    for ended, to_ns, polls in ((False, NOW_NS - 290 * SECOND, 10), (True, NOW_NS - 241 * SECOND, 60)):
        store.record(
            "gap", {**gap, "to_utc_ns": to_ns, "polls": polls, "ended": ended}, key="room-t", t_utc_ns=to_ns
        )


def _add_events(store: FakeStore) -> None:
    for age_s, body in (
        (300, event_body("instrument-lost", instrument="room-t", error="no answer")),
        (241, event_body("instrument-back", instrument="room-t", seconds=59)),
        (200, event_body("device-message", instrument="balance", text="S S 100.0002 g")),
        (30, event_body("command-refused", command="hold.release", person="p-li", reason="own-task")),
    ):
        store.record("event", body, key=body["instrument"] or "", t_utc_ns=NOW_NS - age_s * SECOND)


def _registry(store: FakeStore, kind: str, entry_id: str, data: dict[str, object]) -> None:
    body = {
        "type": kind,
        "id": entry_id,
        "valid_from_ns": 0,
        "valid_to_ns": None,
        "recorded_at_ns": 1,
        "data": data,
        "actor": {},
    }
    store.record("registry", body, key=f"{kind}/{entry_id}", t_utc_ns=NOW_NS - 3600 * SECOND)


def add_registry(store: FakeStore) -> None:
    """Two persons with badges, a sample, a check weight, two methods."""
    leave = [{"methods": ["m-mass"], "instruments": ["*"], "valid_from_ns": 0, "valid_to_ns": None}]
    _registry(store, "person", "p-wang", {"badge": "B-100", "authorisations": leave})
    _registry(store, "person", "p-li", {"badge": "B-200", "authorisations": []})
    _registry(store, "material", "S-2026-017", {"kind": "sample"})
    _registry(store, "material", "W-100", {"kind": "check-weight"})
    _registry(store, "equipment", "A-0042", {"instrument": "balance", "channels": ["weight"]})
    results = [
        {"quantity": "net mass", "algorithm": "net-weight", "channel": "weight"},
        {"quantity": "deviation", "algorithm": "check-weight", "channel": "weight", "purposes": ["qc"]},
    ]
    _registry(
        store,
        "method",
        "m-mass",
        {"code": "GB 5009.3", "edition": "2016", "measurands": ["weight"], "results": results},
    )
    _registry(
        store, "method", "m-temp", {"code": "JJF 1101", "edition": "2019", "measurands": ["temperature"]}
    )


def _start(store: FakeStore, task: str, ago_s: int) -> None:
    start = TaskStart(
        task=task,
        purpose="test",
        method="m-mass",
        edition="2016",
        instruments=("balance",),
        sample="S-2026-017",
        item="moisture",
        actor=ACTOR,
        at_run_ns=RUN_NS,
        at_utc_ns=NOW_NS - ago_s * SECOND,
        bindings=(Binding("operator", "p-li", RUN_NS), Binding("measurand", "balance.weight", RUN_NS)),
    )
    store.record("task", to_body(start), key=task, t_utc_ns=NOW_NS - ago_s * SECOND)


def add_tasks(store: FakeStore) -> None:
    """One task that was held, with hand-over and result; one that runs."""
    _start(store, HELD, 500)
    store.record(
        "task",
        to_body(TaskHandover(HELD, "p-zhao", RUN_NS + 60 * SECOND, ACTOR)),
        key=HELD,
        t_utc_ns=NOW_NS - 440 * SECOND,
    )
    add_verdict(store, HELD, "equipment", "not_evaluated", "provisional", ago_s=430)
    stop = TaskStop(HELD, RUN_NS + 200 * SECOND, NOW_NS - 300 * SECOND, ACTOR)
    store.record("task", to_body(stop), key=HELD, t_utc_ns=NOW_NS - 300 * SECOND)
    result = Result(
        HELD,
        "net mass",
        99.9998,
        "g",
        4,
        0.0003,
        2.0,
        None,
        (12, 13),
        "net-weight",
        1,
    )
    store.record("result", to_body(result), key=HELD, t_utc_ns=NOW_NS - 290 * SECOND)
    for element in ELEMENTS:
        status: VerdictStatus = {"equipment": "hold", "people": "flag"}.get(element, "ok")  # type: ignore[assignment]  # literals
        add_verdict(store, HELD, element, status, "final", ago_s=280)
    _start(store, RUNNING, 120)
    add_verdict(store, RUNNING, "environment", "ok", "provisional", ago_s=60)


REASONS: dict[str, Reason] = {
    "hold": Reason(
        "calibration-overdue",
        "hold",
        "balance",
        {"certificate": "C-778", "instrument": "balance", "due_utc_ns": NOW_NS - 90 * 86400 * SECOND},
        (4, 9),
    ),
    "flag": Reason(
        "authorisation-expiring",
        "flag",
        "p-li",
        {
            "person": "p-li",
            "method": "m-mass",
            "instrument": "balance",
            "until_utc_ns": NOW_NS + 9 * 86400 * SECOND,
        },
        (3,),
    ),
    "not_evaluated": Reason("identity-unknown", "not_evaluated", "balance"),
}


def add_verdict(
    store: FakeStore, task: str, element: Element, status: VerdictStatus, finality: Finality, *, ago_s: int
) -> int:
    verdict = Verdict(
        task,
        element,
        status,
        finality,
        None,
        "tick",
        20,
        False,
        () if status == "ok" else (REASONS[status],),
        {"rows": 200},
    )
    return store.record("verdict", to_body(verdict), key=task, t_utc_ns=NOW_NS - ago_s * SECOND)


def make_store() -> FakeStore:
    store = FakeStore()
    add_config(store)
    add_registry(store)
    add_tasks(store)
    add_readings(store)
    return store
