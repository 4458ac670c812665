"""The table of checks: people and equipment."""

from typing import Any

from pipeline.elements.registry_shapes import (
    Environment,
    EnvironmentChannel,
    IntermediateCheckPlan,
    MetrologyRequirement,
    ResultSpec,
    Training,
)
from tests.unit.elements.bench import (
    DAY,
    SECOND,
    UTC0,
    Bench,
    balance,
    leave,
    room,
    weighing,
)
from tests.unit.elements.stories import (
    CLEAN,
    Entries,
    Row,
    Script,
    Story,
    altered,
    certified_for,
    during,
    eq,
    first,
    loaded,
    met,
    meth,
    qualified,
    ran,
    rebind,
    tested,
    who,
)

END = UTC0 + 3 * SECOND
NO_LIMIT = "it is so or not: there is no limit to stand on"
IS_MISSING = "the reason is the missing fact itself"
ALWAYS_KNOWN = "the gateway writes the fact itself: it cannot be missing"

TRAINED = weighing(training=("BAL",))


def trained(until_ns: int | None, code: str = "BAL") -> Entries:
    return {**who(training=(Training(code, UTC0 - DAY, until_ns),)), ("method", "weighing"): TRAINED}


def rigs(rooms: tuple[str | None, str | None], near: tuple[str, ...] = ()) -> Entries:
    """Two balances with their rooms."""
    attic = Environment("room", (EnvironmentChannel("temperature", "th-1.temperature", 0.0, 40.0),), near)
    return {
        ("equipment", "EQ-1"): balance(room=rooms[0]),
        ("equipment", "EQ-9"): balance(instrument="bal-9", serial="SN-9", room=rooms[1]),
        ("environment", "attic"): attic,
    }


def both(bench: Bench) -> str:
    """One person starts at the second balance while a task runs at the first."""
    bench.start(instrument="bal-9", sample=None, purpose="maintenance")
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    bench.finish(task)
    return task


def state(bench: Bench, *words: str) -> None:
    for word in words:
        bench.do("instrument.state", instrument="bal-1", state=word)


def simulated(bench: Bench) -> str:
    bench.source = "simulated"
    return tested(bench)


def in_production(then: Script = tested) -> Script:
    def script(bench: Bench) -> str:
        bench.append("config", {"site": {"purpose": "production"}})
        return then(bench)

    return script


PLAN = {
    **eq(check_plan=IntermediateCheckPlan("weighing", 3600.0)),
    **meth(
        results=(
            ResultSpec("net_mass", "net-weight", "weight"),
            ResultSpec("deviation", "check-weight", "weight", ("intermediate-check",)),
        )
    ),
}


def plan_check(age_s: float, *values: float) -> Script:
    """An intermediate check, and a test so many seconds after its end."""

    def script(bench: Bench) -> str:
        check = bench.start(purpose="intermediate-check", sample=None, reference="CW-1")
        bench.air(1)
        for value in values:
            bench.weight(value)
        bench.advance(0.001)
        bench.do("task.stop", task=check)
        ended = bench.now
        bench.air(6)
        bench.now = ended + round(age_s * SECOND)
        return bench.weigh()

    return script


def needs(**asked: Any) -> Entries:
    return dict(meth(metrology=(MetrologyRequirement("weight", "g", **asked),)))


NEVER_ON = {("equipment", "EQ-1"): balance(warm_up_s=60.0, identifies=False, serial="SN-1")}


def silent_start(bench: Bench) -> str:
    """A day on which the balance has not been heard of."""
    bench.elements._fold.state.instruments.clear()
    return ran()(bench)


