"""The table of checks: environment and measurement."""

import dataclasses
from typing import Any

from pipeline.elements.registry_shapes import (
    CertifiedValue,
    DecisionRule,
    Environment,
    EnvironmentChannel,
    FormulaConstant,
    Redundant,
    ResultSpec,
)
from tests.unit.elements.bench import (
    UTC0,
    WEIGHT,
    Bench,
    balance,
    check_weight,
    room,
    weighing,
)
from tests.unit.elements.stories import (
    CLEAN,
    COARSE,
    POUNDS,
    TWO,
    Entries,
    Row,
    Script,
    Story,
    aired,
    altered,
    certified_for,
    checked,
    chilled,
    during,
    eq,
    first,
    formula,
    gap,
    loaded,
    material,
    meth,
    ran,
    read,
    rebind,
    replicated,
    tested,
)
from tests.unit.elements.table_people_equipment import IS_MISSING, NO_LIMIT

NO_AIR = Story(ran(), instead="environment-no-readings")
NO_COLD = Story(ran(), instead="storage-no-readings")
OF_QC = "the rules of QC have suites of their own for their limits"


def fridge(**changes: Any) -> Entries:
    channel = EnvironmentChannel("temperature", "th-2.temperature", 2.0, 8.0, 10.0)
    return {("environment", "fridge"): Environment("fridge", (dataclasses.replace(channel, **changes),))}


def rooms(**changes: Any) -> Entries:
    return {("environment", "room"): room(**changes)}


def grown(name: str) -> Script:
    """The registry learns in mid-task of a further channel that the place always had."""

    def script(bench: Bench) -> str:
        task = bench.start()
        bench.air(1)
        more = EnvironmentChannel("humidity", f"{name}.humidity", 0.0, 100.0)
        entry = "room" if name == "th-1" else "fridge"
        known = room() if name == "th-1" else next(iter(fridge().values()))
        assert isinstance(known, Environment)
        widened = dataclasses.replace(known, channels=(*known.channels, more))
        bench.enrol({("environment", entry): widened})
        bench.finish(task)
        return task

    return script


def late(role: str, target: str) -> Script:
    return during(
        lambda bench, task: bench.do(
            "task.bind", task=task, role=role, target=target, from_utc_ns=UTC0 + bench.now
        )
    )


def silent(seconds: float, instrument: str) -> Script:
    """So many seconds between two readings of a place."""

    def script(bench: Bench) -> str:
        task = bench.start()
        bench.air(1)
        bench.advance(seconds)
        bench.temperature(21.0, "th-1")
        bench.temperature(4.0, "th-2")
        bench.finish(task)
        return task

    return script


def failed(instrument: str, value: float) -> Script:
    return during(lambda bench, _task: bench.temperature(value, instrument, flag=4))


