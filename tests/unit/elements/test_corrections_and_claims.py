"""Corrections of a task and claims about its past: who may, what stays readable, what a clock did to it."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.elements import Refused
from pipeline.elements.timeline import MERGED_NS, STRETCHES_MAX, Stretch, Timeline, occurrences
from pipeline.records.envelope import decode, encode
from tests.unit.elements.bench import (
    RUN0,
    SECOND,
    SECOND_ANALYST,
    SIGNER,
    UTC0,
    Bench,
    balance,
    metrology,
    opened,
    sample,
)


def code(bench: Bench, command: str, who: Any = None, **args: Any) -> str:
    with pytest.raises(Refused) as caught:
        bench.plan(command, who, **args)
    return caught.value.code


def test_a_corrected_sample_is_judged_anew_and_what_it_was_stays() -> None:
    bench = opened({("material", "S-2"): sample(received_at_ns=UTC0 - 9 * 3600 * SECOND)})
    bench.check_passes()
    task = bench.weigh(item="mass")
    first = bench.verdict(task, "material")
    assert first["status"] == "ok"
    result = bench.do("task.amend", task=task, sample="S-2", item="water", reason="label misread")
    assert result == {"task": task, "amended": "sample, item"}
    bench.tick()
    shown = bench.view(task)
    assert (shown["sample"], shown["item"], shown["attempt"]) == ("S-2", "water", 1)
    assert shown["amendments"][0]["was"] == {"sample": "S-1", "item": "mass"}
    assert shown["amendments"][0]["reason"] == "label misread"
    assert "hold-time-exceeded" in bench.codes(task, "material")
    assert bench.verdict(task, "material")["supersedes"] == first["seq"]
    assert bench.elements._fold.state.attempts["S-2|water|weighing"] == 1


@pytest.mark.parametrize(
    ("how", "args", "expected"),
    [
        ("badge", {"item": "x", "reason": "r"}, "not-authenticated"),
        ("asserted", {"item": "x", "reason": "r"}, "not-authenticated"),
        ("service", {"item": "x", "reason": "r"}, "not-authenticated"),
        ("pin", {"item": "x"}, "missing-argument"),
        ("pin", {"reason": "r"}, "nothing-amended"),
        ("pin", {"sample": "S-1", "reason": "r"}, "nothing-amended"),
        ("pin", {"sample": "S-9", "reason": "r"}, "unknown-sample"),
        ("pin", {"sample": "CW-1", "reason": "r"}, "unknown-sample"),
        ("pin", {"method": "other", "reason": "r"}, "unknown-argument"),
    ],
)
def test_a_correction_needs_a_person_a_reason_and_something_wrong(
    how: str, args: dict[str, Any], expected: str
) -> None:
    bench = opened()
    task = bench.start()
    assert code(bench, "task.amend", bench.someone(how=how), task=task, **args) == expected


def test_nothing_is_corrected_beneath_a_signature() -> None:
    bench = opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - SECOND))})
    task = bench.weigh()

    def dispose(disposition: str) -> None:
        args = {"task": task, "reason": "seen", "signed_hash": bench.view(task)["to_sign"]}
        bench.do("hold.release", bench.someone(SIGNER), disposition=disposition, **args)

    dispose("release")
    assert code(bench, "task.amend", task=task, item="x", reason="r") == "task-disposed"
    dispose("recall")
    bench.do("task.amend", task=task, item="x", reason="r")
    assert bench.view(task)["item"] == "x"
    aborted = bench.start(item="y")
    bench.do("task.abort", task=aborted, reason="spilt")
    assert code(bench, "task.amend", task=aborted, item="x", reason="r") == "task-aborted"


class Clocked(Bench):
    """A bench whose UTC can be put forward and back against gateway time."""

    step_ns: int = 0

    def make(self, kind: str, body: Any, by: Any = None) -> Any:
        made = super().make(kind, body, by)
        if not self.step_ns:
            return made
        encoded = encode(
            kind=made.kind, source=made.source, journal=made.journal, epoch=made.epoch, boot=made.boot,
            seq=made.seq, t_utc_ns=made.t_utc_ns + self.step_ns, t_run_ns=made.t_run_ns, clock=made.clock,
            by=made.by, body=made.body,
        )  # fmt: skip
        return decode(encoded.data)

    def plan(self, command: str, who: Any = None, **args: Any) -> Any:
        now_ns = UTC0 + self.now + self.step_ns
        return self.elements.plan(command, args, who or self.someone(), now_ns, RUN0 + self.now)


def clocked() -> Clocked:
    bench = Clocked()
    bench.append("config", {})
    bench.enrol()
    bench.identify()
    return bench


def bound_from(bench: Bench, task: str) -> int:
    binding: dict[str, Any] = bench.view(task)["bindings"][-1]
    assert binding["late"]
    return int(binding["from_run_ns"])


def test_a_claim_in_utc_is_resolved_once_and_marked_late() -> None:
    bench = clocked()
    task = bench.start()
    bench.advance(60)
    for name, value in (("from_utc_ns", UTC0 + 30 * SECOND), ("from_utc", "2026-05-28T20:27:10+00:00")):
        claim: dict[str, Any] = {name: value}
        bench.do("task.bind", task=task, role="operator", target=SECOND_ANALYST, **claim)
        assert bound_from(bench, task) == RUN0 + 30 * SECOND
    for wrong in ({"from_utc": "2026-05-28T20:27:10"}, {"from_utc": "yesterday"}, {"from_utc_ns": UTC0 - 1},
                  {"from_utc_ns": UTC0 + 61 * SECOND}, {"from_utc": "2026-05-28T20:27:10Z", "from_utc_ns": 1},
                  {"from_utc_ns": UTC0 + 9 * SECOND, "to_utc_ns": UTC0 + 9 * SECOND}):  # fmt: skip
        args: dict[str, Any] = {"task": task, "role": "operator", "target": SECOND_ANALYST}
        assert code(bench, "task.bind", **args, **wrong) == "wrong-argument", wrong


def test_an_instant_that_the_clock_showed_twice_is_asked_about() -> None:
    bench = clocked()
    task = bench.start()
    bench.tick(60)
    bench.step_ns = -40 * SECOND
    bench.tick(30)
    args: dict[str, Any] = {
        "task": task,
        "role": "operator",
        "target": SECOND_ANALYST,
        "from_utc_ns": UTC0 + 50 * SECOND,
    }
    with pytest.raises(Refused) as caught:
        bench.plan("task.bind", **args)
    assert caught.value.code == "clock-ambiguous"
    assert "50 s, 90 s" in caught.value.en
    assert "first or second" in caught.value.hint
    bench.do("task.bind", **args, occurrence="second")
    assert bound_from(bench, task) == RUN0 + 90 * SECOND
    bench.do("task.bind", **args, occurrence="first")
    assert bound_from(bench, task) == RUN0 + 50 * SECOND
    # Only one of the two is within a task that began after the step.
    bench.do("task.stop", task=task)
    bench.tick(5)
    later = bench.start(item="later")
    bench.tick(5)
    bench.do("task.bind", **{**args, "task": later, "from_utc_ns": UTC0 + 57 * SECOND})
    assert bound_from(bench, later) == RUN0 + 97 * SECOND


def test_an_instant_that_the_clock_was_put_over_is_told_never_to_have_been() -> None:
    bench = clocked()
    task = bench.start()
    bench.tick(60)
    bench.step_ns = 3600 * SECOND
    bench.tick(1)
    bench.tick(29)
    args: dict[str, Any] = {"task": task, "role": "operator", "target": SECOND_ANALYST}
    assert code(bench, "task.bind", **args, from_utc_ns=UTC0 + 1800 * SECOND) == "clock-skipped"
    bench.do("task.bind", **args, from_utc_ns=UTC0 + 3670 * SECOND)
    assert bound_from(bench, task) == RUN0 + 70 * SECOND


def test_the_timeline_survives_a_snapshot_and_is_bounded() -> None:
    bench = clocked()
    for number in range(STRETCHES_MAX + 10):
        bench.step_ns = (number % 2) * SECOND
        bench.tick()
    timeline = bench.elements._fold.state.timeline
    assert len(timeline.stretches) == STRETCHES_MAX
    restarted = Bench()
    restarted.elements.restore(bench.elements.snapshot())
    assert restarted.elements._fold.state.timeline == timeline


def test_slewing_is_neither_a_second_occurrence_nor_a_skipped_one() -> None:
    back = Timeline([Stretch(0, 0), Stretch(10 * SECOND, -MERGED_NS // 2)])
    assert occurrences(back, 10 * SECOND - 1, 20 * SECOND).run_ns == (10 * SECOND - 1,)
    forward = Timeline([Stretch(0, 0), Stretch(10 * SECOND, MERGED_NS // 2)])
    assert occurrences(forward, 10 * SECOND + 1, 20 * SECOND).run_ns == (10 * SECOND,)
    assert occurrences(forward, 5 * SECOND, 20 * SECOND).run_ns == (5 * SECOND,)
    assert occurrences(forward, 25 * SECOND, 20 * SECOND).run_ns == ()
