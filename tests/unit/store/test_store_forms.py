"""Records taken apart by their form make the same lines and dead letters as records that are decoded."""

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import Flag, Record
from pipeline.records.envelope import MalformedRecord, decode
from pipeline.records.frame import encode_frame
from pipeline.store import Origin
from pipeline.store.influx import forms as forms_module
from pipeline.store.influx.forms import Forms
from pipeline.store.influx.lines import encode_lines
from pipeline.store.influx.outline import Formless, form_of
from pipeline.store.influx.text import Memory
from pipeline.store.prepare import prepare
from tests.support.stored import ORIGIN, S_NS, T0_NS, data, frame, ledger_records, record, verdicts

SEQ = 1000
"""Numbers below 128 are written as one byte of msgpack, which has no form."""

Outcome = dict[bytes, list[str]]
"""Of each record, by its bytes, its lines, or what its dead letter says."""


def outcome_of(records: Sequence[Record], forms: Forms | None = None, origin: Origin = ORIGIN) -> Outcome:
    """Encode records, by their forms where there are any."""
    gathered, rest = forms.gather(origin, records) if forms else ([], records)
    ready, dead = prepare(origin, rest)
    lines = encode_lines(origin, ready, Memory(), gathered)
    found: Outcome = defaultdict(list)
    for position in range(len(lines)):
        found[lines.owner(position).data].append(lines.line(position))
    for letter in dead:
        found[bytes.fromhex(letter.line)].append(f"dead: {letter.reason}")
    return dict(found)


def left_of(records: Sequence[Record], forms: Forms) -> int:
    """Count the records that are decoded."""
    return len(forms.gather(ORIGIN, records)[1])


def plain(instrument: str, number: int, **parts: Any) -> Record:
    """Make the number-th record of an instrument with two channels, three rows each."""
    values = [number + 0.1, -number / 3, float("nan")]
    columns: Any = {
        ("a", "f8"): values,
        ("i", "i8"): [number, -number, 2**63 - 1],
        ("u", "u8"): [0, 7, 2**64 - 1],
    }
    times = [T0_NS + (3 * number + row) * S_NS for row in range(3)]
    return data(frame(instrument, columns, n_first=SEQ + 3 * number, t_ns=times, **parts), SEQ + number)


SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "flagged": {"flag": {("a", 1): Flag.FAIL}, "reason": {("a", 1): 4}, "status": {("i", 0): 3}},
    "corrected": {"corrected": {"a": [1.5, float("inf"), -0.0]}, "store_off_ns": [0, 5, 9]},
    "maintained": {"service": "maintenance", "store_off_ns": [2, 1, 0]},
}


@pytest.mark.parametrize("name", SHAPES)
def test_records_of_one_form_make_the_lines_that_they_make_decoded(name: str) -> None:
    records, forms = [plain("ph", number, **SHAPES[name]) for number in range(50)], Forms()
    assert outcome_of(records, forms) == outcome_of(records)
    assert left_of(records, forms) == 0


def test_all_shapes_of_many_instruments_in_one_batch_find_their_forms() -> None:
    random, forms = Random(5), Forms()
    records = [
        plain(random.choice(["ph", "ph-2", "scale"]), number, **random.choice(list(SHAPES.values())))
        for number in range(200)
    ]
    assert outcome_of(records, forms) == outcome_of(records)
    assert left_of(records, forms) == 0


@pytest.mark.parametrize("name", SHAPES)
def test_any_byte_of_a_record_changed_gives_the_lines_or_the_dead_letter_that_decoding_gives(
    name: str,
) -> None:
    forms, good = Forms(), plain("ph", 1, **SHAPES[name])
    assert outcome_of([good], forms)
    changed: dict[bytes, Record] = {}
    for place in range(len(good.data)):
        for change in (0x01, 0x20, 0x80, 0xFF):
            text = bytearray(good.data)
            text[place] ^= change
            try:
                changed[bytes(text)] = decode(bytes(text))
            except MalformedRecord:
                continue
    assert len(changed) > len(good.data)
    assert outcome_of(list(changed.values()), forms) == outcome_of(list(changed.values()))


LARGE = 2**40
"""Written in eight bytes, as what is larger."""
LIMITS = [2**63 - 2**21 + more for more in (-1, 0, 1)] + [2**63 - 4 + more for more in range(8)] + [2**64 - 1]