ENVIRONMENT: dict[str, Row] = {
    "environment-missing": Row(CLEAN, Story(ran(), eq(room=None)), NO_LIMIT, IS_MISSING),
    "environment-unknown": Row(CLEAN, Story(altered(rebind("environment", "attic"))), NO_LIMIT, IS_MISSING),
    "environment-unwatched": Row(CLEAN, Story(grown("th-1")), NO_LIMIT, IS_MISSING),
    "storage-unwatched": Row(CLEAN, Story(grown("th-2")), NO_LIMIT, IS_MISSING),
    "environment-limits-missing": Row(CLEAN, Story(tested, rooms(low=None, high=None)), NO_LIMIT, IS_MISSING),
    "storage-limits-missing": Row(CLEAN, Story(tested, fridge(low=None, high=None)), NO_LIMIT, IS_MISSING),
    "environment-excursion": Row(CLEAN, Story(aired(21.0, 26.1)), Story(aired(18.0, 26.0)), NO_AIR),
    "storage-excursion": Row(CLEAN, Story(chilled(1.9)), Story(chilled(2.0, 8.0)), NO_COLD),
    "environment-excursion-unsure": Row(
        CLEAN, Story(failed("th-1", 26.1)), Story(failed("th-1", 26.0)), NO_AIR
    ),
    "storage-excursion-unsure": Row(CLEAN, Story(failed("th-2", 8.1)), Story(failed("th-2", 8.0)), NO_COLD),
    "environment-readings-failed": Row(CLEAN, Story(failed("th-1", 21.0)), OF_QC, NO_AIR),
    "storage-readings-failed": Row(CLEAN, Story(failed("th-2", 4.0)), OF_QC, NO_COLD),
    "environment-bound-late": Row(CLEAN, Story(late("environment", "fridge")), NO_LIMIT, IS_MISSING),
    "storage-bound-late": Row(CLEAN, Story(late("storage", "room")), NO_LIMIT, IS_MISSING),
    "environment-no-readings": Row(CLEAN, Story(ran()), NO_LIMIT, IS_MISSING),
    "storage-no-readings": Row(CLEAN, Story(ran()), NO_LIMIT, IS_MISSING),
    "environment-stale": Row(CLEAN, Story(silent(10.1, "th-1")), Story(silent(10.0, "th-1")), NO_AIR),
    "storage-stale": Row(CLEAN, Story(silent(10.1, "th-2")), Story(silent(10.0, "th-2")), NO_COLD),
    "environment-outside-at-start": Row(
        CLEAN, Story(aired(21.0, before=26.1)), Story(aired(21.0, before=26.0)),
        "without a reading before the start nothing is known of it; silence afterwards has its own reason",
    ),
    "environment-excursion-brief": Row(
        Story(aired(26.1, 26.1, 26.1, 21.0), rooms(grace_s=2.0)),
        Story(aired(26.1, 26.1, 21.0), rooms(grace_s=3.0)),
        Story(aired(26.1, 26.1, 21.0), rooms(grace_s=2.0), fires=True), NO_AIR,
    ),
    "storage-excursion-brief": Row(
        Story(chilled(8.1, 8.1, 8.1), fridge(grace_s=2.0)), Story(chilled(8.1, 8.1), fridge(grace_s=3.0)),
        Story(chilled(8.1, 8.1), fridge(grace_s=2.0), fires=True), NO_COLD,
    ),
    "environment-rate": Row(
        CLEAN, Story(aired(21.0, 21.5), rooms(rate_max_per_h=1799.0, rate_window_s=1.0)),
        Story(aired(21.0, 21.5), rooms(rate_max_per_h=1800.0, rate_window_s=1.0)),
        Story(ran(), rooms(rate_max_per_h=1.0), instead="environment-no-readings"),
    ),
    "storage-rate": Row(
        CLEAN, Story(chilled(4.0, 4.5), fridge(rate_max_per_h=1799.0, rate_window_s=1.0)),
        Story(chilled(4.0, 4.5), fridge(rate_max_per_h=1800.0, rate_window_s=1.0)),
        Story(ran(), fridge(rate_max_per_h=1.0), instead="storage-no-readings"),
    ),
}  # fmt: skip


def unbound(bench: Bench) -> str:
    return altered(rebind("measurand", None))(bench)


def shown(*layouts: Any) -> Script:
    """Readings whose display is this and then that."""
    return read(*[lambda b, one=one: b.frame("bal-1", one, [(50.0, 1)]) for one in layouts])


def pair(difference: float, limit: float = 0.5) -> Story:
    """Two sensors of one instrument."""
    equipment = balance(
        channels=("weight", "weight_b"),
        metrology=dataclasses.replace(certified_for(), channels=()),
    )
    method = weighing(
        measurands=(), check_max_age_s=None, results=(), redundant=(Redundant(("weight", "weight_b"), limit),)
    )
    entries = {("equipment", "EQ-1"): equipment, ("method", "weighing"): method}

    def script(bench: Bench) -> str:
        task = bench.start()
        for _ in range(4):
            bench.air(1)
            bench.frame("bal-1", TWO, [(50.0, 50.0 + difference)])
        bench.finish(task)
        return task

    return Story(script, entries)


def lone() -> Story:
    story = pair(0.0)
    return Story(ran(), story.entries)


def undecided(last: bool) -> Script:
    """A rule that decides later is behind, or has caught up, when the wait is over."""

    def script(bench: Bench) -> str:
        bench.decide("bal-1")
        task = bench.start()
        bench.air(1)
        bench.weight(0.0, 50.0)
        bench.finish(task)
        if last:
            bench.decide("bal-1")
        bench.tick(700)
        return task

    return script


