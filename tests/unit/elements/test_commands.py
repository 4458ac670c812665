from typing import Any

import pytest

from pipeline.elements import Refused
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import Grant, Person
from pipeline.elements.vocabulary import SIGNATORY
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    SECOND_ANALYST,
    SIGNER,
    STRANGER,
    UTC0,
    Bench,
    actor,
    balance,
    metrology,
    opened,
)


def refused(bench: Bench, command: str, who: Any = None, **args: Any) -> Refused:
    before = bench.elements.snapshot()
    with pytest.raises(Refused) as caught:
        bench.plan(command, who, **args)
    assert bench.elements.snapshot() == before
    assert caught.value.en
    assert caught.value.zh
    assert caught.value.hint
    assert "?>" not in caught.value.en + caught.value.zh + caught.value.hint + caught.value.hint_zh
    return caught.value


START = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}

START_REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "badge": ({"badge": "B-9"}, "unknown-badge"),
    "operator": ({"operator": "p-9"}, "unknown-person"),
    "sample": ({"sample": "S-9"}, "unknown-sample"),
    "a_weight_as_sample": ({"sample": "CW-1"}, "unknown-sample"),
    "no_sample": ({"sample": None}, "missing-argument"),
    "instrument": ({"instrument": "bal-9"}, "unknown-instrument"),
    "no_instrument": ({"instrument": None}, "missing-argument"),
    "method": ({"method": "guess"}, "unknown-method"),
    "purpose": ({"purpose": "play"}, "wrong-argument"),
    "environment": ({"environments": ["moon"]}, "unknown-environment"),
    "reference": ({"reference": "CW-9"}, "unknown-material"),
    "reagent": ({"reagents": ["R-9"]}, "unknown-material"),
    "foreign_channel": ({"measurands": ["th-1.temperature"]}, "wrong-argument"),
    "misspelt": ({"samples": "S-1"}, "unknown-argument"),
    "not_text": ({"sample": 7}, "wrong-argument"),
    "not_a_list": ({"instruments": "bal-1"}, "wrong-argument"),
}


@pytest.mark.parametrize("name", START_REFUSALS)
def test_a_wrong_start_says_what_to_do(name: str) -> None:
    args, code = START_REFUSALS[name]
    assert refused(opened(), "task.start", **{**START, **args}).code == code


def test_two_tasks_cannot_claim_one_exclusive_instrument() -> None:
    bench = opened()
    task = bench.start()
    error = refused(bench, "task.start", **START)
    assert error.code == "instrument-busy"
    assert task in error.en
    assert f"yaosu task stop {task}" in error.hint
    bench.do("task.stop", task=task)
    assert bench.start() != task


def test_the_wrong_order_is_refused() -> None:
    bench = opened()
    assert refused(bench, "task.stop", task="x").code == "unknown-task"
    task = bench.start()
    assert refused(bench, "task.abort", task=task).code == "missing-argument"
    assert refused(bench, "task.handover", task=task, badge="B-1").code == "same-operator"
    bench.do("task.stop", task=task)
    for command, args in (
        ("task.stop", {}), ("task.handover", {"badge": "B-2"}), ("task.abort", {"reason": "late"}),
    ):  # fmt: skip
        assert refused(bench, command, task=task, **args).code == "task-not-running"
    assert refused(bench, "task.dance").code == "unknown-command"


def test_bindings_follow_from_the_registry() -> None:
    bench = opened()
    task = bench.start(badge="B-2", reagents=["CW-1"])
    bound = {(binding["role"], binding["target"]) for binding in bench.view(task)["bindings"]}
    assert bound == {
        ("operator", SECOND_ANALYST), ("measurand", "bal-1.weight"), ("environment", "room"),
        ("storage", "fridge"), ("reagent", "CW-1"),
    }  # fmt: skip


def test_a_repeat_with_the_same_key_gets_the_same_answer_and_does_nothing() -> None:
    bench = opened()
    who = actor(key="once")
    first = bench.plan("task.start", who, **START)
    [record] = [bench.append(draft.kind, draft.body)[0] for draft in first.drafts]
    again = bench.plan("task.start", who, **START)
    assert (again.drafts, again.seqs) == ((), (record.seq,))
    assert again.result["task"] == first.result["task"]
    assert refused(bench, "task.stop", who, task=first.result["task"]).code == "key-reused"
    assert bench.plan("task.stop", actor(SIGNER, key="once"), task=first.result["task"]).drafts


