"""A day in a laboratory, as `yaosu demo` plays it: nothing lost, each occurrence proved and shown."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dashboard.events import event_rows
from dashboard.language import messages
from dashboard.site import site_of
from gateway.demo.script import EXCURSION, SCRIPT
from gateway.site import load_site
from pipeline.evidence.create import create
from pipeline.evidence.policy import read_policy
from pipeline.evidence.redo import redo_file
from pipeline.evidence.sources import JournalSource
from pipeline.evidence.verify import check_file
from pipeline.qc.table import BY_NAME, RULES
from pipeline.records import Flag
from pipeline.store import Origin, open_store
from simulators import load_scenario
from tests.support.demo_day import TASKS, Live, Played, evidence_of, pages_of, proved, views_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pipeline.store.door import Counts, LedgerRow, Row
    from simulators.scenario import Expectation

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EVER = 2**62


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("day") / "demo"
    live = Live(folder)
    try:
        url = live.read_until("The pages are at").split()[4].rstrip("/")
        live.read_until("the script has ended")
        names, views = views_of(folder)
        pages = pages_of(url, names)
        evidence = evidence_of(folder, names["weighing"])
    finally:
        report = live.end()
    return Played(folder, report, views, pages, evidence, names)


@dataclass
class Kept:
    """What the run left in its store."""

    rows: dict[str, list[Row]]
    counts: Mapping[str, Counts]
    ledger: dict[str, list[LedgerRow]]

    def told(self) -> list[dict[str, Any]]:
        """All events of the run, with their texts as the pages show them."""
        return event_rows(self.ledger["event"], "lab", messages("en"), {})


async def kept(folder: Path) -> Kept:
    """Read the store of a run that has ended."""
    site = load_site(folder / "gateway.toml")
    origin = Origin(site.settings.site.lab, site.settings.site.gateway)
    async with open_store(site.store) as store:
        return Kept(
            {name: await store.rows(origin, name, n_from=0, n_to=EVER)
             for name in await store.instruments(origin)},
            await store.counts(origin, 0, EVER),
            {kind: await store.ledger(origin, kind, limit=10_000, newest_first=False)
             for kind in ("config", "event", "gap", "verdict")},
        )  # fmt: skip


async def test_the_demonstration_loses_nothing_and_tells_every_seeded_fault(played: Played) -> None:
    report = played.report
    assert report["scenario"] == "two_benches"
    assert report["instruments"] == 6
    assert report["channels"] == 16
    assert report["readings_acquired"] == report["readings_stored"] > 3000
    assert (report["lost"], report["duplicated"], report["unexpected"]) == (0, 0, [])
    assert [one["step"] for one in report["day"]] == [step.name for step in SCRIPT]
    assert report["records"] > 100
    assert 0 < report["latency_ms"]["p50"] <= report["latency_ms"]["p99"]
    assert report["dashboard"].startswith("http://127.0.0.1:")
    store = await kept(played.folder)
    events = store.told()
    assert_overdue_calibration(report, events)
    assert_environment_excursion(report, events)
    assert report["rules"]["spike"] >= 1
    assert named(events, "p-1", "spike")
    assert report["rules"]["flat_line"] >= 10
    assert named(events, "p-2", "flat line")
    assert named(events, "em-1", "stopped answering")
    assert named(events, "em-1", "answers again")
    assert report["rules"]["gap"] >= 1
    assert_corrected(store)
    assert_every_rule_is_on(store)
    assert_rules_are_quiet_elsewhere(store)
    expected = load_scenario("two_benches").expect
    assert {one.kind for one in expected} == set(FOUND)
    for one in expected:
        assert FOUND[one.kind](store, one), (
            f"the store does not show: {one.kind} of {one.instrument}: {one.text}"
        )


def test_every_record_that_a_task_of_the_day_cites_is_proved_by_its_evidence(
    played: Played, tmp_path: Path
) -> None:
    keys = (played.folder / "policy.txt").read_text(encoding="utf-8").splitlines()
    policy = read_policy(f"{keys[0]}\nquorum none\n")
    with closing(JournalSource(played.folder / "state" / "journal")) as source:
        for name in TASKS:
            task, path = played.task(name), tmp_path / name
            create(source, task["task"], path)
            checked = check_file(path, policy)
            assert not checked.problems, f"{name}: {checked.problems}"
            assert not redo_file(path).problems, name
            cited = {seq for one in task["verdicts"] for reason in one["reasons"] for seq in reason["seqs"]}
            cited |= {task["start_seq"], *(one["seq"] for one in task["verdicts"])}
            assert not {seq for seq in cited if seq >= 0} - proved(path), name


def test_a_shift_is_handed_over_in_mid_task(played: Played) -> None:
    operators = [one for one in played.task("weighing")["bindings"] if one["role"] == "operator"]
    assert [one["target"] for one in operators] == ["p-0001", "p-0002"]
    assert operators[0]["to_run_ns"] == operators[1]["from_run_ns"]
    played.says("/tasks/{weighing}", "p-0002", "p-0002")


def test_an_overdue_instrument_holds_the_equipment(played: Played) -> None:
    assert played.reason("hold-test", "equipment", "calibration-overdue")["seqs"]
    played.says("/tasks/{hold-test}", "certificate JD-2024-0309 of p-2 was due 2025-03-08",
                "p-2 的证书 JD-2024-0309 已于 2025-03-08")  # fmt: skip


def test_an_aborted_attempt_stays_visible_with_its_reason(played: Played) -> None:
    first, second = played.task("attempt-1"), played.task("hold-test")
    assert (first["phase"], first["attempt"], second["attempt"]) == ("aborted", 1, 2)
    assert first["abort_reason"] == "the fitting leaks"
    played.says("/tasks/{attempt-1}", "the fitting leaks", "the fitting leaks")


def test_the_steps_of_the_method_are_judged(played: Played) -> None:
    assert played.reason("hold-test", "method", "step-out-of-order")["seqs"]
    assert played.reason("hold-test", "method", "step-not-reached")["seqs"]
    played.says("/tasks/{hold-test}", "step vent was begun out of order", "步骤 vent 未按顺序开始")
    method = next(one for one in played.task("hold-test")["verdicts"] if one["element"] == "method")
    assert method["facts"]["steps"]["hold"]["passes"] == 1


def test_a_storage_excursion_holds_and_only_the_right_person_releases(played: Played) -> None:
    assert played.reason("weighing", "environment", *EXCURSION)["seqs"]
    played.says("/tasks/{weighing}", "storage sample-fridge: th-fridge.temperature",
                "储存场所 sample-fridge：th-fridge.temperature")  # fmt: skip
    played.says("/events", "hold.release by p-0001 was refused: p-0001 was an operator",
                "p-0001 的命令 hold.release 被拒绝：p-0001 是任务")  # fmt: skip
    reviews = played.task("weighing")["reviews"]
    assert [(one["disposition"], one["actor"]["person"]) for one in reviews] == [("release", "p-0003")]
    played.says("/tasks/{weighing}", "the mass does not depend on it", "the mass does not depend on it")


def test_a_sample_past_its_hold_time_is_held_and_sampled_again(played: Played) -> None:
    assert played.reason("late", "material", "hold-time-exceeded")["seqs"]
    assert [one["disposition"] for one in played.task("late")["reviews"]] == ["resample"]
    played.says("/tasks/{late}", "S-2026-0003 was", "检测开始时 S-2026-0003 已保存")


def test_a_failed_check_weight_looks_back_and_holds_what_was_clear(played: Played) -> None:
    assert played.task("check")["overall"] == "clear"
    assert played.reason("last-check", "measurement", "check-weight-out-of-tolerance")["seqs"]
    assert played.reason("sound", "measurement", "look-back")["seqs"]
    assert (played.task("sound")["overall"], played.task("weighing")["overall"]) == (
        "held", "released-under-look-back",
    )  # fmt: skip
    report = played.views[f"lookbacks/{played.names['lookback']}"]
    assert report["last_good"] == played.names["check"]
    affected = {one["task"]: one["overall"] for one in report["affected"]}
    assert affected[played.names["sound"]] == "clear"
    assert affected[played.names["weighing"]] == "released"
    played.says("/tasks/{last-check}", "check on bal-1 deviates by", "bal-1 的核查偏差为")
    played.says("/tasks/{sound}", "under look-back {lookback}", "处于追溯评价 {lookback}")
    played.says("/lookbacks/{lookback}", "{sound}", "{sound}")


def test_a_rejected_qc_sample_holds_its_batch_and_stands_on_its_chart(played: Played) -> None:
    assert played.reason("residue", "measurement", "qc-failed")["seqs"]
    played.says("/tasks/{residue}", "{reject} failed for dry_residue", "质控 {reject}")
    played.says("/batches/DR-0412", "{reject}", "{reject}")
    chart = played.views["charts/C-1"]
    assert [one["status"] for one in chart["points"]] == ["pass", "pass", "pass", "fail"]
    assert any("1-3s" in rule for rule in chart["points"][-1]["rules"])
    played.says("/charts/C-1", "1-3s", "1-3s")


def test_a_declared_formula_gives_a_result_with_its_uncertainty(played: Played) -> None:
    (result,) = played.task("residue")["results"]
    assert (result["quantity"], result["unit"]) == ("dry_residue", "%")
    assert result["value"] == pytest.approx(2.0316 / 5 * 100, abs=0.01)
    # By hand: 100 m/5 g, m = 2.0316 g: sqrt((20 %/g * 0.00015 g)^2 + (m/p^2 * 100 * 0.002 g)^2), k = 2.
    assert result["uncertainty"] == pytest.approx(0.0331, abs=0.0002)
    assert result["k"] == 2.0
    played.says("/tasks/{residue}", "40.63", "40.63")


def test_an_alarm_is_walked_to_its_end(played: Played) -> None:
    alarm = played.views[f"alarms/{played.names['alarm']}"]
    assert [one["deed"] for one in alarm["deeds"]] == ["acknowledge", "cause", "action", "close"]
    assert all(one["seq"] > alarm["first_seq"] for one in alarm["deeds"])
    for deed in alarm["deeds"]:
        played.says("/alarms/{alarm}", deed["text"], deed["text"])


def test_the_risk_index_is_the_sum_of_its_events(played: Played) -> None:
    risk = played.views["risk?subject=instrument:bal-1"]
    assert risk["index"] == math.fsum(one["points"] for one in risk["contributions"]) > 0
    assert "check-weight-out-of-tolerance" in {one["code"] for one in risk["contributions"]}
    played.says("/risk", "bal-1", "bal-1")


def test_one_file_proves_a_task_to_whoever_trusts_only_the_witness(played: Played) -> None:
    assert played.evidence["verified"], played.evidence["problems"]
    assert played.evidence["task"] == played.names["weighing"]
    (witness,) = {one["witness"] for one in played.evidence["cosigned"]}
    assert "institute" in witness


def assert_corrected(store: Kept) -> None:
    """The room's thermometer reads 0 to 0.2 K too much, as its certificate says."""
    rows = [row for row in store.rows["th-room"] if row.corrected]
    assert len(rows) > 20
    assert {*rows[0].corrected} == {"temperature"}
    excess = [float(row.values["temperature"] or 0.0) - row.corrected["temperature"] for row in rows]
    assert 0.0 < min(excess) <= max(excess) < 0.2 + 1e-9
    assert not [row for name in store.rows if name != "th-room" for row in store.rows[name] if row.corrected]


