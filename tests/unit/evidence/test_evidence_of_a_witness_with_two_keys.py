"""Evidence across a change of a witness's key: the first is enough; stolen, late or forked is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.create import create
from pipeline.evidence.policy import read_policy
from pipeline.evidence.report import report
from pipeline.evidence.trail import check_trail
from pipeline.evidence.verify import check_file
from pipeline.journal.succession import succession_note
from tests.support.altered import altered
from tests.support.paper_log import (
    LAB_KEY,
    OPERATORS,
    TASK,
    WITNESS_KEYS,
    PaperLog,
    paper_log,
    policy_text,
    signing_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.evidence.findings import Checked
    from pipeline.records.signing import SigningKey

NAME = OPERATORS["institute"]
OLD, NEW, THIRD, STRANGER = WITNESS_KEYS["institute"], *map(signing_key, (80, 81, 82))


def made(log: PaperLog, folder: Path) -> Path:
    path = folder / "task.evidence"
    create(log, TASK, path)
    return path


def check(path: Path, key: SigningKey = OLD, quorum: str = "institute") -> Checked:
    """Check with a policy that names one key of the institute."""
    first, other = (vkey(witness_key(NAME, one.public)) for one in (OLD, key))
    return check_file(path, read_policy(policy_text(quorum).replace(first, other)))


def changed_once() -> PaperLog:
    """The institute has changed its key and cosigned everything with the new one."""
    log = paper_log()
    log.change_witness_key("institute", NEW)
    log.seal(None, ["institute"])
    return log


@pytest.mark.parametrize("pinned", [OLD, NEW], ids=["the old key is pinned", "the new key is pinned"])
def test_the_cosignatures_of_a_new_key_count_for_whoever_names_one_of_both(
    pinned: SigningKey, tmp_path: Path
) -> None:
    log = changed_once()
    checked = check(made(log, tmp_path), pinned)
    assert checked.problems == []
    assert [(one.witness, one.size) for one in checked.cosigned] == [("institute", checked.sealed_size)]
    old, new = (witness_key(NAME, one.public).id.hex() for one in (OLD, NEW))
    seq = next(record.seq for record in log.records if record.kind == "witness-key")
    assert f"{NAME} changed its key at seq {seq}: {old} has signed {new}\n" in report(checked)


def test_what_the_old_key_cosigned_before_it_went_goes_on_counting(tmp_path: Path) -> None:
    log = paper_log()
    log.seal(None, ["institute"])
    log.change_witness_key("institute", NEW)
    log.change_key(signing_key(70))
    log.seal(None, ["university"])
    checked = check(made(log, tmp_path), quorum="both")
    assert [one for one in checked.problems if "not witnessed yet" not in one] == []
    assert {one.witness for one in checked.cosigned} == {"institute", "university"}
    assert len(checked.changes) == 2


@pytest.mark.parametrize("cosigned", [False, True])
def test_a_stolen_old_key_dates_nothing_before_a_change_that_the_key_of_the_policy_has_not_cosigned(
    tmp_path: Path, *, cosigned: bool
) -> None:
    log = paper_log()
    log.seal(None, ["institute"])  # by whoever has the old key, of a history that was never seen
    log.change_witness_key("institute", NEW)  # both have signed this note: it is known, and fits anywhere
    log.seal(None, ["institute"] if cosigned else [])
    checked = check(made(log, tmp_path), NEW)
    assert [one for one in checked.problems if "not witnessed yet" in one] == checked.problems
    assert (checked.problems == []) == cosigned
    assert (checked.witnessed_size > 0) == cosigned
    text = policy_text("institute").replace(
        vkey(witness_key(NAME, OLD.public)), vkey(witness_key(NAME, NEW.public))
    )
    assert len(check_trail(log, read_policy(text)).cosigned) == cosigned


def test_a_chain_of_three_keys_is_followed_from_the_first(tmp_path: Path) -> None:
    log = paper_log()
    log.change_witness_key("institute", NEW)
    log.change_witness_key("institute", THIRD)
    log.seal(None, ["institute"])
    path = made(log, tmp_path)
    for key in (OLD, NEW, THIRD):
        assert check(path, key).problems == []
    checked = check(path, STRANGER)
    assert checked.ignored == [NAME]
    assert "not witnessed yet" in checked.problems[0]


def test_a_policy_that_names_both_keys_goes_on_working(tmp_path: Path) -> None:
    text = policy_text("none").replace("quorum none\n", "")
    text += f"witness later {vkey(witness_key(NAME, NEW.public))}\ngroup one any institute later\n"
    text += "quorum one\n"
    checked = check_file(made(changed_once(), tmp_path), read_policy(text))
    assert checked.problems == []
    assert [one.witness for one in checked.cosigned] == ["later"]


def test_a_cosignature_of_a_stolen_key_that_was_given_up_is_named_and_counts_for_nothing(
    tmp_path: Path,
) -> None:
    log = paper_log()
    log.change_witness_key("institute", NEW)
    log.witness_keys["institute"] = OLD
    log.seal(None, ["institute"])
    checked = check(made(log, tmp_path))
    assert checked.problems[0] == (
        f"{NAME} has signed the checkpoint of {checked.sealed_size} records with a key not in force there"
    )
    assert (checked.cosigned, checked.witnessed_size) == ([], 0)


def test_a_new_key_that_speaks_about_what_was_before_it_is_named(tmp_path: Path) -> None:
    log = paper_log()
    log.seal(None, [])
    size = len(log.records) - 1
    log.change_witness_key("institute", NEW)
    log.add("cosignature", {"note": log.sealed(size, ["institute"])})
    log.seal(None, ["university"])
    problems = check(made(log, tmp_path), quorum="either").problems
    assert problems == [f"{NAME} has signed the checkpoint of {size} records with a key not in force there"]


def test_two_successors_of_one_key_are_refused_and_named(tmp_path: Path) -> None:
    log = paper_log()
    log.change_witness_key("institute", NEW)
    log.witness_keys["institute"] = OLD
    forked = log.change_witness_key("institute", STRANGER)
    log.seal(None, ["institute"])
    (problem,) = check(made(log, tmp_path)).problems
    assert problem == f"seq {forked.seq}: the change of the key of {NAME} does not continue the one before"


@pytest.mark.parametrize("which", ["old", "new"])
def test_a_successor_that_one_of_both_has_not_signed_is_refused_and_named(which: str, tmp_path: Path) -> None:
    def forge(header: dict[str, Any]) -> None:
        lines = header["changes"][0][1].splitlines()
        pair = (STRANGER, NEW) if which == "old" else (OLD, STRANGER)
        other = succession_note(NAME, *pair).splitlines()
        lines[4 if which == "old" else 5] = other[4 if which == "old" else 5]
        header["changes"][0][1] = "\n".join([*lines, ""])

    path = altered(made(changed_once(), tmp_path), forge)
    (problem,) = check(path).problems
    assert f"the change of the key of {NAME} is not signed by the {which} key" in problem


@pytest.mark.parametrize("move", [-1, 1])
def test_a_change_that_the_log_has_elsewhere_is_named(move: int, tmp_path: Path) -> None:
    def elsewhere(header: dict[str, Any]) -> None:
        header["changes"][0][0] += move

    problems = check(altered(made(changed_once(), tmp_path), elsewhere)).problems
    assert any("does not say here that a key was changed" in problem for problem in problems)


def test_a_change_that_is_left_out_leaves_a_cosignature_of_nobody(tmp_path: Path) -> None:
    checked = check(altered(made(changed_once(), tmp_path), lambda header: header.pop("changes")))
    assert checked.ignored == [NAME]
    assert "not witnessed yet" in checked.problems[0]


def test_the_log_cannot_give_a_witness_another_key(tmp_path: Path) -> None:
    log = paper_log()
    log.add("witness-key", {"note": succession_note(NAME, LAB_KEY, NEW)})
    log.witness_keys["institute"] = NEW
    log.seal(None, ["institute"])
    checked = check(made(log, tmp_path))
    assert checked.ignored == [NAME]
    assert checked.witnessed_size == 0


def test_the_trail_of_a_log_is_followed_from_the_first_key() -> None:
    log = paper_log()
    log.seal(None, ["institute"])
    log.change_witness_key("institute", NEW)
    log.change_key(signing_key(70))
    log.add("tick")
    log.seal()
    checked = check_trail(log, read_policy(policy_text()))
    assert checked.problems == []
    size = len(log.records) - 3
    assert {(one.witness, one.size) for one in checked.cosigned} == {
        ("institute", size),
        ("university", size),
    }
    assert len(checked.changes) == 2


def test_a_cosignature_in_the_trail_that_does_not_count_is_named_with_its_record() -> None:
    log = paper_log()
    log.change_witness_key("institute", NEW)
    log.seal(None, ["institute"])
    log.witness_keys["institute"] = OLD
    late = log.add("cosignature", {"note": log.sealed(len(log.records), ["institute"])})
    other = PaperLog(records=list(log.records))
    other.records[3] = other.records[4]
    rewritten = log.add("cosignature", {"note": other.sealed(late.seq, ["university"])})
    damaged = log.add("cosignature", {"note": log.sealed(4, ["university"]).replace("A", "B", 1)})
    problems = check_trail(log, read_policy(policy_text())).problems
    assert [problem.partition(":")[0] for problem in problems] == [
        f"seq {one.seq}" for one in (late, rewritten, damaged)
    ]
    assert "not in force there" in problems[0]
    assert f"two trees of {late.seq} records" in problems[1]
    assert "does not fit" in problems[2]
