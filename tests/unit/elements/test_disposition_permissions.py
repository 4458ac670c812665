"""Who may dispose of a result: every disposition, by everybody, in every way of being known."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import pytest

from pipeline.elements import Refused
from pipeline.elements.registry_shapes import Grant, Person
from pipeline.elements.vocabulary import DISPOSED, SIGNATORY, Disposition, How
from tests.unit.elements.bench import (
    ANALYST,
    DAY,
    SIGNER,
    STRANGER,
    UTC0,
    Bench,
    balance,
    leave,
    metrology,
    opened,
)

if TYPE_CHECKING:
    from pipeline.elements import Planned

TECHNICIAN, RETIRED, SIGNING_OPERATOR = "p-5", "p-6", "p-7"
OPERATED = {ANALYST, SIGNING_OPERATOR}
SIGNATORIES = {SIGNER, SIGNING_OPERATOR}
PEOPLE = (ANALYST, SIGNING_OPERATOR, SIGNER, STRANGER, TECHNICIAN, RETIRED, "p-99")
AUTHENTICATED = {"password", "pin"}
_SIGNS = (Grant(SIGNATORY, UTC0 - DAY),)


def held() -> tuple[Bench, str]:
    """A held task on which two people worked, one of them a signatory."""
    bench = opened({
        ("equipment", "EQ-1"): balance(metrology=metrology(due_ns=UTC0 - DAY)),
        ("person", TECHNICIAN): Person(roles=(Grant("technician", UTC0 - DAY),), authorisations=(leave(),)),
        ("person", RETIRED): Person(roles=(Grant(SIGNATORY, UTC0 - 9 * DAY, UTC0 - DAY),)),
        ("person", SIGNING_OPERATOR): Person(roles=_SIGNS, authorisations=(leave(),)),
    })  # fmt: skip
    task = bench.start()
    bench.air(1)
    bench.do("task.handover", task=task, operator=SIGNING_OPERATOR)
    bench.weight(0.0, 50.0)
    bench.finish(task)
    assert bench.view(task)["overall"] == "held"
    return bench, task


@pytest.fixture(scope="module")
def case() -> tuple[Bench, str]:
    return held()


def attempt(case: tuple[Bench, str], disposition: str, person: str, how: str) -> Planned:
    bench, task = case
    args = {"task": task, "reason": "seen", "limitation": "for orientation", "disposition": disposition}
    signed = bench.view(task)["to_sign"]
    return bench.plan("hold.release", bench.someone(person, how), **args, signed_hash=signed)


def expected(person: str, how: str) -> str:
    """Say what the table of permissions says, in the order in which reasons count."""
    if how not in AUTHENTICATED:
        return "not-authenticated"
    if person in OPERATED:
        return "own-task"
    return "ok" if person in SIGNATORIES else "not-signatory"


@pytest.mark.parametrize("how", get_args(How))
@pytest.mark.parametrize("person", PEOPLE)
@pytest.mark.parametrize("disposition", get_args(Disposition))
def test_the_matrix_of_permissions(case: tuple[Bench, str], disposition: str, person: str, how: str) -> None:
    code = expected(person, how)
    if code != "ok":
        with pytest.raises(Refused) as caught:
            attempt(case, disposition, person, how)
        assert (caught.value.code, bool(caught.value.hint)) == (code, True)
        return
    (draft,) = attempt(case, disposition, person, how).drafts
    assert (draft.kind, draft.body["disposition"]) == ("review", disposition)
    assert draft.body["actor"]["person"] == person


def test_the_matrix_has_its_permitted_cells(case: tuple[Bench, str]) -> None:
    cells = [(d, p, h) for d in get_args(Disposition) for p in PEOPLE for h in get_args(How)]
    permitted = [cell for cell in cells if expected(cell[1], cell[2]) == "ok"]
    assert permitted == [(d, SIGNER, how) for d in get_args(Disposition) for how in ("password", "pin")]
    assert set(DISPOSED) == set(get_args(Disposition))