def test_a_command_without_a_key_is_refused() -> None:
    assert refused(opened(), "task.start", actor(key=""), **START).code == "missing-argument"


def test_old_keys_give_way() -> None:
    bench = opened(recent_keys=16)
    task = bench.start()
    for number in range(40):
        bench.do("task.link", task=task, system="lims", external_id=str(number))
    assert len(bench.elements._fold.state.answers) == 16


def held_task(bench: Bench) -> str:
    task = bench.weigh()
    assert bench.view(task)["overall"] == "held"
    return task


def overdue(**entries: Any) -> Bench:
    facts: dict[Any, Any] = {("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY))}
    return opened({**facts, **entries.get("entries", {})})


def attempt(bench: Bench, task: str, who: Any, **args: Any) -> Refused:
    facts = {"task": task, "reason": "seen", "signed_hash": bench.view(task)["to_sign"]}
    return refused(bench, "hold.release", who, **{**facts, **args})


@pytest.mark.parametrize("how", ["badge", "asserted", "service", "demo"])
def test_a_forged_identity_releases_nothing(how: str) -> None:
    bench = overdue()
    task = held_task(bench)
    assert attempt(bench, task, bench.someone(SIGNER, how)).code == "not-authenticated"


@pytest.mark.parametrize("how", ["password", "pin"])
def test_authentication_alone_is_not_enough(how: str) -> None:
    bench = overdue()
    task = held_task(bench)
    for person in (SECOND_ANALYST, STRANGER, "p-99"):
        assert attempt(bench, task, bench.someone(person, how)).code == "not-signatory"
    assert attempt(bench, task, bench.someone(ANALYST, how)).code == "own-task"
    planned = bench.plan(
        "hold.release", bench.someone(SIGNER, how), task=task, reason="seen",
        signed_hash=bench.view(task)["to_sign"],
    )  # fmt: skip
    assert [draft.kind for draft in planned.drafts] == ["review"]


def test_a_signatory_who_operated_for_a_moment_may_not_release() -> None:
    bench = overdue()
    task = bench.start()
    bench.air(1)
    bench.do("task.handover", task=task, operator=SIGNER)
    bench.do("task.handover", task=task, operator=ANALYST)
    bench.finish(task)
    assert attempt(bench, task, bench.someone(SIGNER)).code == "own-task"


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "allowed"),
    [(0, None, True), (0, UTC0 + DAY, True), (0, UTC0, False), (UTC0 + DAY, None, False)],
)
def test_the_role_counts_at_the_instant_of_signing(from_ns: int, to_ns: int | None, allowed: bool) -> None:
    bench = overdue(entries={("person", SIGNER): Person(roles=(Grant(SIGNATORY, from_ns, to_ns),))})
    task = held_task(bench)
    if allowed:
        sign = bench.view(task)["to_sign"]
        assert bench.do("hold.release", bench.someone(SIGNER), task=task, reason="seen", signed_hash=sign)
    else:
        assert attempt(bench, task, bench.someone(SIGNER)).code == "not-signatory"


def test_only_what_is_in_force_can_be_signed() -> None:
    bench = overdue()
    task = held_task(bench)
    old = bench.view(task)["to_sign"]
    who = bench.someone(SIGNER)
    assert attempt(bench, task, who, signed_hash="").code == "missing-argument"
    assert attempt(bench, task, who, signed_hash="0" * 64).code == "signed-something-else"
    bench.enrol({("equipment", "EQ-1"): balance()})
    bench.tick()
    assert attempt(bench, task, who, signed_hash=old).code == "signed-something-else"
    assert attempt(bench, task, who, reason="").code == "missing-argument"
    assert attempt(bench, task, who, disposition="release-with-limitation").code == "missing-argument"
    assert attempt(bench, task, who, disposition="forget").code == "wrong-argument"


def test_what_is_not_held_or_not_finished_cannot_be_released() -> None:
    bench = opened()
    bench.check_passes()
    clear = bench.weigh()
    assert attempt(bench, clear, bench.someone(SIGNER)).code == "nothing-held"
    running = bench.start()
    assert attempt(bench, running, bench.someone(SIGNER)).code == "task-not-final"
    bench.do("task.abort", task=running, reason="no")
    assert attempt(bench, running, bench.someone(SIGNER)).code == "task-aborted"


