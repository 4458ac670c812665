"""Corrected values of an evidence file, computed again from nothing but the file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from pipeline.corrections import ChannelPlan, Correction, CorrectionPoint, Plan
from pipeline.elements.codec import to_body
from pipeline.evidence.create import create
from pipeline.evidence.redo import redo_file
from pipeline.records.frame import decode_frame, encode_frame
from tests.support.commanding import yaosu
from tests.support.journal_fake import make_record
from tests.support.paper_log import TASK, PaperLog, paper_log, policy_text

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Record


def corrected_log(*, forged: bool = False, registered: bool = True) -> PaperLog:
    """The paper log, its oven corrected from its own registry record on."""
    log = paper_log()
    [channel, *_] = decode_frame(log.records[-6].body).block.layout.channels
    points = (CorrectionPoint(-1.0, 0.1), CorrectionPoint(3.7, -0.2), CorrectionPoint(1e6, 0.3))
    correction = Correction(
        "eq-1", channel.name, "C-1", "table", -1.0, 1e6, channel.unit, points=points, uncertainty=0.1
    )
    body = {
        "type": "correction", "id": "eq-1" if registered else "nobody-names-it", "valid_from_ns": 0,
        "valid_to_ns": None, "recorded_at_ns": 0, "data": to_body(correction), "actor": {},
    }  # fmt: skip
    log.records[4] = make_record(4, "registry", body, log.journal)
    plan = Plan([ChannelPlan(channel.name, f"{body['id']}@4", correction)])
    log.records = [
        _corrected(log, record, plan, forged=forged)
        if record.kind == "data" and record.body["instrument"] == "oven" else record
        for record in log.records
    ]  # fmt: skip
    log.seal()
    return log


def _corrected(log: PaperLog, record: Record, plan: Plan, *, forged: bool) -> Record:
    frame = decode_frame(record.body)
    corrected, why = plan.apply(frame.block)
    if forged:
        corrected = {name: (by, np.nextafter(values, np.inf)) for name, (by, values) in corrected.items()}
    frame = dataclasses.replace(frame, corrected=corrected, uncorrected=why)
    return make_record(record.seq, "data", encode_frame(frame), log.journal)


def test_corrected_values_are_computed_again_from_the_file_alone(tmp_path: Path) -> None:
    file, policy = tmp_path / "task.evidence", tmp_path / "policy.txt"
    create(corrected_log(), TASK, file)
    redone = redo_file(file)
    assert redone.problems == []
    assert redone.values == 10
    policy.write_text(policy_text("both"))
    told = yaosu("verify", file, "--policy", policy)
    assert told.code == 0
    assert "10 corrected values computed again" in told.out


def test_values_that_were_sealed_and_are_no_corrections_are_named(tmp_path: Path) -> None:
    file, policy = tmp_path / "task.evidence", tmp_path / "policy.txt"
    create(corrected_log(forged=True), TASK, file)
    policy.write_text(policy_text("both"))
    told = yaosu("verify", file, "--policy", policy)
    assert told.code == 1
    assert "gives other values than are recorded" in told.out
    assert told.out.endswith("NOT VERIFIED\n")


def test_a_correction_that_is_not_in_the_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "task.evidence"
    create(corrected_log(registered=False), TASK, file)
    assert all("is not at hand" in problem for problem in redo_file(file).problems)
    assert redo_file(file).problems