def pending(bench: Bench) -> str:
    """A test that begins while the check before it has no verdict."""
    check = bench.start(purpose="qc", sample=None, reference="CW-1")
    bench.air(1)
    bench.weight(100.0)
    bench.advance(0.001)
    bench.do("task.stop", task=check)
    return bench.start()


def aged(seconds: float) -> Script:
    """A test that begins so long after its check ended."""

    def script(bench: Bench) -> str:
        check = bench.start(purpose="qc", sample=None, reference="CW-1")
        bench.air(1)
        bench.weight(100.0)
        bench.advance(0.001)
        bench.do("task.stop", task=check)
        ended = bench.now
        bench.air(6)
        bench.now = ended + round(seconds * 1e9)
        return bench.weigh()

    return script


def running(bench: Bench) -> str:
    task = bench.start()
    bench.air(2)
    return task


def share(lost: int) -> Script:
    """Ten readings and so many polls that were not sent."""
    return read(lambda b: b.weight(*[50.0] * 10), gap(lost, -0.5, 0.0) if lost else lambda _b: None)


def unsettled(count: int, good: int) -> Script:
    return read(lambda b: b.weight(*[0.0] * count, status=7), lambda b: b.weight(*[50.0] * good))


CHECK = {"purpose": "intermediate-check"}
EN = {
    # U = 0.0003 and U_ref = 0.0004: E_n of 0.0005 is 1
    **meth(results=(ResultSpec("deviation", "check-weight", "weight", ("intermediate-check",)),)),
    **material("CW-1", check_weight(certified=(CertifiedValue("mass", 100.0, "g", 0.0004, 2.0),))),
}
NO_U = certified_for(uncertainty=None)
PARALLEL = meth(replicates=2, replicate_rpd_max_pct=20.0)
RATIO = {("method", "weighing"): formula("1 / (first(w) - last(w))", unit="1/g")}
GUARD = {"rule": "guard-band", "high": 60.0, "guard_factor": 1.0}


def guarded(**changes: Any) -> Entries:
    rule = DecisionRule(**{**GUARD, **changes})
    return {("method", "weighing"): formula("last(w)", decision=rule)}


