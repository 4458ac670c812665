"""The table of checks: material and method."""

import dataclasses
from typing import Any

from pipeline.elements.registry_shapes import (
    Custody,
    Environment,
    EnvironmentChannel,
    Fingerprint,
    Requirement,
    Step,
)
from tests.unit.elements.bench import SECOND, UTC0, Bench, balance, check_weight, sample, weighing
from tests.unit.elements.stories import (
    CLEAN,
    Entries,
    Row,
    Script,
    Story,
    altered,
    checked,
    loaded,
    material,
    meth,
    ran,
    tested,
    weighed,
)
from tests.unit.elements.table_people_equipment import END, IS_MISSING, NO_LIMIT

BY_MARKS = "it is a matter of order, which every mark tells"


def kept(**changes: Any) -> Entries:
    return {("material", "S-1"): sample(**changes)}


def stored(limit_h: float, **changes: Any) -> Entries:
    """A sample that was received with the beginning of the day, into the refrigerator."""
    channel = EnvironmentChannel("temperature", "th-2.temperature", 2.0, 8.0, 10.0)
    return {
        ("material", "S-1"): sample(received_at_ns=UTC0, exposure_max_h=limit_h, **changes),
        ("environment", "fridge"): Environment("fridge", (channel,)),
    }


def warmed(excess: float, seconds: int, after_s: float = 1.0) -> Script:
    """The refrigerator is too warm for so many seconds, then a test."""

    def script(bench: Bench) -> str:
        bench.advance(after_s - 1)
        bench.air(1)
        bench.air(seconds, cold=8.0 + excess)
        bench.air(1)
        return ran()(bench)

    return script


def chain(*links: tuple[float, str]) -> Entries:
    custody = tuple(Custody(UTC0 - round(age_s * SECOND), person, "desk") for age_s, person in links)
    return {
        ("material", "S-1"): sample(custody=custody),
        ("method", "weighing"): weighing(custody_required=True),
    }


def twice(instrument: str) -> Script:
    """The same sample is in a second task meanwhile."""

    def script(bench: Bench) -> str:
        bench.start(instrument=instrument)
        task = bench.start(operator="p-2")
        bench.air(2)
        bench.finish(task)
        return task

    return script


SECOND_BALANCE = {
    ("equipment", "EQ-1"): balance(exclusive=False),
    ("equipment", "EQ-9"): balance(instrument="bal-9", serial="SN-9"),
}


def marked(tolerance: float, quantity: str = "net_mass", **method: Any) -> Entries:
    prints = (Fingerprint(quantity, 50.0, tolerance),)
    return {("material", "S-1"): sample(fingerprints=prints), ("method", "weighing"): weighing(**method)}


def opened(life_s: float | None) -> Entries:
    reagent = dataclasses.replace(check_weight(), kind="reagent", opened_at_ns=UTC0, open_life_s=life_s)
    return material("CW-1", reagent)


