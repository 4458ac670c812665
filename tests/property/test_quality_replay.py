"""Alarms, batches, charts and look-backs in any order: the same state from any restart point."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.elements import Elements, ElementsSettings, Refused
from pipeline.elements.alarms import views as alarm_views
from pipeline.elements.alarms.settings import AlarmSettings
from pipeline.elements.alarms.state import GROUPS_MAX
from pipeline.elements.alarms.table import RULES
from pipeline.elements.batches.chart_commands import chart_hash
from pipeline.elements.registry_shapes import QcItem
from pipeline.records.events import event_body
from tests.unit.elements.bench import SECOND_ANALYST, SIGNER, Bench, drafts_of
from tests.unit.elements.quality import laboratory, qc_sample

Deed = Callable[[Bench], object]


def attempt(bench: Bench, command: str, person: str = SIGNER, **args: Any) -> None:
    try:
        bench.do(command, bench.someone(person), **args)
    except Refused:
        bench.tick()


def event(code: str, instrument: str | None = "bal-1", **args: Any) -> Deed:
    return lambda bench: bench.append("event", event_body(code, instrument=instrument, **args))


def step(deed: str) -> Deed:
    def act(bench: Bench) -> None:
        known = alarm_views.alarms(bench.elements.fold.state)
        attempt(bench, f"alarm.{deed}", alarm=known[0]["alarm"] if known else "none", text="seen")

    return act


ALARM_DEEDS: dict[str, Deed] = {
    "lost": event("instrument-lost", error="e"), "back": event("instrument-back", seconds=1.0),
    "lost 2": event("instrument-lost", "th-1", error="e"), "slow": event("slow-sync", None, seconds=2.0),
    "frame": event("bad-frame", error="e"),
    "maintenance": lambda b: attempt(b, "instrument.state", instrument="bal-1", state="maintenance"),
    "in use": lambda b: attempt(b, "instrument.state", instrument="bal-1", state="in-use"),
    "second": lambda b: b.tick(1), "quarter": lambda b: b.tick(900), "day": lambda b: b.tick(86_400),
    **{deed: step(deed) for deed in ("acknowledge", "cause", "action", "close")},
    "flood": lambda b: [event("part-failed", None, part=f"p{n}", error="e")(b) for n in range(30)],
}  # fmt: skip


def sound(bench: Bench) -> None:
    """What holds of the alarms whatever happened."""
    state = bench.elements.fold.state.alarms
    opened = [one for one in state.items.values() if one.is_open]
    assert sorted(state.groups.values()) == sorted(one.id for one in opened)
    for code, count in state.open_by_code.items():
        assert count == sum(one.code == code for one in opened) <= GROUPS_MAX + 1
    events = [record for record in bench.of_kind("event") if record.body["code"] in RULES]
    assert sum(one.count for one in state.items.values()) == len(events)  # not one is lost
    assert all(one.seq is not None for one in state.items.values())


def same_from_anywhere(bench: Bench, cut: int) -> None:
    """Half the records, a snapshot, the other half: the state and the drafts of the whole."""
    whole = Elements(bench.settings)
    all_drafts = drafts_of(bench.records, whole)
    first = Elements(bench.settings)
    drafts = drafts_of(bench.records[:cut], first)
    second = Elements(bench.settings)
    second.restore(first.snapshot())
    drafts += drafts_of(bench.records[cut:], second)
    assert second.snapshot() == whole.snapshot() == bench.elements.snapshot()
    assert drafts == all_drafts
    derived = [record for record in bench.records if record.by is not None]
    assert [(draft.kind, draft.body) for draft in all_drafts] == [
        (record.kind, record.body) for record in sorted(derived, key=lambda r: (r.by.through_seq, r.by.index))  # type: ignore[union-attr]
    ]  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(deeds=st.lists(st.sampled_from(sorted(ALARM_DEEDS)), max_size=25), cut=st.floats(0, 1))
def test_alarms_are_the_same_from_any_restart_point_and_lose_no_event(deeds: list[str], cut: float) -> None:
    bench = Bench(ElementsSettings(alarms=AlarmSettings(escalate_alarm=600.0)))
    bench.append("config", {})
    bench.enrol()
    for deed in deeds:
        ALARM_DEEDS[deed](bench)
        sound(bench)
    same_from_anywhere(bench, round(cut * len(bench.records)))


def newest(bench: Bench) -> str:
    tasks = bench.elements.tasks(limit=1)
    return tasks[0]["task"] if tasks else "none"


def propose(bench: Bench) -> None:
    attempt(
        bench, "chart.propose", SECOND_ANALYST, method="weighing", instrument="bal-1", quantity="net_mass",
        material="QC-1", basis="assigned", centre=50.0, sd=0.01, unit="g", reason="insert",
    )  # fmt: skip


def approve(bench: Bench) -> None:
    for key, chart in list(bench.elements.fold.state.batches.charts.items()):
        for version in [one for one in chart.versions if one.approval is None]:
            args: dict[str, Any] = {
                "chart": key,
                "version": version.version,
                "signed_hash": chart_hash(version),
            }
            attempt(bench, "chart.approve", reason="stable", **args)


def start(**args: Any) -> Deed:
    facts = {"method": "weighing", "instrument": "bal-1", **args}
    return lambda bench: attempt(bench, "task.start", "p-1", **facts)


def finish(bench: Bench) -> None:
    attempt(bench, "task.stop", "p-1", task=newest(bench))
    bench.air(6)


QUALITY_DEEDS: dict[str, Deed] = {
    "open": lambda b: attempt(b, "batch.open", batch=f"B-{len(b.elements.fold.state.batches.batches) + 1}",
                              method="weighing"),
    "close": lambda b: attempt(b, "batch.close", batch=f"B-{len(b.elements.fold.state.batches.batches)}",
                               without_qc="reason"),
    "test": start(sample="S-1"), "test in batch": start(sample="S-1", batch="B-1"),
    "blank in batch": start(purpose="qc", control="blank", batch="B-1"),
    "duplicate": lambda b: start(purpose="qc", sample="S-1", control="duplicate", of=newest(b))(b),
    "qc good": lambda b: None if b.elements.tasks(phase="running") else qc_sample(b, 50.0),
    "qc bad": lambda b: None if b.elements.tasks(phase="running") else qc_sample(b, 50.05),
    "load": lambda b: b.weight(0.0, 50.0), "stop": finish, "air": lambda b: b.air(2),
    "abort": lambda b: attempt(b, "task.abort", "p-1", task=newest(b), reason="spilled"),
    "propose": propose, "approve": approve,
}  # fmt: skip
PLAN = (
    QcItem("blank", every=2, high=0.1), QcItem("duplicate", per_batch=1, high=1.0),
    QcItem("qc-sample", interval_s=3600.0),
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(deeds=st.lists(st.sampled_from(sorted(QUALITY_DEEDS)), max_size=18), cut=st.floats(0, 1))
def test_charts_batches_and_look_backs_are_the_same_from_any_restart_point(
    deeds: list[str], cut: float
) -> None:
    bench = laboratory(*PLAN, retained_tasks=3)
    for deed in deeds:
        QUALITY_DEEDS[deed](bench)
    same_from_anywhere(bench, round(cut * len(bench.records)))
    for chart in bench.elements.fold.state.batches.charts.values():
        assert len(chart.points) == chart.observations  # each observation is on its chart once
        assert len({point.task for point in chart.points}) == len(chart.points)
