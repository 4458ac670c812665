"""Control charts in the elements: from training over approval to the hold of a rejected batch."""

from typing import Any

import pytest

from pipeline.elements import Elements, Refused
from pipeline.elements.batches import views
from pipeline.elements.registry_shapes import QcItem
from tests.unit.elements.bench import SECOND_ANALYST, SIGNER, UTC0, Bench
from tests.unit.elements.quality import close, laboratory, measure, outcome, qc_material, qc_sample

ITEM = QcItem("qc-sample", interval_s=1e6)
WHERE = {"method": "weighing", "instrument": "bal-1", "quantity": "net_mass", "material": "QC-1"}


def chart(bench: Bench, name: str = "C-1") -> dict[str, Any]:
    found = views.chart(bench.elements.fold, name)
    assert found is not None
    return found


def approve(bench: Bench, version: int, person: str = SIGNER) -> None:
    shown = chart(bench)
    signed = next(one["to_sign"] for one in shown["versions"] if one["version"] == version)
    bench.do(
        "chart.approve", bench.someone(person), chart=shown["chart"], version=version, reason="stable",
        signed_hash=signed,
    )  # fmt: skip


def assigned(bench: Bench, centre: float = 50.0, sd: float = 0.01, **more: Any) -> int:
    args: dict[str, Any] = {
        **WHERE,
        "basis": "assigned",
        "centre": centre,
        "sd": sd,
        "reason": "insert",
        **more,
    }
    return int(bench.do("chart.propose", bench.someone(SECOND_ANALYST), **args)["version"])


def charted(**more: Any) -> Bench:
    """A laboratory whose chart is in force at 50 ± 0.01 g."""
    bench = laboratory(ITEM, **more)
    assigned(bench, unit="g")
    approve(bench, 1)
    return bench


def test_without_a_chart_the_certificate_judges_and_the_points_are_kept() -> None:
    bench = laboratory(ITEM)
    first = qc_sample(bench, 50.0)
    assert (outcome(bench, first)["figure_name"], outcome(bench, first)["status"]) == ("e-n", "pass")
    assert [point["version"] for point in chart(bench)["points"]] == [None]


def test_without_chart_and_certificate_a_qc_sample_is_not_evaluated() -> None:
    bench = laboratory(ITEM, entries={("material", "QC-1"): qc_material(certified=())})
    task = qc_sample(bench, 50.0)
    assert (outcome(bench, task)["status"], outcome(bench, task)["why"]) == ("not-evaluated", "no-chart")
    assert bench.codes(measure(bench, 50.0), "measurement") == {"qc-not-evaluated"}


def test_lines_come_from_a_training_period_and_judge_only_once_another_person_approves() -> None:
    bench = laboratory(ITEM, retained_tasks=5)
    for number in range(20):
        qc_sample(bench, 50.0 + 0.001 * (number % 5 - 2))
    args: dict[str, Any] = {**WHERE, "basis": "classical", "reason": "first 20 days"}
    made = bench.do("chart.propose", bench.someone(SECOND_ANALYST), **args)
    version = chart(bench)["versions"][0]
    assert (made["version"], version["status"], version["training"]["n"]) == (1, "proposed", 20)
    assert version["centre"] == pytest.approx(50.0)
    assert outcome(bench, qc_sample(bench, 50.0))["figure_name"] == "e-n"
    with pytest.raises(Refused) as refused:
        approve(bench, 1, SECOND_ANALYST)
    assert refused.value.code == "own-proposal"
    approve(bench, 1)
    assert outcome(bench, qc_sample(bench, 50.0))["chart_version"] == 1
    assert chart(bench)["versions"][0]["approval"]["person"] == SIGNER


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ({"basis": "classical"}, "20 are needed"),
        ({"basis": "certified", "sd": 0.0}, "SD above 0"),
        ({"basis": "assigned", "centre": 50.0}, "sd is missing"),
        ({"basis": "assigned", "centre": 50.0, "sd": 0.1, "material": "QC-9"}, "no chart"),
    ],
)
def test_lines_that_cannot_be_drawn_are_refused_with_the_reason(args: dict[str, Any], problem: str) -> None:
    bench = laboratory(ITEM)
    with pytest.raises(Refused, match=problem):
        bench.do("chart.propose", **{**WHERE, "reason": "why", **args})


def test_the_certificate_gives_the_centre_line() -> None:
    bench = laboratory(ITEM)
    args: dict[str, Any] = {**WHERE, "basis": "certified", "sd": 0.01, "reason": "new", "unit": "g"}
    bench.do("chart.propose", **args)
    version = chart(bench)["versions"][0]
    assert (version["centre"], version["certified"]["value"], version["lot"]) == (50.0, 50.0, "L-1")


def test_what_was_approved_is_what_was_signed() -> None:
    bench = laboratory(ITEM)
    assigned(bench)
    for signed, how, code in (("0" * 64, "password", "signed-something-else"), ("", "badge", "not-auth")):
        with pytest.raises(Refused) as refused:
            bench.do(
                "chart.approve", bench.someone(SIGNER, how), chart=chart(bench)["chart"], version=1,
                reason="stable", signed_hash=signed,
            )  # fmt: skip
        assert refused.value.code.startswith(code)
    with pytest.raises(Refused) as refused:
        bench.do("chart.approve", chart="C-9", version=1, reason="r", signed_hash="0")
    assert refused.value.code == "no-such-version"


