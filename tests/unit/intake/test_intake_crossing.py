"""Intake: a verdict on one instrument's rows that another one's rows brought."""

import dataclasses

from pipeline.intake import Intake
from pipeline.qc import ChannelQc, QcEngine
from pipeline.records.frame import decode_flags
from tests.unit.intake.test_intake import SECOND, Rig


async def test_a_comparison_across_instruments_is_recorded_for_the_instrument_that_was_judged() -> None:
    qc = ChannelQc.model_validate(
        {"redundancy": {"instrument": "p-2", "partner": "pressure", "align_tol_s": 0.1, "fail": 1.0}}
    )
    rig = Rig()
    config = {"p-1": {"pressure": qc}, "p-2": {"pressure": ChannelQc()}}
    rig.engine = QcEngine(config, dict.fromkeys(config, 0.1))
    rig.engine.warm()
    rig.intake = Intake(rig.engine, rig.sink, rig.clock, lambda _instrument: rig.service)
    await rig.intake.take(rig.block(35.0, 35.0, step_ns=SECOND))
    rig.clock.now_ns = SECOND
    for values in ((35.0, 37.0), (35.0,)):
        await rig.intake.take(dataclasses.replace(rig.block(*values, step_ns=SECOND), instrument="p-2"))
    rig.intake.close_all()
    rig.intake.close_due()
    said = [decode_flags(record.body) for record in rig.sink.of("flags")]
    assert [(one.instrument, one.rule, one.n.tolist(), one.flag.tolist()) for one in said] == [
        ("p-1", "redundancy", [1], [4])
    ]
    assert said[0].decided_through_n == 1
    (event,) = rig.sink.of("event")
    assert (event.body["instrument"], event.body["args"]["rule"]) == ("p-1", "redundancy")
