"""Look-back: every result since the last good check is listed, held and reported; none is left out."""

import dataclasses
from typing import Any

import pytest

from pipeline.elements import Elements, Refused
from pipeline.elements.codec import to_body
from pipeline.elements.lookback.affected import affect
from pipeline.elements.lookback.report import look_back_report, look_backs
from pipeline.elements.lookback.shapes import LookBackReach, Reached
from pipeline.elements.registry_shapes import QcItem
from tests.unit.elements.bench import (
    HOUR,
    SIGNER,
    UTC0,
    Bench,
    balance,
    check_weight,
    metrology,
    opened,
    weighing,
)
from tests.unit.elements.quality import laboratory, measure, qc_sample


def report(bench: Bench, name: str = "") -> dict[str, Any]:
    known = look_backs(bench.elements.fold.state)
    found = look_back_report(bench.elements.fold.state, name or known[0]["lookback"])
    assert found is not None
    return found


def release(bench: Bench, task: str) -> None:
    shown = bench.view(task)
    bench.do(
        "hold.release", bench.someone(SIGNER), task=task, reason="seen", signed_hash=shown["to_sign"]
    )  # fmt: skip


def tasks_of(shown: dict[str, Any]) -> list[str]:
    return [one["task"] for one in shown["affected"]]


def test_a_failed_check_lists_every_result_since_the_last_good_one_and_holds_it() -> None:
    bench = opened()
    bench.check_passes()
    before = bench.weigh()
    good = bench.check_passes()
    tasks = [bench.weigh(0.0, 50.0), bench.weigh(0.0, 60.0)]
    assert [bench.view(task)["overall"] for task in tasks] == ["clear", "clear"]
    failed = bench.check_passes(101.0)
    bench.air(2)
    shown = report(bench)
    assert tasks_of(shown) == tasks
    assert (shown["cause"], shown["last_good"], shown["failed"]) == ("check-failed", good, failed)
    assert [one["results"][0]["value"] for one in shown["affected"]] == [50.0, 60.0]
    assert bench.view(before)["overall"] == "clear"
    for task in tasks:
        assert bench.view(task)["overall"] == "held"
        assert bench.codes(task, "measurement") == {"look-back"}


def test_a_held_verdict_supersedes_the_one_in_force_and_cites_the_look_back() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    first = bench.verdict(task, "measurement")
    bench.check_passes(101.0)
    bench.air(2)
    last = bench.verdict(task, "measurement")
    chain, seq = [last["seq"]], last["supersedes"]
    while seq is not None:
        chain.append(seq)
        seq = bench.records[seq].body["supersedes"]
    assert first["seq"] in chain
    assert bench.records[first["seq"]].body["status"] == "ok"  # never edited
    cited = {bench.records[one].kind for one in last["reasons"][0]["seqs"]}
    assert cited == {"lookback", "verdict"}


def test_a_released_result_becomes_released_under_look_back_until_a_person_acts() -> None:
    bench = opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - HOUR))})
    bench.check_passes()
    task = bench.weigh()
    release(bench, task)
    assert bench.view(task)["overall"] == "released"
    bench.check_passes(101.0)
    bench.air(2)
    assert bench.view(task)["overall"] == "released-under-look-back"
    assert report(bench)["affected"][0]["overall"] == "released"
    release(bench, task)
    assert bench.view(task)["overall"] == "released"


def test_a_result_that_nobody_uses_any_more_is_listed_and_not_held() -> None:
    bench = opened({("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - HOUR))})
    bench.check_passes()
    task = bench.weigh()
    bench.do(
        "hold.release", bench.someone(SIGNER), task=task, reason="broken", disposition="void",
        signed_hash=bench.view(task)["to_sign"],
    )  # fmt: skip
    bench.check_passes(101.0)
    bench.air(2)
    assert [one["moved"] for one in report(bench)["affected"]] == [False]
    assert bench.view(task)["overall"] == "void"


def test_without_any_good_check_everything_is_looked_at() -> None:
    bench = opened({("method", "weighing"): weighing(check_max_age_s=None)})
    task = bench.weigh()
    bench.check_passes(101.0)
    bench.air(2)
    shown = report(bench)
    assert (shown["from_utc_ns"], shown["last_good"], tasks_of(shown)) == (None, "", [task])
    assert "none on record" in shown["en"]
    assert bench.view(task)["overall"] == "held"


def test_a_withdrawn_certificate_holds_what_was_measured_under_it() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(withdrawn=True))})
    bench.air(2)
    shown = report(bench)
    assert (shown["cause"], shown["failed"], tasks_of(shown)) == ("certificate-withdrawn", "C-1", [task])
    assert "look-back" in bench.codes(task, "equipment")
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(withdrawn=True))})
    assert len(look_backs(bench.elements.fold.state)) == 1  # said twice, looked back once


