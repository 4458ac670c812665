import dataclasses
import math
from pathlib import Path

import pytest

from pipeline.archive import Archive, archived_records
from pipeline.elements import ElementsSettings
from pipeline.elements.formulas.recompute import KINDS, first_difference, recompute
from pipeline.elements.registry_shapes import FormulaInput, Method, ResultSpec
from pipeline.records.envelope import Record
from pipeline.store.door import Origin
from tests.unit.elements.bench import Bench, opened, weighing


def ratio() -> Method:
    inputs = (FormulaInput("w", "weight", "g"),)
    spec = ResultSpec("ratio", formula="sqrt(mean(w) / max(w)) + ln(count(w))", inputs=inputs)
    return weighing(results=(spec, ResultSpec("net_mass", "net-weight", "weight")))


def worked() -> Bench:
    """A day with two tasks, of which the second one is recomputed, and what has nothing to do with it."""
    bench = opened({("method", "weighing"): ratio()})
    bench.weigh(0.0, 51.0)
    bench.weigh(0.0003, 50.0017, 50.0019, 0.1)
    bench.enrol({("method", "weighing"): weighing(edition="2030", results=())})
    return bench


def records_of(bench: Bench) -> list[Record]:
    return [record for record in bench.records if record.kind in KINDS]


def results_of(bench: Bench) -> list[Record]:
    return bench.of_kind("result")[-2:]


def test_every_result_is_recomputed_to_the_last_bit_as_known_then() -> None:
    bench = worked()
    for result in results_of(bench):
        outcome = recompute(records_of(bench), result, bench.settings)
        assert outcome.agrees, outcome.difference
        assert outcome.missing == ()
        assert outcome.records < len(bench.records)


def test_a_changed_last_bit_is_named() -> None:
    bench = worked()
    result = results_of(bench)[0]
    value = math.nextafter(result.body["value"], 2 * result.body["value"])
    forged = dataclasses.replace(result, body={**result.body, "value": value})
    outcome = recompute(records_of(bench), forged, bench.settings)
    assert not outcome.agrees
    assert outcome.difference is not None
    assert (outcome.difference.path, outcome.difference.recorded) == ("value", value)
    assert outcome.difference.recomputed == result.body["value"]


def test_readings_that_are_not_at_hand_are_named() -> None:
    bench = worked()
    result = results_of(bench)[1]
    gone = result.body["seqs"][-1]
    outcome = recompute([one for one in records_of(bench) if one.seq != gone], result, bench.settings)
    assert not outcome.agrees
    assert f"record {gone}, which the result cites, is not at hand" in outcome.missing
    assert any("of bal-1 are not among the records" in told for told in outcome.missing)


def test_a_task_without_its_start_is_told() -> None:
    bench = worked()
    result = results_of(bench)[1]
    outcome = recompute([one for one in records_of(bench) if one.kind != "task"], result, bench.settings)
    assert not outcome.agrees
    assert "the start of task" in outcome.missing[0]


@pytest.mark.parametrize(
    ("one", "other", "path"),
    [
        ({"a": 1}, {"a": 1}, None),
        ({"a": 0.0}, {"a": -0.0}, "a"),
        ({"a": math.nan}, {"a": math.nan}, None),
        ({"a": 1}, {"a": 1.0}, "a"),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "a.b[1]"),
        ({"a": [1]}, {"a": [1, 2]}, "a (length)"),
        ({"a": 1}, {"a": 1, "b": 2}, "b"),
        ({"a": 1, "b": 2}, {"a": 1}, "b"),
    ],
)
def test_the_first_difference_is_found(one: object, other: object, path: str | None) -> None:
    found = first_difference(one, other)
    assert (None if found is None else found.path) == path


async def test_the_archive_of_a_collector_gives_the_same_result(tmp_path: Path) -> None:
    bench = worked()
    folder = tmp_path / "archive"
    archive = await Archive.open(folder, bytes(16))
    await archive.append([(Origin("lab", "gw"), record) for record in reversed(bench.records)])
    prefix = bench.records[0].journal.hex()[:8]
    # While the collector still has it open:
    kept = sorted(archived_records(folder, prefix, KINDS), key=lambda record: record.seq)
    assert list(archived_records(folder, "ffff", KINDS)) == []
    await archive.close()
    outcome = recompute(kept, results_of(bench)[0], ElementsSettings())
    assert outcome.agrees, outcome.difference