def found_flag(store: Kept, one: Expectation) -> bool:
    """Whether a reading of the channel has this flag in the end, and by this rule."""
    flag, rule = Flag[one.status.upper()], BY_NAME[one.rule]
    rows = [row for row in store.rows[str(one.instrument)] if row.flags[one.channel] == flag]
    if any(row.reasons[one.channel] >> rule.bit & 1 for row in rows):
        return True
    # A rule that waits speaks after the row is recorded: the row's own reasons do not name it.
    later = store.counts[str(one.instrument)].rules.get(one.rule, 0)
    return rule.later and later >= 1 and bool(rows)


def found_verdict(store: Kept, one: Expectation) -> bool:
    """Whether the last word on the element, in some task, is this, for a reason about the instrument."""
    newest = {row.key: row.body for row in store.ledger["verdict"] if row.body["element"] == one.element}
    return any(
        body["status"] == one.status
        and any(
            reason["status"] == one.status and reason["subject"].partition(".")[0] == one.instrument
            for reason in body["reasons"]
        )
        for body in newest.values()
    )


def found_gap(store: Kept, one: Expectation) -> bool:
    """Whether a gap of the instrument began and ended."""
    gaps = [row.body for row in store.ledger["gap"] if row.body["instrument"] == one.instrument]
    return {body["ended"] for body in gaps} == {False, True}


