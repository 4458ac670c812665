"""Importing again, small changes at the bench, certificates that are withdrawn: then, now, and by whom."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.elements import Refused
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import Material
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    HOUR,
    SECOND_ANALYST,
    SIGNER,
    UTC0,
    Bench,
    balance,
    check_weight,
    metrology,
    opened,
    registry,
    sample,
)

BOOKED = UTC0 - 1000 * DAY


def entries() -> list[dict[str, Any]]:
    known: dict[tuple[str, str], Any] = registry()
    return [
        {"type": kind, "id": entry_id, "valid_from_ns": BOOKED, "valid_to_ns": None, "data": to_body(data)}
        for (kind, entry_id), data in known.items()
    ]


def one(kind: str, entry_id: str, data: Any, **changes: Any) -> dict[str, Any]:
    return {"type": kind, "id": entry_id, "valid_from_ns": BOOKED, "data": to_body(data), **changes}


def material(bench: Bench, name: str, **at: Any) -> Material:
    found = bench.elements._fold.registry.at(Material, name, UTC0 + bench.now, **at)
    assert found is not None
    return found[0]


def code(bench: Bench, command: str, how: str = "password", **args: Any) -> str:
    with pytest.raises(Refused) as caught:
        bench.plan(command, bench.someone(how=how), **args)
    return caught.value.code


def test_importing_the_same_again_records_nothing() -> None:
    bench = opened()
    before = len(bench.records)
    assert bench.do("registry.import", records=entries()) == {"imported": 0}
    assert len(bench.records) == before
    preview = bench.do("registry.preview", records=entries())
    assert preview == {"new": 0, "changed": 0, "same": len(registry()), "entries": []}


def test_a_preview_names_what_would_change_and_records_nothing() -> None:
    bench = opened()
    due = balance(metrology=metrology(due_ns=UTC0 + 200 * DAY))
    records = [
        one("equipment", "EQ-1", due),
        one("material", "S-2", sample()),
        one("material", "S-1", sample()),
    ]
    before = len(bench.records)
    preview = bench.do("registry.preview", bench.someone(how="asserted"), records=records)
    assert (preview["new"], preview["changed"], preview["same"]) == (1, 1, 1)
    assert preview["entries"] == [
        {"type": "equipment", "id": "EQ-1", "change": "changed", "keys": ["metrology.due_ns"]},
        {"type": "material", "id": "S-2", "change": "new", "keys": []},
    ]
    assert len(bench.records) == before
    assert bench.do("registry.import", records=records) == {"imported": 2}


@pytest.mark.parametrize(
    ("changes", "kind", "keys"),
    [
        ({}, "same", ()),
        ({"valid_from_ns": None}, "same", ()),
        ({"valid_from_ns": BOOKED - DAY}, "changed", ("valid_from",)),
        ({"valid_from_ns": UTC0}, "changed", ("valid_from",)),
        ({"valid_to_ns": UTC0 + DAY}, "changed", ("valid_to",)),
        ({"data": to_body(sample(storage="room"))}, "changed", ("storage",)),
    ],
)
def test_what_makes_an_entry_another(changes: dict[str, Any], kind: str, keys: tuple[str, ...]) -> None:
    preview = opened().do("registry.preview", records=[{**one("material", "S-1", sample()), **changes}])
    assert preview[kind] == 1
    assert [tuple(entry["keys"]) for entry in preview["entries"]] == ([keys] if keys else [])


def test_importing_a_file_again_undoes_nothing_that_happened_at_the_bench() -> None:
    bench = opened()
    bench.do("material.handover", material="S-1", to=SECOND_ANALYST, place="bench 2")
    bench.do("material.open", material="CW-1")
    again = [one(*entry, valid_from_ns=None) for entry in (
        ("material", "S-1", sample(received_at_ns=None)), ("material", "CW-1", check_weight()),
    )]  # fmt: skip
    assert bench.do("registry.import", records=again) == {"imported": 0}
    assert [link.person for link in material(bench, "S-1").custody] == [SECOND_ANALYST]
    assert material(bench, "S-1").received_at_ns == UTC0 - HOUR
    assert material(bench, "CW-1").opened_at_ns == UTC0


def test_a_hand_over_is_a_link_of_the_chain_then_and_now() -> None:
    bench = opened()
    before = bench.records[-1].seq
    bench.advance(60)
    bench.do("material.handover", bench.someone(how="badge"), material="S-1", to=ANALYST, place="store")
    bench.advance(60)
    bench.do("material.handover", bench.someone(how="badge"), material="S-1", badge="B-2", place="bench 2")
    assert [(link.person, link.place, link.at_ns) for link in material(bench, "S-1").custody] == [
        (ANALYST, "store", UTC0 + 60 * 10**9), (SECOND_ANALYST, "bench 2", UTC0 + 120 * 10**9),
    ]  # fmt: skip
    assert material(bench, "S-1", known_at_seq=before).custody == ()
    shown = bench.elements.registry("material", at_utc_ns=UTC0 + 61 * 10**9, entry_id="S-1")
    assert [link["place"] for link in shown[0]["data"]["custody"]] == ["store"]
    assert (shown[0]["by"]["person"], shown[0]["by"]["how"]) == (ANALYST, "badge")


@pytest.mark.parametrize(
    ("command", "how", "args", "expected"),
    [
        ("material.handover", "asserted", {"material": "S-1", "to": ANALYST, "place": "x"}, "not-present"),
        ("material.handover", "service", {"material": "S-1", "to": ANALYST, "place": "x"}, "not-present"),
        ("material.handover", "badge", {"material": "S-9", "to": ANALYST, "place": "x"}, "unknown-material"),
        ("material.handover", "badge", {"material": "S-1", "to": "p-9", "place": "x"}, "unknown-person"),
        ("material.handover", "badge", {"material": "S-1", "badge": "B-9", "place": "x"}, "unknown-badge"),
        ("material.handover", "badge", {"material": "S-1", "to": ANALYST}, "missing-argument"),
        ("material.handover", "badge", {"material": "S-1", "place": "x"}, "missing-argument"),
        ("material.open", "asserted", {"material": "CW-1"}, "not-present"),
        ("material.open", "badge", {"material": "S-1"}, "wrong-argument"),
        ("material.open", "badge", {"material": "CW-9"}, "unknown-material"),
        ("certificate.withdraw", "badge", {"equipment": "EQ-1", "reason": "r"}, "not-authenticated"),
        ("certificate.withdraw", "pin", {"equipment": "EQ-1"}, "missing-argument"),
        ("certificate.withdraw", "pin", {"equipment": "EQ-9", "reason": "r"}, "unknown-equipment"),
        ("certificate.withdraw", "pin", {"material": "CW-1", "reason": "r"}, "no-certificate"),
        ("certificate.withdraw", "pin", {"material": "CW-9", "reason": "r"}, "unknown-material"),
        ("certificate.withdraw", "pin", {"reason": "r"}, "missing-argument"),
        ("certificate.withdraw", "pin",
         {"equipment": "EQ-1", "reason": "r", "from_utc": "2001-01-01T00:00:00Z"}, "wrong-argument"),
        ("certificate.withdraw", "pin",
         {"equipment": "EQ-1", "reason": "r", "from_utc": "2999-01-01T00:00:00Z"}, "wrong-argument"),
        ("certificate.withdraw", "pin",
         {"equipment": "EQ-1", "reason": "r", "from_utc": "May"}, "wrong-argument"),
    ],
)  # fmt: skip
def test_small_changes_are_refused_with_a_reason(
    command: str, how: str, args: dict[str, Any], expected: str
) -> None:
    assert code(opened(), command, how, **args) == expected


def test_a_withdrawn_certificate_holds_the_tasks_that_rest_on_it_then_and_now() -> None:
    bench = opened()
    bench.check_passes()
    task = bench.weigh()
    assert bench.verdict(task, "equipment")["status"] == "ok"
    then = bench.records[-1].seq
    bench.do(
        "certificate.withdraw", bench.someone(SIGNER), equipment="bal-1", reason="laboratory withdrew it"
    )
    bench.tick()
    assert "certificate-withdrawn" in bench.codes(task, "equipment")
    assert bench.view(task)["overall"] == "held"
    entry = bench.elements.registry("equipment", entry_id="EQ-1")[0]
    assert entry["data"]["metrology"]["withdrawn"]
    assert entry["by"] == {"person": SIGNER, "how": "password", "reason": "laboratory withdrew it"}
    known_then = bench.elements.registry("equipment", then, entry_id="EQ-1")[0]
    assert not known_then["data"]["metrology"]["withdrawn"]
    assert code(bench, "certificate.withdraw", equipment="EQ-1", reason="again") == "withdrawn-already"
    # The file of last year does not bring it back; another certificate does.
    assert bench.do("registry.import", records=[one("equipment", "EQ-1", balance())]) == {"imported": 0}
    renewed = balance(metrology=metrology(certificate="C-2"))
    bench.do("registry.import", records=[one("equipment", "EQ-1", renewed, valid_from_ns=UTC0 + bench.now)])
    assert not bench.elements.registry("equipment", entry_id="EQ-1")[0]["data"]["metrology"]["withdrawn"]


def test_an_opened_reagent_has_its_shorter_life() -> None:
    bench = opened({("material", "R-1"): Material("reagent", expiry_ns=UTC0 + DAY, open_life_s=3600.0)})
    bench.do("material.open", material="R-1")
    assert code(bench, "material.open", material="R-1") == "opened-already"
    fresh = bench.start(reagents=["R-1"])
    bench.finish(fresh)
    assert not {"open-too-long", "material-expired"} & bench.codes(fresh, "material")
    bench.advance(3600)
    old = bench.start(reagents=["R-1"])
    bench.finish(old)
    assert "open-too-long" in bench.codes(old, "material")


def test_a_repeated_import_adds_what_a_power_cut_took_of_it() -> None:
    bench = opened()
    records = [one("material", f"S-{number}", sample()) for number in range(10, 20)]
    who = bench.someone()
    planned = bench.plan("registry.import", who, records=records)
    for draft in planned.drafts[:4]:
        bench.append(draft.kind, draft.body)
    assert bench.do("registry.import", who, records=records) == {"imported": 6}
    ids = {entry["id"] for entry in bench.elements.registry("material")}
    assert {record["id"] for record in records} <= ids
    again = bench.plan("registry.import", who, records=records)
    assert (again.drafts, again.result) == ((), {"imported": 10})