def test_instrument_states_come_from_a_list() -> None:
    bench = opened()
    assert refused(bench, "instrument.state", instrument="bal-1", state="asleep").code == "wrong-argument"
    assert refused(bench, "instrument.state", instrument="bal-9", state="fault").code == "unknown-instrument"
    bench.do("instrument.state", instrument="bal-1", state="fault", reason="dropped")
    assert bench.elements.instrument_states()["bal-1"]["service"] == "fault"
    assert bench.records[-1].body["actor"]["person"] == ANALYST


def test_a_claim_in_utc_is_resolved_and_marked_late() -> None:
    bench = opened()
    task = bench.start()
    bench.air(5)
    for start, end in ((UTC0 - 1, None), (UTC0 + DAY, None), (UTC0 + 3, UTC0 + 2)):
        args = {"task": task, "role": "operator", "target": SIGNER, "from_utc_ns": start}
        code = refused(bench, "task.bind", **args, to_utc_ns=end).code
        assert code == "wrong-argument"
    bench.do("task.bind", task=task, role="operator", target=SIGNER, from_utc_ns=UTC0 + 1, to_utc_ns=UTC0 + 2)
    late = bench.view(task)["bindings"][-1]
    assert (late["late"], late["to_run_ns"] - late["from_run_ns"]) == (True, 1)


@pytest.mark.parametrize(
    ("role", "target", "code"),
    [
        ("operator", "p-9", "unknown-person"),
        ("reference", "CW-9", "unknown-material"),
        ("storage", "moon", "unknown-environment"),
        ("measurand", "bal-9.weight", "unknown-instrument"),
        ("measurand", "bal-1", "unknown-instrument"),
        ("witness", "p-1", "wrong-argument"),
    ],
)
def test_a_binding_names_what_exists(role: str, target: str, code: str) -> None:
    bench = opened()
    assert refused(bench, "task.bind", task=bench.start(), role=role, target=target).code == code


def entry(**changes: Any) -> dict[str, Any]:
    facts = {
        "type": "person",
        "id": "p-7",
        "valid_from_ns": UTC0,
        "valid_to_ns": None,
        "data": {"badge": "B-7"},
    }
    return {**facts, **changes}


def test_registry_records_are_taken_in_together_or_not_at_all() -> None:
    bench = opened()
    bad = [
        entry(type="planet"),
        entry(data={"badge": 5}),
        entry(data={"name": "X"}),
        entry(valid_to_ns=UTC0),
        5,
    ]
    error = refused(bench, "registry.import", records=[entry(), *bad])
    assert error.code == "registry-invalid"
    for number, problem in ((2, "planet"), (3, "badge"), (4, "name"), (5, "valid_to_ns"), (6, "a map")):
        assert f"record {number} " in error.en
        assert problem in error.en
    who = bench.someone()
    assert bench.do("registry.import", who, records=[entry(), entry(id="p-8")]) == {"imported": 2}
    again = bench.plan("registry.import", who, records=[entry(), entry(id="p-8")])
    assert again.result == {"imported": 2}
    assert again.seqs[1] - again.seqs[0] == 1


@pytest.mark.parametrize("how", ["badge", "asserted", "service"])
def test_the_registry_is_changed_by_authenticated_people_only(how: str) -> None:
    bench = opened()
    error = refused(bench, "registry.import", bench.someone(how=how), records=[entry()])
    assert error.code == "not-authenticated"


def test_a_material_can_be_received_by_the_import() -> None:
    bench = opened()
    bench.advance(7)
    data = to_body(opened().elements._fold.registry.history("material", "S-1")[0].data)
    record = entry(type="material", id="S-7", data={**data, "received_at_ns": None}, received_on_import=True)
    bench.do("registry.import", records=[{**record, "valid_from_ns": None}])
    shown = next(item for item in bench.elements.registry("material") if item["id"] == "S-7")
    assert shown["data"]["received_at_ns"] == shown["valid_from_ns"] == UTC0 + bench.now


def test_a_small_change_of_the_registry_that_is_sent_again_gets_its_answer_again() -> None:
    bench = opened()
    who = bench.someone()
    done = bench.do("material.handover", who, material="S-1", to="p-2", place="bench 3")
    again = bench.plan("material.handover", who, material="S-1", to="p-2", place="bench 3")
    assert (again.drafts, again.result) == ((), done)