MEASUREMENT: dict[str, Row] = {
    "measurand-missing": Row(CLEAN, Story(unbound), NO_LIMIT, IS_MISSING),
    "measurand-bound-late": Row(
        CLEAN, Story(late("measurand", "bal-1.stable")), NO_LIMIT, IS_MISSING
    ),
    "no-readings": Row(CLEAN, Story(ran()), NO_LIMIT, IS_MISSING),
    "readings-failed": Row(
        CLEAN, Story(read(lambda b: b.weight(50.0, flag=4))), OF_QC,
        Story(ran(), instead="no-readings"),
    ),
    "readings-suspect": Row(
        CLEAN, Story(read(lambda b: b.weight(50.0, flag=3))), OF_QC, Story(ran(), instead="no-readings")
    ),
    "readings-lost": Row(
        CLEAN, Story(share(1), meth(completeness_min=0.5)), Story(share(0)),
        Story(ran(), instead="no-readings"),
    ),
    "completeness-low": Row(
        CLEAN, Story(share(3), meth(completeness_min=0.8)), Story(share(2), meth(completeness_min=10 / 12)),
        Story(ran(), instead="no-readings"),
    ),
    "rows-undecided": Row(Story(undecided(last=True)), Story(undecided(last=False)), NO_LIMIT, IS_MISSING),
    "unit-changed": Row(
        CLEAN, Story(shown(WEIGHT, POUNDS)), NO_LIMIT, Story(ran(), instead="no-readings")
    ),
    "resolution-changed": Row(
        CLEAN, Story(shown(WEIGHT, COARSE)), NO_LIMIT, Story(ran(), instead="no-readings")
    ),
    "readings-unstable": Row(
        CLEAN, Story(unsettled(8, 1), meth(unsettled_max=0.75)),
        Story(unsettled(3, 1), meth(unsettled_max=0.75)),
        Story(ran(), instead="no-readings"),
    ),
    "redundant-disagreement": Row(
        pair(0.25), pair(0.75), pair(0.5), dataclasses.replace(lone(), instead="redundant-not-compared")
    ),
    "redundant-not-compared": Row(pair(0.25), lone(), NO_LIMIT, IS_MISSING),
    "result-pending": Row(CLEAN, Story(running), NO_LIMIT, IS_MISSING),
    "result-missing": Row(CLEAN, Story(ran()), NO_LIMIT, IS_MISSING),
    "result-not-computable": Row(
        Story(loaded(50.0, 49.0), RATIO), Story(loaded(50.0, 50.0), RATIO), NO_LIMIT,
        Story(ran(), RATIO, instead="result-missing"),
    ),
    "decision-not-possible": Row(
        Story(tested, guarded()), Story(tested, guarded(low=59.0, guard_factor=5000.0)), NO_LIMIT,
        Story(tested, {**guarded(), **eq(metrology=NO_U)}, instead="decision-not-possible"),
    ),
    "uncertainty-missing": Row(CLEAN, Story(tested, eq(metrology=NO_U)), NO_LIMIT, IS_MISSING),
    "replicates-missing": Row(
        Story(replicated(50.0, 50.1), PARALLEL), Story(tested, PARALLEL),
        Story(replicated(50.0, 50.1), PARALLEL),
        Story(first(lambda b: b.check_passes(), ran()), PARALLEL, instead="result-missing"),
    ),
    "replicates-limit-missing": Row(
        Story(replicated(50.0, 50.1), PARALLEL), Story(replicated(50.0, 50.1), meth(replicates=2)),
        NO_LIMIT, IS_MISSING,
    ),
    "replicates-not-comparable": Row(
        Story(replicated(50.0, 50.1), PARALLEL),
        Story(replicated(50.0, 50.0), {("method", "weighing"): dataclasses.replace(
            formula("gross(w) - half", constants=(FormulaConstant("half", 50.0, "g"),)),
            replicates=2, replicate_rpd_max_pct=20.0)}),
        NO_LIMIT, Story(replicated(50.0, 50.1), meth(replicates=2), instead="replicates-limit-missing"),
    ),
    "replicates-disagree": Row(
        Story(replicated(50.0, 50.1), PARALLEL), Story(replicated(45.0, 55.1), PARALLEL),
        Story(replicated(45.0, 55.0), PARALLEL),
        Story(replicated(45.0, 55.0), meth(replicates=2), instead="replicates-limit-missing"),
    ),
    "tolerance-missing": Row(
        Story(checked(100.0)), Story(checked(100.0), meth(weight_tolerance=None)), NO_LIMIT, IS_MISSING
    ),
    "check-weight-out-of-tolerance": Row(
        Story(checked(100.0)), Story(checked(100.0011)), Story(checked(100.0010)),
        Story(checked(100.0), meth(weight_tolerance=None), instead="tolerance-missing"),
    ),
    "check-weight-missing": Row(
        CLEAN, Story(aged(3600.1)), Story(aged(3600.0)), IS_MISSING
    ),
    "check-weight-pending": Row(CLEAN, Story(pending), NO_LIMIT, IS_MISSING),
    "check-weight-failed": Row(
        CLEAN, Story(first(lambda b: b.check_passes(100.0011), lambda b: b.weigh())),
        Story(first(lambda b: b.check_passes(100.0010), lambda b: b.weigh())),
        Story(ran(), instead="check-weight-missing"),
    ),
    "en-exceeded": Row(
        Story(checked(100.0, **CHECK), EN), Story(checked(100.0006, **CHECK), EN),
        Story(checked(100.0005, **CHECK), EN),
        Story(checked(100.0, **CHECK), {**EN, **eq(metrology=NO_U)}, instead="en-not-computable"),
    ),
    "en-not-computable": Row(
        Story(checked(100.0, **CHECK), EN), Story(checked(100.0, **CHECK), {**EN, **eq(metrology=NO_U)}),
        NO_LIMIT, IS_MISSING,
    ),
}  # fmt: skip
