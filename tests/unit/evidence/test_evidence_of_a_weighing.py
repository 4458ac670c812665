"""Evidence of what the elements really write: a weighing with its check, an excursion, a disposition."""

from pathlib import Path

from pipeline.evidence.create import create
from pipeline.evidence.policy import read_policy
from pipeline.evidence.select import select
from pipeline.evidence.show import show
from pipeline.evidence.verify import check_file
from tests.support.paper_log import PaperLog, policy_text
from tests.unit.elements.bench import JOURNAL, SIGNER, Bench, opened

BOTH = read_policy(policy_text("both"))


def log_of(bench: Bench) -> PaperLog:
    log = PaperLog(JOURNAL, list(bench.records))
    log.seal()
    return log


def test_each_task_of_a_day_has_evidence_that_verifies(tmp_path: Path) -> None:
    bench = opened()
    tasks = [bench.check_passes(), bench.weigh(0.0005, 50.0005), bench.weigh(0.0005, 51.0)]
    held = tasks[-1]
    bench.do(
        "hold.release", bench.someone(SIGNER), task=held, reason="retest agreed", disposition="retest",
        signed_hash=bench.view(held)["to_sign"],
    )  # fmt: skip
    log = log_of(bench)
    for task in tasks:
        path = tmp_path / task
        made = create(log, task, path)
        assert check_file(path, BOTH).problems == []
        shown = show(path)
        assert {one["element"]: one["seq"] for one in shown["verdicts"]} == {
            one["element"]: one["seq"] for one in bench.view(task)["verdicts"]
        }
        assert made.final
    assert [one["disposition"] for one in show(tmp_path / held)["dispositions"]] == ["retest"]


def test_a_task_that_still_runs_has_evidence_of_what_is_there(tmp_path: Path) -> None:
    bench = opened()
    task = bench.start()
    bench.air(3)
    bench.tick()
    log = log_of(bench)
    made = create(log, task, tmp_path / "x")
    assert not made.final
    assert check_file(tmp_path / "x", BOTH).problems == []


def test_other_samples_and_people_stay_out(tmp_path: Path) -> None:
    bench = opened()
    one, other = bench.weigh(), bench.weigh()
    log = log_of(bench)
    found = select(log, one)
    told = {record.body.get("task") for record in map(log.record, found.seqs) if record is not None}
    assert one in told
    assert other not in told