PEOPLE: dict[str, Row] = {
    "operator-missing": Row(CLEAN, Story(altered(rebind("operator", None))), NO_LIMIT, IS_MISSING),
    "operator-unknown": Row(CLEAN, Story(altered(rebind("operator", "p-99"))), NO_LIMIT, IS_MISSING),
    "operator-not-authorised": Row(
        CLEAN,
        Story(ran(), who(authorisations=(leave(valid_to_ns=END - 1),))),
        Story(ran(), who(authorisations=(leave(valid_from_ns=UTC0),))),
        Story(altered(rebind("operator", "p-99")), instead="operator-unknown"),
    ),
    "authorisation-expiring": Row(
        CLEAN,
        Story(ran(), who(authorisations=(leave(valid_to_ns=END + 29 * DAY),))),
        Story(ran(), who(authorisations=(leave(valid_to_ns=END + 30 * DAY),)), fires=True),
        "an authorisation without an end does not expire",
    ),
    "training-not-valid": Row(
        Story(tested, trained(None)), Story(ran(), trained(END - 1)), Story(ran(), trained(END), fires=True),
        Story(ran(), trained(None, "PIP"), instead="training-not-valid"),
    ),
    "training-expiring": Row(
        Story(tested, trained(None)), Story(ran(), trained(END + 29 * DAY)),
        Story(ran(), trained(END + 30 * DAY), fires=True), "a training without an end does not expire",
    ),
    "operator-elsewhere": Row(
        Story(both, rigs(("room", "room"))), Story(both, rigs(("room", "attic"))),
        Story(both, rigs(("room", "attic"), near=("room",))),
        Story(both, rigs(("room", None)), instead="operator-place-unknown"),
    ),
    "operator-place-unknown": Row(
        Story(both, rigs(("room", "room"))), Story(both, rigs(("room", None))), NO_LIMIT, IS_MISSING
    ),
}  # fmt: skip