def found_event(store: Kept, one: Expectation) -> bool:
    """Whether an event says that the instrument went."""
    return any(
        row.body["instrument"] == one.instrument and row.body["code"] == "instrument-lost"
        for row in store.ledger["event"]
    )


FOUND = {"flag": found_flag, "verdict": found_verdict, "gap": found_gap, "event": found_event}
"""By kind of expectation: whether the store shows it."""


TELLS_OF_LATENESS = {"missing", "gap", "order", "duplicate", "late", "completeness", "stability"}
"""Rules that a busy machine may make fire anywhere, and the one that tells a state, not a fault."""
MAY_FIRE = {
    "th-fridge.temperature": {"range", "schedule"},
    "p-1.pressure": {"spike", "hampel", "rate_dev", "redundancy"},
    "p-2.raw_code": {"flat_line", "repeated"},
}
"""Channel to the rules that its fault is told by; nothing else may speak."""


def assert_every_rule_is_on(store: Kept) -> None:
    """The recorded configuration, as the channel pages show it, has each rule of the table on somewhere."""
    instruments = site_of(reversed(store.ledger["config"])).instruments.values()
    on = {name for one in instruments for channel in one.channels.values() for name in channel.rules}
    assert on == {rule.table for rule in RULES if rule.table}


def assert_rules_are_quiet_elsewhere(store: Kept) -> None:
    """No rule speaks of a channel that the scenario left alone."""
    spoke: dict[str, set[str]] = {}
    for instrument, rows in store.rows.items():
        later = {name for name, count in store.counts[instrument].rules.items() if count}
        quiet = {name for channel, names in MAY_FIRE.items() if channel.startswith(f"{instrument}.")
                 for name in names}  # fmt: skip
        assert later <= quiet, f"{instrument}: decided later by {later - quiet}"
        for row in rows:
            for channel, mask in row.reasons.items():
                fired = {rule.name for rule in RULES if mask >> rule.bit & 1}
                spoke.setdefault(f"{instrument}.{channel}", set()).update(fired)
    unexpected = {
        channel: names - TELLS_OF_LATENESS - MAY_FIRE.get(channel, set()) for channel, names in spoke.items()
    }
    assert {channel: names for channel, names in unexpected.items() if names} == {}


def assert_overdue_calibration(report: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert report["elements"]["equipment"]["hold"] >= 1
    assert any("JD-2024-0309" in event["text"] and "2025-03-08" in event["text"] for event in events)


def assert_environment_excursion(report: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert report["elements"]["environment"]["hold"] >= 1
    assert report["flags"]["fail"] >= 1
    assert named(events, "th-fridge", "range")
    assert any("sample-fridge" in event["text"] for event in events)


def named(events: list[dict[str, Any]], instrument: str, words: str) -> bool:
    """Whether a readable event, in both languages, names the instrument and says this."""
    return any(
        event["instrument"] == instrument and words in event["text"] and instrument in event["other"]
        for event in events
    )