def test_a_withdrawn_certificate_of_a_reference_is_traced_through_its_bindings() -> None:
    bench = laboratory(entries={("material", "CW-1"): check_weight(certificate="W-7")})
    with_it, without = measure(bench, 50.0, reference="CW-1"), measure(bench, 50.0)
    bench.enrol({("material", "CW-1"): check_weight(certificate="W-7", withdrawn=True)})
    bench.air(2)
    named = {task for one in look_backs(bench.elements.fold.state)
             for task in tasks_of(report(bench, one["lookback"]))}  # fmt: skip
    assert named == {with_it}
    assert "look-back" in bench.codes(with_it, "material")
    assert bench.view(without)["overall"] == "clear"


def test_a_failed_qc_sample_looks_back_to_the_last_one_that_held() -> None:
    bench = laboratory(QcItem("qc-sample", interval_s=1e6))
    qc_sample(bench, 50.0)
    early = measure(bench, 60.0)
    good = qc_sample(bench, 50.0)
    late = measure(bench, 60.0)
    qc_sample(bench, 51.0)
    bench.air(2)
    shown = report(bench)
    assert (shown["cause"], shown["last_good"], tasks_of(shown)) == ("control-failed", good, [late])
    assert bench.view(early)["overall"] == "clear"
    assert bench.view(late)["overall"] == "held"


def test_a_look_back_is_closed_by_a_person_once_all_is_disposed_of() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    bench.check_passes(101.0)
    bench.air(2)
    name = report(bench)["lookback"]
    for how, code in (("badge", "not-authenticated"), ("password", "lookback-held")):
        with pytest.raises(Refused) as refused:
            bench.do("lookback.close", bench.someone(SIGNER, how), lookback=name, conclusion="no effect")
        assert refused.value.code == code
    release(bench, task)
    bench.do("lookback.close", bench.someone(SIGNER), lookback=name, conclusion="no effect")
    assert report(bench)["closed"]["conclusion"] == "no effect"
    with pytest.raises(Refused) as refused:
        bench.do("lookback.close", bench.someone(SIGNER), lookback=name, conclusion="again")
    assert refused.value.code == "lookback-closed"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_reads_in_both_languages_and_leaves_no_hole(language: str) -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    bench.do("task.link", task=task, system="report", external_id="R-77")
    bench.check_passes(101.0)
    bench.air(2)
    text = report(bench)[language]
    assert all(word in text for word in (task, "R-77", "50.0 g", "bal-1"))
    assert "?" not in text
    assert "{" not in text


def test_tasks_that_left_memory_are_asked_for_and_never_silently_missing() -> None:
    bench = opened(retained_tasks=2)
    good = bench.check_passes()
    gone = bench.weigh()
    kept = bench.elements.fold.state.tasks[gone]
    for _ in range(3):
        bench.weigh()
    assert bench.elements.task(gone) is None
    bench.check_passes(101.0)
    bench.air(2)
    shown = report(bench)
    assert (shown["last_good"], shown["older"], shown["reached"]) == (good, True, False)
    assert gone not in tasks_of(shown)
    assert "still being collected" in shown["en"]
    with pytest.raises(Refused) as refused:
        bench.do("lookback.close", bench.someone(SIGNER), lookback=shown["lookback"], conclusion="x")
    assert refused.value.code == "lookback-unreached"
    posted = kept.verdicts["measurement"]
    told = Reached(affect(kept), to_body(posted.verdict), posted.seq)
    reach = LookBackReach(shown["lookback"], (), done=True, reached=(told,))
    first = len(bench.records)
    bench.append("lookback", to_body(reach))
    assert gone in tasks_of(report(bench))
    assert report(bench)["reached"]
    verdict, event = (one for one in bench.records[first + 1 :] if one.kind in {"verdict", "event"})
    assert (verdict.body["task"], verdict.body["supersedes"]) == (gone, posted.seq)
    assert (event.body["code"], event.body["args"]["task"]) == ("element-held", gone)
    assert (report(bench)["waiting"], bench.elements.task(gone)) == (shown["waiting"] + 1, None)


def test_a_span_that_memory_covers_asks_for_nothing() -> None:
    bench = opened(retained_tasks=2)
    for _ in range(3):
        bench.weigh()
    bench.check_passes()
    task = bench.weigh()
    bench.check_passes(101.0)
    bench.air(2)
    assert (report(bench)["older"], tasks_of(report(bench))) == (False, [task])


def test_look_backs_survive_a_restart() -> None:
    bench = opened()
    bench.check_passes()
    bench.weigh()
    bench.check_passes(101.0)
    again = Elements(bench.settings)
    again.restore(bench.elements.snapshot())
    assert again.fold.state.lookbacks == bench.elements.fold.state.lookbacks
    assert dataclasses.asdict(again.fold.state.lookbacks)["items"]