MATERIAL: dict[str, Row] = {
    "sample-missing": Row(
        CLEAN, Story(altered(lambda body: body.update(sample=None))), NO_LIMIT, IS_MISSING
    ),
    "material-unknown": Row(
        CLEAN, Story(altered(lambda body: body.update(sample="S-9"))), NO_LIMIT, IS_MISSING
    ),
    "hold-limit-missing": Row(CLEAN, Story(ran(), kept(hold_limit_s=None)), NO_LIMIT, IS_MISSING),
    "received-at-missing": Row(CLEAN, Story(ran(), kept(received_at_ns=None)), NO_LIMIT, IS_MISSING),
    "received-after-start": Row(
        CLEAN, Story(ran(), kept(received_at_ns=UTC0 + 1)), Story(ran(), kept(received_at_ns=UTC0)),
        Story(ran(), kept(received_at_ns=None), instead="received-at-missing"),
    ),
    "hold-time-exceeded": Row(
        CLEAN, Story(ran(), kept(hold_limit_s=3599.0)), Story(ran(), kept(hold_limit_s=3600.0)),
        Story(ran(), kept(hold_limit_s=None), instead="hold-limit-missing"),
    ),
    "reference-missing": Row(
        Story(checked(100.0)), Story(checked(100.0, reference=None)), NO_LIMIT, IS_MISSING
    ),
    "expiry-missing": Row(
        Story(checked(100.0)), Story(checked(100.0), material("CW-1", check_weight(expiry_ns=None))),
        NO_LIMIT, IS_MISSING,
    ),
    "material-expired": Row(
        Story(checked(100.0)),
        Story(ran(reagents=["CW-1"]), material("CW-1", check_weight(expiry_ns=END - 1))),
        Story(ran(reagents=["CW-1"]), material("CW-1", check_weight(expiry_ns=END)), fires=True),
        Story(checked(100.0), material("CW-1", check_weight(expiry_ns=None)), instead="expiry-missing"),
    ),
    "open-too-long": Row(
        Story(ran(reagents=["CW-1"]), opened(3600.0)), Story(ran(reagents=["CW-1"]), opened(2.9)),
        Story(ran(reagents=["CW-1"]), opened(3.0), fires=True),
        "a reagent whose time after opening is not limited has none",
    ),
    "storage-exposure": Row(
        Story(warmed(2.0, 3), stored(0.01)),
        Story(warmed(2.0, 3), stored(0.0016)),
        Story(warmed(2.0, 1), stored(2.0 / 3600)),
        Story(warmed(0.0, 1, 1000.0), stored(0.01), instead="storage-exposure-unknown"),
    ),
    "storage-exposure-unknown": Row(
        Story(warmed(0.0, 1), stored(0.01)), Story(warmed(0.0, 1, 12.0), stored(0.01)),
        Story(warmed(0.0, 1, 10.0), stored(0.01)), IS_MISSING,
    ),
    "custody-missing": Row(
        Story(tested, chain((60, "p-1"))), Story(tested, chain()), NO_LIMIT, IS_MISSING
    ),
    "custody-gap": Row(
        Story(tested, chain((3600, "p-2"), (60, "p-1"))), Story(tested, chain((60, "p-1"), (30, "p-2"))),
        Story(tested, chain((3600, "p-1"))), Story(tested, chain(), instead="custody-missing"),
    ),
    "sample-elsewhere": Row(
        Story(twice("bal-1"), SECOND_BALANCE), Story(twice("bal-9"), SECOND_BALANCE), NO_LIMIT,
        Story(altered(lambda body: body.update(sample=None)), instead="sample-missing"),
    ),
    "fingerprint-changed": Row(
        Story(loaded(0.0, 50.0), marked(0.001)), Story(loaded(0.0, 50.0012), marked(0.001)),
        Story(loaded(0.0, 50.001), marked(0.001)),
        Story(tested, marked(0.001, "volume", fingerprint_required=True), instead="fingerprint-missing"),
    ),
    "fingerprint-missing": Row(
        Story(tested, marked(0.001, fingerprint_required=True)),
        Story(tested, meth(fingerprint_required=True)), NO_LIMIT, IS_MISSING,
    ),
}  # fmt: skip

FILL = Step("fill", "weight", 49.0, 51.0, duration_min_s=3.0, duration_max_s=6.0, gap_max_s=2.0)
POUR = Step("pour", "weight", kind="ramp", rate_max_per_s=25.0, rate_min_per_s=10.0, rate_window_s=1.0)
REST = Step("rest", kind="mark", duration_min_s=2.0)
POURED = (0.0, 10.0, 30.0, 50.0, 50.0, 50.0, 50.0, 0.0)
"""A second apart: a ramp of 10, 20, 20 g/s and 50 g for three seconds."""


def one(step: Step = FILL, **changes: Any) -> Entries:
    return dict(meth(steps=(dataclasses.replace(step, **changes),)))


TWO = dict(meth(steps=(POUR, FILL)))
MARKED = dict(meth(steps=(REST, FILL)))
NO_CHANNEL = Story(weighed(*POURED), one(channel="volume"), instead="step-unwatched")


def running(*values: float) -> Script:
    def script(bench: Bench) -> str:
        task = bench.start()
        for value in values:
            bench.air(1)
            bench.weight(value)
        bench.air(3)
        return task

    return script


def humid(*seconds: int) -> Script:
    """The required channel of the step reads in these seconds only."""

    def script(bench: Bench) -> str:
        task = bench.start()
        for second in range(8):
            bench.advance(1)
            bench.weight(50.0 if second < 5 else 0.0)
            if second in seconds:
                bench.temperature()
        bench.finish(task)
        return task

    return script


def amended(bench: Bench) -> str:
    """The method is corrected backwards while the task runs."""
    task = bench.start()
    bench.air(1)
    bench.enrol(one())
    bench.finish(task)
    return task


