"""One-off results of analysers: recorded as they came, with what their correction makes of them beside."""

from __future__ import annotations

from pipeline.corrections import ChannelPlan, Correction, Plan
from pipeline.intake import Intake
from pipeline.records import Channel, Reading
from tests.unit.intake.test_intake import Rig


async def test_a_one_off_result_is_recorded_with_what_its_correction_makes_of_it() -> None:
    rig = Rig()
    stated = Correction("EQ-1", "x", "C-1", "offset", 0.0, 14.0, "pH", offset=0.125)
    asked: list[tuple[str, int]] = []

    def in_force(instrument: str, t_utc_ns: int) -> Plan:
        asked.append((instrument, t_utc_ns))
        return Plan([ChannelPlan("x", "COR-1@3", stated)])

    intake = Intake(rig.engine, rig.sink, rig.clock, lambda _name: "in-use", in_force)
    await intake.take(Reading("p-1", Channel("x", unit="pH"), 7.5, 11, 12, sample="S-1"))
    [record] = rig.sink.of("reading")
    assert asked == [("p-1", 11)]
    said = record.body
    assert (said["value"], said["corrected"], said["correction"]) == (7.5, 7.625, "COR-1@3")