EQUIPMENT: dict[str, Row] = {
    "equipment-unregistered": Row(
        CLEAN, Story(ran(), {("environment", "room"): room(target="th-9.temperature")}), NO_LIMIT, IS_MISSING
    ),
    "equipment-stopped": Row(CLEAN, Story(ran(), eq(condition="stopped")), NO_LIMIT,
                             "a condition that is not given is 'qualified', as the table says"),
    "equipment-limited": Row(CLEAN, Story(ran(), eq(condition="limited")), NO_LIMIT,
                             "a condition that is not given is 'qualified', as the table says"),
    "certificate-missing": Row(CLEAN, Story(ran(), met(certificate=None)), NO_LIMIT, IS_MISSING),
    "certificate-not-confirmed": Row(CLEAN, Story(ran(), met(confirmed_by=None)), NO_LIMIT, IS_MISSING),
    "certificate-withdrawn": Row(CLEAN, Story(ran(), met(withdrawn=True)), NO_LIMIT,
                                 Story(ran(), met(certificate=None), instead="certificate-missing")),
    "calibration-overdue": Row(
        CLEAN, Story(ran(), met(due_ns=END - 1)), Story(ran(), met(due_ns=END)),
        Story(ran(), met(due_ns=None), instead="certificate-missing"),
    ),
    "calibration-due-soon": Row(
        CLEAN, Story(ran(), met(due_ns=END + 29 * DAY)), Story(ran(), met(due_ns=END + 30 * DAY), fires=True),
        Story(ran(), met(due_ns=None), instead="certificate-missing"),
    ),
    "serial-missing": Row(CLEAN, Story(ran(), eq(serial=None)), NO_LIMIT, IS_MISSING),
    "identity-unknown": Row(CLEAN, Story(silent_start), NO_LIMIT, IS_MISSING),
    "identity-mismatch": Row(
        CLEAN, Story(ran(), eq(serial="SN-2")), NO_LIMIT, Story(silent_start, instead="identity-unknown")
    ),
    "identity-unregistered": Row(
        Story(in_production()), Story(in_production(ran()), eq(serial=None)), NO_LIMIT,
        Story(ran(), eq(serial=None), instead="serial-missing"),
    ),
    "source-not-of-purpose": Row(
        Story(in_production()), Story(in_production(simulated)), NO_LIMIT,
        "the daemon writes the configuration, and the purpose in it, at every start",
    ),
    "service-state": Row(
        CLEAN, Story(during(lambda b, _t: state(b, "fault", "in-use"))), NO_LIMIT, ALWAYS_KNOWN
    ),
    "return-check-missing": Row(
        Story(first(lambda b: state(b, "maintenance", "in-use"))),
        Story(first(lambda b: state(b, "maintenance", "in-use"), ran())), NO_LIMIT, IS_MISSING,
    ),
    "warm-up-unknown": Row(
        CLEAN, Story(silent_start, NEVER_ON), NO_LIMIT, IS_MISSING
    ),
    "warm-up-short": Row(
        Story(first(lambda b: b.air(70), ran()), eq(warm_up_s=60.0)),
        Story(first(lambda b: b.advance(59.9), ran()), eq(warm_up_s=60.0)),
        Story(first(lambda b: b.advance(60.0), ran()), eq(warm_up_s=60.0)),
        Story(silent_start, NEVER_ON, instead="warm-up-unknown"),
    ),
    "range-left": Row(
        CLEAN, Story(loaded(0.0, 220.1)), Story(loaded(0.0, 220.0)),
        Story(tested, met(channels=()), instead="uncertainty-missing"),
    ),
    "limited-range-missing": Row(
        Story(loaded(0.0, 50.0), {**qualified(limited_high=60.0)}),
        Story(tested, {**eq(condition="limited")}), NO_LIMIT, IS_MISSING,
    ),
    "limited-range-left": Row(
        CLEAN,
        Story(loaded(0.0, 60.1), eq(condition="limited", metrology=certified_for(limited_high=60.0))),
        Story(loaded(0.0, 60.0), eq(condition="limited", metrology=certified_for(limited_high=60.0))),
        Story(tested, eq(condition="limited"), instead="limited-range-missing"),
    ),
    "status-kind-unsuitable": Row(
        Story(tested, needs(kinds=("calibration",))), Story(tested, needs(kinds=("verification",))), NO_LIMIT,
        Story(tested, {**eq(metrology=None), **needs(kinds=("calibration",))}, instead="certificate-missing"),
    ),
    "uncertainty-above-requirement": Row(
        Story(tested, needs(uncertainty_max=0.001)), Story(tested, needs(uncertainty_max=0.0002)),
        Story(tested, needs(uncertainty_max=0.0003)),
        Story(tested, {**qualified(uncertainty=None), **needs(uncertainty_max=0.001)},
              instead="requirement-not-confirmable"),
    ),
    "range-below-requirement": Row(
        Story(tested, needs(low=0.0, high=200.0)), Story(tested, needs(low=0.0, high=220.1)),
        Story(tested, needs(low=-0.1, high=220.0)),
        Story(tested, {**qualified(high=None), **needs(high=200.0)}, instead="requirement-not-confirmable"),
    ),
    "requirement-not-confirmable": Row(
        Story(tested, needs(high=200.0)), Story(tested, {**met(channels=()), **needs(high=200.0)}),
        NO_LIMIT, IS_MISSING,
    ),
    "intermediate-check-missing": Row(
        Story(plan_check(60.0, 100.0002), PLAN), Story(ran(), PLAN), NO_LIMIT, IS_MISSING
    ),
    "intermediate-check-overdue": Row(
        Story(plan_check(60.0, 100.0002), PLAN), Story(plan_check(3600.1, 100.0002), PLAN),
        Story(plan_check(3600.0, 100.0002), PLAN),
        Story(ran(), PLAN, instead="intermediate-check-missing"),
    ),
    "intermediate-check-failed": Row(
        Story(plan_check(60.0, 100.0002), PLAN), Story(plan_check(60.0, 100.1), PLAN),
        "the check's own limits have rows of their own: check-weight-out-of-tolerance and en-exceeded",
        Story(plan_check(60.0), PLAN, instead="intermediate-check-missing"),
    ),
}  # fmt: skip