def test_a_warning_marks_and_a_rejection_holds_the_work_after_it() -> None:
    bench = charted()
    warned = qc_sample(bench, 50.025)
    assert [rule["rule"] for rule in outcome(bench, warned)["rules"]] == ["1-2s"]
    assert outcome(bench, warned)["z"] == pytest.approx(2.5)
    marked = measure(bench, 60.0)
    assert bench.codes(marked, "measurement") == {"qc-warned"}
    assert bench.view(marked)["overall"] == "clear"
    rejected = qc_sample(bench, 50.035)
    assert outcome(bench, rejected)["status"] == "fail"
    assert {rule["rule"] for rule in outcome(bench, rejected)["rules"]} >= {"1-3s", "2-2s"}
    (failed,) = [
        one for one in bench.verdict(rejected, "measurement")["reasons"] if one["code"] == "qc-failed"
    ]
    assert [failed["args"][name] for name in ("figure_name", "figure", "low", "high")] == [
        "value", 50.035, pytest.approx(49.97), pytest.approx(50.03),
    ]  # fmt: skip
    held = measure(bench, 60.0)
    assert "qc-failed" in bench.codes(held, "measurement")
    assert bench.view(held)["overall"] == "held"
    qc_sample(bench, 50.0)
    assert bench.codes(measure(bench, 60.0), "measurement") == set()


def test_a_rejected_qc_sample_holds_its_batch_from_the_first_task_on() -> None:
    bench = charted()
    bench.do("batch.open", batch="B-1", method="weighing")
    before = measure(bench, 60.0, batch="B-1")
    rejected = qc_sample(bench, 50.05, batch="B-1")
    after = measure(bench, 60.0, batch="B-1")
    close(bench)
    assert outcome(bench, rejected)["place"] == 2
    for task in (before, after):
        assert "qc-failed" in bench.codes(task, "measurement")
        assert bench.view(task)["overall"] == "held"


def test_a_run_over_several_days_needs_no_memory_of_the_tasks() -> None:
    bench = charted(retained_tasks=2)
    outcomes = [outcome(bench, qc_sample(bench, 50.001)) for _ in range(10)]
    assert [one["status"] for one in outcomes] == ["pass"] * 9 + ["fail"]
    assert {rule["rule"] for rule in outcomes[-1]["rules"]} == {"10x"}


def test_a_new_lot_is_judged_by_its_own_version_only_and_starts_an_empty_history() -> None:
    bench = charted()
    qc_sample(bench, 50.025)
    bench.enrol({("material", "QC-1"): qc_material("L-2", certified=())}, from_ns=UTC0 + bench.now)
    unjudged = qc_sample(bench, 40.0)
    assert (outcome(bench, unjudged)["why"], outcome(bench, unjudged)["lot"]) == ("no-chart", "L-2")
    assert assigned(bench, 40.0) == 2
    approve(bench, 2)
    assert outcome(bench, qc_sample(bench, 40.025))["rules"] == [{"rule": "1-2s", "scope": "within-material"}]
    shown = chart(bench)
    assert [(one["lot"], one["version"]) for one in shown["changes"]] == [
        ("L-1", 1), ("L-2", None), ("L-2", 2),
    ]  # fmt: skip
    assert shown["points"][-1]["en"][0].startswith("Westgard 1-2s")
    assert shown["points"][-1]["zh"][0].startswith("Westgard 1-2s：")


def test_an_expired_qc_sample_vouches_for_nothing_and_is_no_point() -> None:
    bench = charted(entries={("material", "QC-1"): qc_material(expiry_ns=UTC0 + 1)})
    task = qc_sample(bench, 50.0)
    assert (outcome(bench, task)["status"], outcome(bench, task)["why"]) == (
        "not-evaluated", "material-expired",
    )  # fmt: skip
    assert chart(bench)["points"] == []


def test_a_qc_sample_without_a_value_is_a_missing_point() -> None:
    bench = charted()
    task = bench.start(purpose="qc", sample=None, reference="QC-1")
    bench.air(1)
    bench.finish(task)
    assert (outcome(bench, task)["status"], outcome(bench, task)["why"]) == ("not-evaluated", "no-result")
    assert [point["value"] for point in chart(bench)["points"]] == [None]
    assert outcome(bench, qc_sample(bench, 50.0))["missing_before"] == 1


def test_charts_go_on_after_a_restart_as_if_there_had_been_none() -> None:
    bench = charted()
    for value in (50.025, 50.0):
        qc_sample(bench, value)
    again = Elements(bench.settings)
    again.restore(bench.elements.snapshot())
    start = len(bench.records)
    qc_sample(bench, 50.025)
    qc_sample(bench, 50.021)
    for record in bench.records[start:]:
        again.consume(record)
    assert again.snapshot() == bench.elements.snapshot()
    assert chart(bench)["points"][-1]["rules"] == ["1-2s within-material", "2-2s within-material"]