@pytest.mark.parametrize("number", ["seq", "n", "first", "stamp", "off"])
def test_every_number_is_taken_up_to_the_limit_that_decoding_has_and_no_further(number: str) -> None:
    def large(value: int | None) -> Record:
        body = encode_frame(frame("ph", {("a", "f8"): [1.0, 2.0]}, n_first=LARGE, store_off_ns=[0, 1]))
        if value is not None and number == "n":
            body["n"] = value
        if value is not None and number == "first":
            body["t_utc"] = [value, *body["t_utc"][1:]]
        if value is not None and number == "off":
            body["t_store_off"] = np.array([0, (value - T0_NS - S_NS) % 2**64], dtype=np.uint64).tobytes()
        return record(
            "data", body, LARGE if value is None or number != "seq" else value,
            t_utc_ns=T0_NS if value is None or number != "stamp" else value,
        )  # fmt: skip

    forms, records = Forms(), [large(value) for value in LIMITS]
    assert left_of([large(None)], forms) == 0
    with pytest.MonkeyPatch.context() as none_new:
        none_new.setattr(forms_module, "FORMS_A_BATCH", 0)
        found, left = outcome_of(records, forms), left_of(records, forms)
    assert found == outcome_of(records)
    dead = sum(lines[0].startswith("dead") for lines in found.values())
    assert left == dead
    assert 0 < dead < len(records)


@given(st.data())
def test_whatever_numbers_a_record_has_it_makes_what_it_makes_decoded(draw: st.DataObject) -> None:
    natural, whole = st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1)
    numbers = (
        natural | whole | st.sampled_from([2**63 - 1, 2**63 - 2, 2**63 - 3, 2**63 - 2**21, 2**63, T0_NS])
    )
    records = [plain("ph", 0)]
    for _ in range(draw.draw(st.integers(1, 4))):
        body = encode_frame(frame("ph", {("a", "f8"): [1.0, 2.0, 3.0]}, n_first=SEQ))
        body["n"] = draw.draw(numbers)
        body["t_utc"] = [draw.draw(numbers), *body["t_utc"][1:]]
        body["f8"] = draw.draw(st.binary(min_size=24, max_size=24))
        body["flag"] = draw.draw(st.none() | st.binary(min_size=3, max_size=3))
        body["status"] = draw.draw(st.none() | st.binary(min_size=3, max_size=3))
        body["t_store_off"] = draw.draw(st.none() | st.binary(min_size=24, max_size=24))
        body["raw"] = draw.draw(st.none() | st.lists(st.binary(max_size=3), min_size=3, max_size=3))
        envelope = record("data", body, draw.draw(natural), t_utc_ns=draw.draw(numbers))
        records += [envelope, data(frame("ph", {("a", "f8"): [0.5, 1.5, 2.5]}, n_first=SEQ), SEQ)]
    forms = Forms()
    assert outcome_of(records, forms) == outcome_of(records)
    assert outcome_of(records[::-1], forms) == outcome_of(records)


def test_texts_and_other_kinds_are_decoded() -> None:
    forms = Forms()
    texts = [
        data(frame("lims", {("s", "text"): ["x", None]}, n_first=SEQ), SEQ + number) for number in range(3)
    ]
    judged = verdicts("ph", "spike", [(0, "a", Flag.FAIL, T0_NS)], SEQ + 9)
    records = [*texts, judged, *ledger_records(), plain("ph", 20)]
    assert outcome_of(records, forms) == outcome_of(records)
    assert left_of(records, forms) == len(records) - 1


def test_the_first_records_of_a_journal_are_decoded_and_the_later_ones_are_not() -> None:
    columns: Any = {("a", "f8"): [1.0]}
    records = [data(frame("ph", columns, n_first=number), number) for number in range(300)]
    forms = Forms()
    assert outcome_of(records, forms) == outcome_of(records)
    assert left_of(records, forms) == 128


def test_a_record_that_counts_its_rows_as_true_has_no_form() -> None:
    body = encode_frame(frame("ph", {("a", "f8"): [1.0]}, n_first=SEQ))
    body["rows"] = True
    with pytest.raises(Formless):
        form_of(record("data", body, SEQ))


def test_an_origin_that_no_store_can_name_gets_its_dead_letters() -> None:
    forms, nameless = Forms(), Origin("", "gw")
    records = [plain("ph", number) for number in range(3)]
    assert outcome_of(records, forms, nameless) == outcome_of(records, None, nameless)