METHOD: dict[str, Row] = {
    "method-unknown": Row(CLEAN, Story(altered(lambda body: body.update(method="?"))), NO_LIMIT, IS_MISSING),
    "edition-not-current": Row(
        CLEAN, Story(altered(lambda body: body.update(edition="1999"))), NO_LIMIT,
        Story(altered(lambda body: body.update(method="?")), instead="method-unknown"),
    ),
    "method-out-of-scope": Row(CLEAN, Story(ran(), meth(in_scope=False)), NO_LIMIT,
                               "scope that is not given is given: the table says so"),
    "role-not-bound": Row(
        CLEAN, Story(ran(), meth(requirements=(Requirement("reagent"),))), NO_LIMIT, IS_MISSING
    ),
    "channel-without-data": Row(CLEAN, Story(ran()), NO_LIMIT, IS_MISSING),
    "steps-changed": Row(CLEAN, Story(amended), NO_LIMIT, IS_MISSING),
    "step-pending": Row(Story(weighed(*POURED), one()), Story(running(50.0), one()), NO_LIMIT, IS_MISSING),
    "step-not-reached": Row(
        Story(weighed(*POURED), one()), Story(weighed(0.0, 48.9), one()),
        Story(weighed(0.0, 49.0, 49.0, 51.0, 51.0, 0.0), one()), NO_CHANNEL,
    ),
    "step-cycles-missing": Row(
        Story(weighed(*POURED, *POURED), meth(steps=(FILL,), step_cycles=2)),
        Story(weighed(*POURED), meth(steps=(FILL,), step_cycles=2)),
        Story(weighed(*POURED), meth(steps=(FILL,), step_cycles=1)), NO_CHANNEL,
    ),
    "step-not-marked": Row(
        Story(weighed(*POURED, marks={0: "rest", 3: "fill", 7: ""}), MARKED), Story(weighed(*POURED), MARKED),
        NO_LIMIT, IS_MISSING,
    ),
    "step-unwatched": Row(
        Story(weighed(*POURED), one()), Story(weighed(*POURED), one(channel="volume")), NO_LIMIT, IS_MISSING
    ),
    "step-out-of-order": Row(
        Story(weighed(*POURED, marks={0: "rest", 3: "fill", 7: ""}), MARKED),
        Story(weighed(*POURED, marks={0: "fill", 4: "rest"}), MARKED), BY_MARKS,
        Story(weighed(*POURED), MARKED, instead="step-not-marked"),
    ),
    "step-too-short": Row(
        Story(weighed(*POURED), one()), Story(weighed(0.0, 50.0, 50.0, 50.0, 0.0), one()),
        Story(weighed(0.0, 50.0, 50.0, 50.0, 50.0, 0.0), one()), NO_CHANNEL,
    ),
    "step-too-long": Row(
        Story(weighed(*POURED), one()), Story(weighed(*[50.0] * 8, 0.0), one()),
        Story(weighed(*[50.0] * 7, 0.0), one()), NO_CHANNEL,
    ),
    "step-paused": Row(
        Story(weighed(*POURED), one()), Story(weighed(*POURED, apart_s=3), one()),
        Story(weighed(*POURED, apart_s=2), one()), NO_CHANNEL,
    ),
    "step-interrupted": Row(
        Story(weighed(*POURED), one()), Story(weighed(50.0, 51.1, *[50.0] * 5), one()),
        Story(weighed(50.0, 51.0, *[50.0] * 5), one()), NO_CHANNEL,
    ),
    "step-too-fast": Row(
        Story(weighed(*POURED), TWO), Story(weighed(0.0, 10.0, 35.1, 50.0, 50.0), TWO),
        Story(weighed(0.0, 10.0, 35.0, 50.0, 50.0), TWO),
        Story(weighed(*POURED), meth(steps=(dataclasses.replace(POUR, channel="volume"), FILL)),
              instead="step-unwatched"),
    ),
    "step-too-slow": Row(
        Story(weighed(*POURED), TWO), Story(weighed(0.0, 10.0, 20.0, 30.0, 38.0, 46.0, 50.0), TWO),
        Story(weighed(0.0, 10.0, 20.0, 30.0, 40.0, 50.0), TWO),
        Story(weighed(*POURED), meth(steps=(dataclasses.replace(POUR, channel="volume"), FILL)),
              instead="step-unwatched"),
    ),
    "step-channel-silent": Row(
        Story(humid(0, 1, 2, 3, 4, 5), one(required=("temperature",))),
        Story(humid(0, 5), one(required=("temperature",))),
        Story(humid(0, 2, 4), one(required=("temperature",))), IS_MISSING,
    ),
}  # fmt: skip
