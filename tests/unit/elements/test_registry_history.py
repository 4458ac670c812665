from pipeline.elements.registry_shapes import Person
from tests.unit.elements.bench import DAY, UTC0, Bench, balance, metrology, opened


def due(shown: list[dict[str, object]]) -> object:
    [entry] = [item for item in shown if item["id"] == "EQ-1"]
    return entry["data"]["metrology"]["certificate"]  # type: ignore[index]


def test_then_and_now_are_both_answered() -> None:
    bench = opened()
    then = bench.elements.last_seq
    bench.enrol({("equipment", "EQ-1"): balance(metrology=metrology(certificate="C-2"))})
    assert due(bench.elements.registry("equipment")) == "C-2"
    assert due(bench.elements.registry("equipment", known_at_seq=then)) == "C-1"


def test_what_was_not_known_then_is_not_shown() -> None:
    bench = opened()
    then = bench.elements.last_seq
    bench.enrol({("person", "p-9"): Person()})
    assert "p-9" in {entry["id"] for entry in bench.elements.registry("person")}
    assert "p-9" not in {entry["id"] for entry in bench.elements.registry("person", known_at_seq=then)}


def test_an_entry_is_shown_as_it_is_valid_at_an_instant() -> None:
    bench = Bench()
    bench.enrol({("equipment", "EQ-1"): balance()}, to_ns=UTC0)
    later = balance(metrology=metrology(certificate="C-2"))
    bench.enrol({("equipment", "EQ-1"): later}, from_ns=UTC0)
    shown = bench.elements.registry
    assert due(shown("equipment", at_utc_ns=UTC0 - 1)) == "C-1"
    assert due(shown("equipment", at_utc_ns=UTC0)) == "C-2"
    assert shown("equipment", at_utc_ns=0) == []


def test_a_correction_speaks_of_the_past_that_it_covers() -> None:
    bench = opened()
    corrected = balance(metrology=metrology(certificate="C-0"))
    bench.enrol({("equipment", "EQ-1"): corrected}, from_ns=UTC0 - 9 * DAY, to_ns=UTC0 - DAY)
    shown = bench.elements.registry
    assert due(shown("equipment", at_utc_ns=UTC0 - 2 * DAY)) == "C-0"
    assert due(shown("equipment", at_utc_ns=UTC0)) == "C-1"


def test_a_badge_belongs_to_whom_it_was_given_last() -> None:
    bench = opened()
    registry = bench.elements._fold.registry
    assert registry.person_of_badge("B-1", UTC0) == "p-1"
    bench.enrol({("person", "p-1"): Person(badge="B-77"), ("person", "p-5"): Person(badge="B-1")})
    assert registry.person_of_badge("B-1", UTC0) == "p-5"
    assert registry.person_of_badge("B-77", UTC0) == "p-1"


def test_an_instrument_can_move_to_another_asset() -> None:
    bench = opened()
    bench.enrol({("equipment", "EQ-9"): balance(serial="SN-9")}, from_ns=UTC0 + DAY)
    registry = bench.elements._fold.registry
    found = [registry.equipment_of("bal-1", at) for at in (UTC0, UTC0 + DAY)]
    assert [item and item[0] for item in found] == ["EQ-1", "EQ-9"]
    assert registry.equipment_instants("bal-1", UTC0, UTC0 + 2 * DAY) == [UTC0, UTC0 + DAY, UTC0 + 2 * DAY]


def test_the_end_of_validity_is_not_valid_any_more() -> None:
    bench = Bench()
    bench.enrol({("equipment", "EQ-1"): balance()}, to_ns=UTC0)
    assert due(bench.elements.registry("equipment", at_utc_ns=UTC0 - 1)) == "C-1"
    assert bench.elements.registry("equipment", at_utc_ns=UTC0) == []