def test_forms_unused_longest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms_module, "FORMS_KEPT", 3)
    forms = Forms()
    for instrument in ("a", "b", "c"):
        assert left_of([plain(instrument, 1)], forms) == 0
    assert left_of([plain("a", 2), plain("c", 2)], forms) == 0
    assert left_of([plain("d", 1)], forms) == 0
    monkeypatch.setattr(forms_module, "FORMS_A_BATCH", 0)
    assert [left_of([plain(name, 3)], forms) for name in ("a", "b", "c", "d")] == [0, 1, 0, 0]


def test_forms_are_kept_up_to_a_number_of_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    forms = Forms()
    monkeypatch.setattr(forms_module, "FORM_BYTES_KEPT", len(plain("a", 1).data) - 1)
    assert left_of([plain("a", 1)], forms) == 1
    monkeypatch.setattr(forms_module, "FORM_BYTES_KEPT", len(plain("a", 1).data))
    assert left_of([plain("a", 1)], forms) == 0


def test_a_large_record_is_decoded_and_drives_no_form_out(monkeypatch: pytest.MonkeyPatch) -> None:
    forms, small = Forms(), plain("a", 1)
    assert left_of([small], forms) == 0
    monkeypatch.setattr(forms_module, "FORM_BYTES_MAX", len(small.data))
    large = data(frame("b", {("a", "f8"): [0.5] * 100}, n_first=SEQ), SEQ + 2)
    assert left_of([large], forms) == 1
    assert left_of([plain("a", 3)], forms) == 0


@pytest.mark.parametrize("instrument", ["x" * 257, 7, ["ph"]])
def test_what_can_be_no_instrument_is_not_looked_at_nor_remembered(
    instrument: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[Record] = []
    monkeypatch.setattr(forms_module, "form_of", looked_at.append)
    body = {**plain("ph", 1).body, "instrument": instrument}
    forms, records = Forms(), [record("data", body, SEQ)]
    assert outcome_of(records, forms) == outcome_of(records)
    assert looked_at == []


def with_raw(number: int, lengths: Sequence[int]) -> Record:
    """Make a record with the instrument's own lines of these lengths."""
    body = {**plain("ph", number).body, "raw": [bytes(length) for length in lengths]}
    return record("data", body, SEQ + number)


def test_an_instrument_whose_forms_do_not_come_again_is_decoded_and_another_one_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[str] = []

    def look(one: Record) -> Any:
        looked_at.append(one.body["instrument"])
        return form_of(one)

    monkeypatch.setattr(forms_module, "form_of", look)
    monkeypatch.setattr(forms_module, "VAIN_BATCHES", 50)
    forms = Forms()
    for number in range(1, 49):
        batch = [with_raw(number, [number, 0, 2]), plain("scale", number)]
        assert outcome_of(batch, forms) == outcome_of(batch)
    assert looked_at.count("ph") == forms_module.VAIN_MAX
    assert looked_at.count("scale") == 1
    left = [left_of([with_raw(number, [3, 60, 9])], forms) for number in range(50, 55)]
    assert left[-1] == 0, "it gets another chance"


def test_an_instrument_whose_forms_come_again_may_have_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms_module, "VAIN_MAX", 2)
    forms = Forms()
    for _ in range(2):
        for kind in range(6):
            for number in range(3):
                left_of([with_raw(number, [kind, 0, 2])], forms)
    monkeypatch.setattr(forms_module, "FORMS_A_BATCH", 0)
    assert left_of([with_raw(9, [kind, 0, 2]) for kind in range(6)], forms) == 0


def test_a_batch_brings_no_more_forms_than_it_may_and_the_rest_is_decoded() -> None:
    records = [plain(f"ph-{number:02}", number) for number in range(forms_module.FORMS_A_BATCH + 5)]
    forms = Forms()
    assert outcome_of(records, forms) == outcome_of(records)
    assert left_of(records, forms) == 0


def test_equal_channels_with_other_numbers_of_rows_are_taken_apart_side_by_side() -> None:
    records = [
        data(frame("ph", {("a", "f8"): np.arange(rows, dtype=float).tolist()}, n_first=SEQ), SEQ + number)
        for number in range(5)
        for rows in (1, 2, 10, 200)
    ]
    forms = Forms()
    assert outcome_of(records, forms) == outcome_of(records)
