"""Whatever happens in whatever order, the drafts follow from the records alone."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.elements import Elements
from pipeline.elements.codec import to_body
from pipeline.records.envelope import Record
from tests.unit.elements.bench import drafts_of
from tests.unit.elements.days import STEPS, lived

days = st.lists(st.sampled_from(sorted(STEPS)), max_size=40)


def derived(records: list[Record]) -> list[tuple[str, dict[str, object]]]:
    return [(record.kind, record.body) for record in records if record.by is not None]


@given(days)
def test_the_same_records_give_the_same_drafts_bit_for_bit(steps: list[str]) -> None:
    bench = lived(steps)
    again = Elements(bench.settings)
    drafts = drafts_of(bench.records, again)
    assert [(draft.kind, draft.body) for draft in drafts] == derived(bench.records)
    assert again.snapshot() == bench.elements.snapshot()


@given(days, st.data())
def test_a_restart_anywhere_changes_nothing(steps: list[str], data: st.DataObject) -> None:
    bench = lived(steps)
    cut = data.draw(st.integers(0, len(bench.records)))
    before = Elements(bench.settings)
    drafts = drafts_of(bench.records[:cut], before)
    after = Elements(bench.settings)
    after.restore(before.snapshot())
    drafts += drafts_of(bench.records[cut:], after)
    assert [(draft.kind, draft.body) for draft in drafts] == derived(bench.records)
    assert after.snapshot() == bench.elements.snapshot()


@given(days, st.data())
def test_records_that_come_again_say_nothing_new(steps: list[str], data: st.DataObject) -> None:
    bench = lived(steps)
    back = data.draw(st.integers(0, len(bench.records)))
    snapshot = bench.elements.snapshot()
    assert drafts_of(bench.records[back:], bench.elements) == []
    assert bench.elements.snapshot() == snapshot


@given(days)
def test_only_a_person_lifts_a_hold(steps: list[str]) -> None:
    bench = lived(steps)
    again = Elements(bench.settings)
    held: set[str] = set()
    for record in bench.records:
        again.consume(record)
        now = {task["task"] for task in again.tasks(1000) if task["held"]}
        lifted = held - now
        by_person = record.kind == "review" or record.body.get("action") == "abort"
        assert not lifted or (by_person and lifted == {record.body["task"]})
        held = now


@given(days)
def test_verdicts_are_chained_and_evidence_exists_already(steps: list[str]) -> None:
    bench = lived(steps)
    last: dict[tuple[str, str], int] = {}
    for record in bench.records:
        if record.kind != "verdict":
            continue
        body = record.body
        key = (body["task"], body["element"])
        assert body["supersedes"] == last.get(key)
        last[key] = record.seq
        for reason in body["reasons"]:
            assert all(0 <= seq < record.seq for seq in reason["seqs"]), to_body(body)
        assert body["status"] != "ok" or body["reasons"] == []
