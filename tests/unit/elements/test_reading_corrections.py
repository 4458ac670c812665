"""Corrections of readings through the elements: what carries them, is judged by them, rests on them."""

import dataclasses
import math

import numpy as np
import pytest

from pipeline.corrections import CorrectionPoint
from pipeline.elements import ElementsSettings
from pipeline.elements.codec import to_body
from pipeline.elements.formulas.recompute import KINDS, recompute
from pipeline.elements.refusal import Refused
from pipeline.elements.registry_shapes import ChannelQualification, Step
from pipeline.records.frame import decode_frame, encode_frame
from tests.unit.elements.bench import DAY, SECOND, UTC0, Bench, metrology, opened, room, sensor
from tests.unit.elements.stories import (
    Entries,
    certified_for,
    eq,
    formula,
    loaded,
    qualified,
    stepped,
)
from tests.unit.elements.stories import tested as worked
from tests.unit.elements.table_corrections import by_certificate, stated

POINTS = (
    CorrectionPoint(0.0, 0.0, 0.0001),
    CorrectionPoint(50.0, -0.0003, 0.0002),
    CorrectionPoint(200.0, 0.0, 0.001),
)


def by_table(**changes: object) -> Entries:
    return by_certificate(kind="table", offset=0.0, low=0.0, high=200.0, points=POINTS, **changes)


def warm_room(**changes: object) -> Entries:
    """The thermometer of the room shows 2 K too little."""
    channels = (ChannelQualification("temperature", "°C", -10.0, 60.0, 0.3, 2.0, correction="COR-T"),)
    correction = stated(
        equipment="EQ-T", channel="temperature", low=-10.0, high=60.0, unit="°C", offset=2.0, **changes
    )
    return {
        ("equipment", "EQ-T"): sensor("th-1", metrology=metrology(channels=channels)),
        ("correction", "COR-T"): correction,
    }


def test_a_frame_carries_the_corrected_values_and_the_record_that_they_come_from() -> None:
    bench = opened(by_certificate())
    seq = bench.weight(50.0, 60.0)
    [said] = [record for record in bench.of_kind("registry") if record.body["id"] == "COR-7"]
    frame = decode_frame(bench.records[seq].body)
    assert frame.corrected["weight"][0] == f"COR-7@{said.seq}"
    assert frame.corrected["weight"][1].tolist() == [50.0 + 0.0001, 60.0 + 0.0001]
    assert frame.block.f8[0].tolist() == [50.0, 60.0]


def test_a_registry_change_counts_from_the_next_record_on() -> None:
    bench = opened(by_certificate())
    before = bench.weight(50.0)
    bench.enrol({("correction", "COR-7"): stated(offset=0.5)})
    after = bench.weight(50.0)
    values = [decode_frame(bench.records[seq].body).corrected["weight"][1][0] for seq in (before, after)]
    assert values == [50.0001, 50.5]


def test_the_element_says_which_correction_the_readings_carried() -> None:
    bench = opened(by_certificate())
    verdict = bench.verdict(worked(bench), "equipment")
    assert verdict["status"] == "ok"
    [said] = [record for record in bench.of_kind("registry") if record.body["id"] == "COR-7"]
    assert verdict["facts"]["instruments"]["bal-1"]["corrections"] == {"weight": f"COR-7@{said.seq}"}


def test_a_correction_that_the_registry_drops_for_the_past_holds_what_carried_it() -> None:
    bench = opened(by_certificate())
    task = worked(bench)
    assert bench.codes(task, "equipment") == set()
    bench.enrol(qualified())
    bench.air(1)
    assert bench.codes(task, "equipment") == {"correction-not-applied"}


def test_a_correction_registered_for_the_past_holds_what_did_not_carry_it() -> None:
    bench = opened()
    task = worked(bench)
    bench.enrol(by_certificate())
    bench.air(1)
    assert bench.codes(task, "equipment") == {"correction-not-applied"}


