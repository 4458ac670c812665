"""Intake: corrected values beside readings, and why a registered correction gave none."""

import dataclasses

import numpy as np

from pipeline.corrections import ChannelPlan, Correction, Plan
from pipeline.intake import Intake
from pipeline.records import Channel, Layout
from pipeline.records.frame import decode_frame
from tests.unit.intake.test_intake import Rig


def correcting(offset: float, unit: str = "MPa") -> Plan:
    correction = Correction("EQ-1", "pressure", "C-1", "offset", 0.0, 70.0, unit, offset)
    return Plan([ChannelPlan("pressure", f"COR-1@{int(offset)}", correction)])


async def test_a_change_of_the_corrections_begins_a_frame_and_the_readings_stay_as_they_are() -> None:
    rig = Rig()
    plans: list[Plan | None] = [None, correcting(1.0), correcting(2.0)]
    asked: list[tuple[str, int]] = []

    def in_force(instrument: str, t_utc_ns: int) -> Plan | None:
        asked.append((instrument, t_utc_ns))
        return plans[0]

    rig.intake = Intake(rig.engine, rig.sink, rig.clock, lambda _instrument: "in-use", in_force)
    while plans:
        await rig.intake.take(rig.block(35.0))
        await rig.intake.take(rig.block(36.0))
        plans.pop(0)
    rig.intake.close_all()
    frames = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert [frame.block.f8.tolist() for frame in frames] == [[[35.0, 36.0]]] * 3
    told = [{name: (how, values.tolist()) for name, (how, values) in f.corrected.items()} for f in frames]
    assert told == [{}, {"pressure": ("COR-1@1", [36.0, 37.0])}, {"pressure": ("COR-1@2", [37.0, 38.0])}]
    assert [name for name, _ in asked] == ["p-1"] * 6
    assert asked[0][1] == int(frames[0].block.t_utc_ns[0])


async def test_a_missing_reading_has_no_corrected_value_and_a_unit_that_changed_gives_none() -> None:
    rig = Rig()
    plan = correcting(1.0)
    rig.intake = Intake(rig.engine, rig.sink, rig.clock, lambda _i: "in-use", lambda _i, _t: plan)
    block = rig.block(35.0, np.nan, 70.1)
    await rig.intake.take(dataclasses.replace(block, status=np.array([[0, 1, 0]], np.uint8)))
    await rig.intake.take(rig.block(35.0, layout=Layout((Channel("pressure", unit="bar"),))))
    rig.intake.close_all()
    good, other = [decode_frame(record.body) for record in rig.sink.of("data")]
    assert good.corrected["pressure"][1][0] == 36.0
    assert np.isnan(good.corrected["pressure"][1][1:]).all()
    assert (other.corrected, other.uncorrected) == ({}, {"pressure": "unit"})
