"""Corrections of single readings, and units that are matched by what they mean."""

import math
from dataclasses import replace

import pytest

from pipeline.corrections import ChannelPlan, Correction, Plan, correct_value, reading_body, redo_record
from pipeline.records import Channel, Reading
from pipeline.records.units import same_unit
from tests.support.journal_fake import make_record

OFFSET = Correction("EQ-1", "t", "C-1", "offset", -10.0, 60.0, "°C", offset=0.25)
PLAN = Plan([ChannelPlan("t", "COR-1@7", OFFSET)])
JOURNAL = bytes(16)


def one_off(value: float | str = 21.5, **changes: object) -> Reading:
    reading = Reading("an-1", Channel("t", unit="°C"), value, 5, 5, sample="S-1", text="21.5 C")
    return replace(reading, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("°C", "degC"), ("℃", "Cel"), ("L", "l"), ("L", "dm3"), ("m3/h", "m³/h"), ("µg", "ug"), ("", "1"),
        ("%", "%RH"), ("ohm", "Ω"), ("mS/cm", "dS/m"), ("NTU", "NTU"), ("g", "g "),
    ],
)  # fmt: skip
def test_texts_that_name_the_same_unit_are_the_same(one: str, other: str) -> None:
    assert same_unit(one, other)
    assert same_unit(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("kPa", "hPa"), ("°C", "K"), ("g", "mg"), ("W", "var"), ("W", "VA"), ("kW", "kvar"), ("pH", "1"),
        ("ppm", "mg/kg"), ("NTU", "FNU"), ("g", ""), ("Pa", "N"), ("kW.h", "kvar.h"), ("mS/cm", "µS/cm"),
    ],
)  # fmt: skip
def test_units_that_differ_in_size_zero_or_quantity_are_not(one: str, other: str) -> None:
    assert not same_unit(one, other)
    assert not same_unit(other, one)


@pytest.mark.parametrize("unit", ["°C", "degC", "Cel", "℃"])
def test_a_correction_fits_readings_whose_unit_is_written_otherwise(unit: str) -> None:
    found = correct_value(PLAN.channels[0], Channel("t", unit=unit), 21.5)
    assert found == ("COR-1@7", 21.75, "")


@pytest.mark.parametrize(
    ("channel", "value", "told"),
    [
        (Channel("t", unit="K"), 294.65, ("", None, "unit")),
        (Channel("t", "text"), "high", ("", None, "not-numeric")),
        (Channel("t", "i8", labels=((1, "on"),)), 1, ("", None, "not-numeric")),
        (Channel("t", unit="°C"), 60.5, ("COR-1@7", None, "")),
        (Channel("t", unit="°C"), math.nan, ("COR-1@7", None, "")),
    ],
)
def test_where_nothing_can_be_corrected_there_is_no_value_and_a_reason(
    channel: Channel, value: float | str, told: tuple[str, float | None, str]
) -> None:
    assert correct_value(PLAN.channels[0], channel, value) == told


def test_a_one_off_result_keeps_what_was_shown_and_has_the_corrected_value_beside() -> None:
    body = reading_body(one_off(), PLAN)
    assert (body["value"], body["text"], body["sample"]) == (21.5, "21.5 C", "S-1")
    assert (body["correction"], body["corrected"], body["uncorrected"]) == ("COR-1@7", 21.75, "")


@pytest.mark.parametrize("plan", [None, Plan([ChannelPlan("other", "COR-2@8", OFFSET)])])
def test_a_one_off_result_without_a_registered_correction_says_nothing_of_one(plan: Plan | None) -> None:
    assert "correction" not in reading_body(one_off(), plan)


def test_a_one_off_result_says_why_its_registered_correction_was_not_applied() -> None:
    withdrawn = Plan([ChannelPlan("t", "COR-1@7", None, "withdrawn")])
    body = reading_body(one_off(), withdrawn)
    assert (body["correction"], body["corrected"], body["uncorrected"]) == ("", None, "withdrawn")


def test_the_corrected_value_of_a_one_off_result_is_computed_again_to_the_last_bit() -> None:
    body = reading_body(one_off(), PLAN)
    known = {"COR-1@7": OFFSET}.get
    assert redo_record(make_record(9, "reading", body, JOURNAL), known) == (1, [])
    forged = make_record(9, "reading", {**body, "corrected": math.nextafter(21.75, 22.0)}, JOURNAL)
    assert redo_record(forged, known).problems == ["an-1.t: COR-1@7 gives another value than is recorded"]
    missing = redo_record(make_record(9, "reading", body, JOURNAL), lambda _name: None)
    assert missing.problems == ["an-1.t: the correction COR-1@7 is not at hand"]
    without = {**body, "corrected": None}
    assert redo_record(make_record(9, "reading", without, JOURNAL), known).problems


def test_a_reading_beyond_the_range_stays_without_a_value_when_it_is_computed_again() -> None:
    body = reading_body(one_off(60.5), PLAN)
    assert redo_record(make_record(9, "reading", body, JOURNAL), {"COR-1@7": OFFSET}.get) == (1, [])


def test_an_entry_by_hand_is_computed_again_as_a_reading_is() -> None:
    body = {"instrument": "an-1", "channel": "t", "value": 21.5, "unit": "degC", "correction": "COR-1@7"}
    entry = make_record(9, "entry", {**body, "corrected": 21.75}, JOURNAL)
    assert redo_record(entry, {"COR-1@7": OFFSET}.get) == (1, [])
    forged = make_record(9, "entry", {**body, "corrected": 21.5}, JOURNAL)
    assert len(redo_record(forged, {"COR-1@7": OFFSET}.get).problems) == 1


@pytest.mark.parametrize("kind", ["tick", "reading", "entry", "data"])
def test_records_without_a_corrected_value_have_nothing_to_compute(kind: str) -> None:
    record = make_record(9, kind, {"correction": "", "corrected": None}, JOURNAL)
    assert redo_record(record, lambda _name: None) == (0, [])