def test_a_correction_that_begins_in_the_middle_of_the_work_is_right_on_both_sides() -> None:
    bench = opened()
    bench.enrol(by_certificate(), from_ns=UTC0 + 30 * SECOND)
    task = bench.start()
    for _ in range(40):
        bench.air(1)
        bench.weight(50.0)
    bench.finish(task)
    assert bench.codes(task, "equipment") == set()
    frames = [decode_frame(record.body) for record in bench.of_kind("data")]
    carried = ["weight" in frame.corrected for frame in frames if frame.block.instrument == "bal-1"]
    assert carried == [False] * 29 + [True] * 11


def test_a_withdrawn_certificate_corrects_nothing_more_and_holds_what_came_before() -> None:
    bench = opened(by_certificate())
    task = worked(bench)
    withdrawn = dataclasses.replace(certified_for(correction="COR-7"), withdrawn=True)
    bench.enrol(eq(metrology=withdrawn))
    frame = decode_frame(bench.records[bench.weight(50.0)].body)
    assert (frame.corrected, frame.uncorrected) == ({}, {"weight": "withdrawn"})
    bench.air(1)
    assert "correction-withdrawn" in bench.codes(task, "equipment")


def test_no_reading_has_a_corrected_value_beyond_the_range() -> None:
    bench = opened(by_certificate(high=60.0))
    frame = decode_frame(bench.records[bench.weight(60.0, 60.0001)].body)
    assert frame.corrected["weight"][1][0] == 60.0001
    assert math.isnan(frame.corrected["weight"][1][1])


def test_limits_of_the_air_are_of_what_is_true_not_of_what_is_shown() -> None:
    for entries, outside in (({}, False), (warm_room(), True)):
        bench = opened(entries)
        bench.check_passes()
        task = bench.start()
        bench.air(3, 25.0)
        bench.weight(0.0, 50.0)
        bench.finish(task)
        found = "environment-excursion" in bench.codes(task, "environment")
        assert found is outside, bench.codes(task, "environment")


def test_air_beyond_the_range_of_its_correction_is_not_known() -> None:
    bench = opened({**warm_room(), ("environment", "room"): room(staleness_s=2.0)})
    task = bench.start()
    bench.air(6, 60.5)
    bench.finish(task)
    assert "correction-out-of-range" in bench.codes(task, "equipment")
    assert bench.verdict(task, "environment")["status"] != "ok"


def test_limits_of_a_step_are_of_the_corrected_value() -> None:
    step = Step("hold", "weight", 50.05, 50.2, duration_min_s=1.0)
    for offset, low in ((0.0001, True), (0.1, False)):
        bench = opened({**stepped(step), **by_certificate(offset=offset)})
        task = bench.start()
        for _ in range(4):
            bench.air(1)
            bench.weight(50.0)
        bench.finish(task)
        assert ("step-not-reached" in bench.codes(task, "method")) is low


def budget_of(bench: Bench, task: str, quantity: str) -> dict[str, float]:
    [result] = [one for one in bench.view(task)["results"] if one["quantity"] == quantity]
    return {part["input"]: abs(part["u"]) for part in result["facts"]["budget"]}


def test_a_result_rests_on_corrected_values_and_the_uncertainty_stated_there() -> None:
    bench = opened(by_table())
    task = loaded(0.0, 50.0)(bench)
    [result] = bench.view(task)["results"]
    assert result["value"] == 50.0 - 0.0003
    assert budget_of(bench, task, "net_mass") == {
        "gross(x): correction": 0.0001, "tare(x): correction": 0.00005
    }  # fmt: skip
    assert result["uncertainty"] == pytest.approx(2 * math.hypot(0.0001, 0.00005), rel=1e-12)


def test_between_two_points_the_larger_uncertainty_goes_into_the_budget() -> None:
    bench = opened(by_table())
    task = loaded(0.0, 51.0)(bench)
    assert budget_of(bench, task, "net_mass")["gross(x): correction"] == 0.0005


