"""The table of checks: corrections of readings."""

from dataclasses import replace
from typing import Any

from pipeline.corrections import Correction
from pipeline.records.block import Channel, Layout
from tests.unit.elements.bench import Bench
from tests.unit.elements.stories import (
    Entries,
    Row,
    Script,
    Story,
    certified_for,
    during,
    eq,
    loaded,
    qualified,
    tested,
)

IS_MISSING = "the reason is the missing fact itself"
IT_IS_SO = "it is so or not: there is no limit to stand on"
SETTING = Layout((Channel("weight", "i8", "g", labels=((50, "half"),)), Channel("stable", "i8")))


def stated(**changes: Any) -> Correction:
    facts: dict[str, Any] = {
        "equipment": "EQ-1", "channel": "weight", "certificate": "C-1", "kind": "offset", "low": -0.1,
        "high": 220.0, "unit": "g", "offset": 0.0001, "uncertainty": 0.0002,
    }  # fmt: skip
    return Correction(**{**facts, **changes})


def by_certificate(**changes: Any) -> Entries:
    """The balance has a correction in force."""
    return {**qualified(correction="COR-7"), ("correction", "COR-7"): stated(**changes)}


def carried(*ids: str | None) -> Script:
    return during(lambda bench, _task: [bench.weight(50.0, correction=one) for one in ids])


def said_again(**changes: Any) -> Script:
    """After the work a record says the correction once more."""

    def script(bench: Bench) -> str:
        task = tested(bench)
        bench.enrol({("correction", "COR-7"): stated(**changes)})
        bench.air(1)
        return task

    return script


def coded(bench: Bench, _task: str) -> None:
    bench.frame("bal-1", SETTING, [(50.0, 1.0)])


WITHDRAWN = {
    **by_certificate(), **eq(metrology=replace(certified_for(correction="COR-7"), withdrawn=True)),
}  # fmt: skip

CORRECTIONS: dict[str, Row] = {
    "correction-not-applied": Row(
        Story(tested, by_certificate()), Story(carried("COR-7@3", "COR-8@4"), by_certificate()),
        Story(said_again(), by_certificate()),
        Story(carried(""), by_certificate(), instead="correction-not-applied"),
    ),
    "correction-unknown": Row(
        Story(tested, by_certificate()), Story(tested, qualified(correction="COR-7")), IT_IS_SO, IS_MISSING
    ),
    "correction-of-other": Row(
        Story(tested, by_certificate()), Story(tested, by_certificate(certificate="C-0")), IT_IS_SO,
        Story(tested, qualified(correction="COR-7"), instead="correction-unknown"),
    ),
    "correction-withdrawn": Row(
        Story(tested, by_certificate()), Story(tested, WITHDRAWN), IT_IS_SO,
        "a certificate of which nobody says that it was withdrawn holds",
    ),
    "correction-unit": Row(
        Story(tested, by_certificate()), Story(tested, by_certificate(unit="mg")),
        Story(tested, by_certificate(unit="g1")),
        Story(tested, by_certificate(unit=""), instead="correction-unit"),
    ),
    "correction-not-numeric": Row(
        Story(tested, by_certificate()), Story(during(coded), by_certificate()), IT_IS_SO,
        "every channel says of what kind its readings are",
    ),
    "correction-out-of-range": Row(
        Story(loaded(0.0, 50.0), by_certificate()), Story(loaded(0.0, 50.01), by_certificate(high=50.0)),
        Story(loaded(0.0, 50.0), by_certificate(low=0.0, high=50.0)),
        "a correction without its range is refused when it is imported",
    ),
}  # fmt: skip