def test_a_correction_that_states_no_uncertainty_leaves_that_of_the_channel() -> None:
    bench = opened(by_certificate(uncertainty=None))
    task = loaded(0.0, 50.0)(bench)
    assert budget_of(bench, task, "net_mass") == {"gross(x)": 0.00015, "tare(x)": 0.00015}


def test_few_degrees_of_freedom_make_the_coverage_factor_larger() -> None:
    entries = by_certificate(uncertainty=0.0004, degrees_of_freedom=4.0)
    spec = {("method", "weighing"): formula("last(w)", coverage="student")}
    bench = opened({**entries, **spec})
    task = loaded(0.0, 50.0)(bench)
    [result] = bench.view(task)["results"]
    assert (result["k"], result["facts"]["degrees_of_freedom"]) == (2.87, 4.0)
    assert result["uncertainty"] == pytest.approx(2.87 * 0.0002, rel=1e-12)


def test_a_mean_of_few_readings_brings_its_own_degrees_of_freedom() -> None:
    spec = {("method", "weighing"): formula("mean(w)", coverage="student")}
    bench = opened({**by_certificate(), **spec})
    task = bench.start()
    bench.air(1)
    bench.weight(50.0, 50.001, 50.002)
    bench.finish(task)
    [result] = bench.view(task)["results"]
    # u_A² = s²/3 with 2 degrees of freedom, beside u_B = 0.0001 with so many that they do not count.
    u_a, u_b = 0.001 / math.sqrt(3), 0.0001
    degrees = (u_a**2 + u_b**2) ** 2 / (u_a**4 / 2)
    assert result["facts"]["degrees_of_freedom"] == pytest.approx(degrees, rel=1e-9)
    assert result["k"] == 4.53


def test_a_result_of_corrected_readings_is_recomputed_to_the_last_bit() -> None:
    bench = opened(by_table())
    loaded(0.0, 50.0017)(bench)
    bench.enrol({("correction", "COR-7"): stated(offset=9.0)})
    records = [record for record in bench.records if record.kind in KINDS]
    outcome = recompute(records, bench.of_kind("result")[-1], ElementsSettings())
    assert outcome.agrees, outcome.difference


def test_a_forged_corrected_value_is_named() -> None:
    bench = opened(by_table())
    loaded(0.0, 50.0017)(bench)
    result = bench.of_kind("result")[-1]
    seq = result.body["seqs"][-1]
    frame = decode_frame(bench.records[seq].body)
    name, values = frame.corrected["weight"]
    forged = dataclasses.replace(frame, corrected={"weight": (name, np.nextafter(values, np.inf))})
    records = [
        dataclasses.replace(record, body=encode_frame(forged)) if record.seq == seq else record
        for record in bench.records
        if record.kind in KINDS
    ]
    outcome = recompute(records, result, ElementsSettings())
    assert outcome.difference is not None
    assert (outcome.difference.path, outcome.difference.recorded) == ("corrected", f"record {seq}")
    assert not outcome.agrees


def test_another_program_cannot_register_a_correction_that_means_nothing() -> None:
    bench = opened()
    entry = {"type": "correction", "id": "COR-9", "data": to_body(stated(low=5.0, high=1.0))}
    with pytest.raises(Refused, match="not below"):
        bench.plan("registry.import", records=[entry])


def test_a_snapshot_keeps_what_readings_carried() -> None:
    bench = opened(by_certificate())
    task = bench.start()
    bench.air(1)
    bench.weight(0.0, 50.0)
    fresh = Bench(ElementsSettings())
    fresh.elements.restore(bench.elements.snapshot())
    assert fresh.elements.fold.state.tasks[task].channels == bench.elements.fold.state.tasks[task].channels
    plan = fresh.elements.corrections("bal-1", UTC0 + DAY)
    assert plan is not None
    assert plan.channels == bench.elements.corrections("bal-1", UTC0 + DAY).channels  # type: ignore[union-attr]
