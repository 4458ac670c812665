"""Evidence across a change of the log's key: verified offline, from either; what is not signed is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.evidence import create as create_module
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.evidence.create import Sealed, create
from pipeline.evidence.findings import Checked
from pipeline.evidence.policy import LOG, Key, Policy, read_policy
from pipeline.evidence.report import report
from pipeline.evidence.verify import check_file
from pipeline.journal.merkle import HashGoneError
from pipeline.journal.succession import succession_note
from tests.support.altered import altered
from tests.support.paper_log import (
    LAB_KEY,
    OPERATORS,
    ORIGIN,
    TASK,
    WITNESS_KEYS,
    PaperLog,
    paper_log,
    policy_text,
    signing_key,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.evidence.select import Selected, Source
    from pipeline.records import Record
    from pipeline.records.signing import SigningKey

NEW, THIRD, STRANGER = signing_key(70), signing_key(71), signing_key(72)


def policy(key: SigningKey) -> Policy:
    """Both witnesses, and one key of the log."""
    old, new = (vkey(Key(ORIGIN, LOG, one.public)) for one in (LAB_KEY, key))
    return read_policy(policy_text().replace(old, new))


def sealed_by_both(folder: Path) -> tuple[PaperLog, Path]:
    """One witness has seen what the old key sealed, the other what the new one did."""
    log = paper_log()
    log.seal(None, ["institute"])
    log.change_key(NEW)
    log.add("tick")
    log.seal(None, ["university"])
    path = folder / "task.evidence"
    create(log, TASK, path)
    return log, path


def check(path: Path, key: SigningKey = LAB_KEY) -> Checked:
    return check_file(path, policy(key))


@pytest.mark.parametrize("pinned", [LAB_KEY, NEW], ids=["the old key is pinned", "the new key is pinned"])
def test_evidence_across_a_change_of_the_key_verifies_from_either(pinned: SigningKey, tmp_path: Path) -> None:
    log, path = sealed_by_both(tmp_path)
    checked = check(path, pinned)
    assert checked.problems == []
    assert checked.sealed_size == len(log.records) - 2
    assert report(checked).endswith("VERIFIED\n")


def test_a_chain_of_three_keys_is_followed(tmp_path: Path) -> None:
    log = paper_log()
    log.change_key(NEW)
    log.change_key(THIRD)
    log.seal()
    path = tmp_path / "task.evidence"
    create(log, TASK, path)
    for key in (LAB_KEY, NEW, THIRD):
        assert check(path, key).problems == []
    assert check(path, STRANGER).problems == [f"the policy names no key of the log {ORIGIN!r}"]


def test_a_file_that_was_made_before_the_change_needs_none(tmp_path: Path) -> None:
    log = paper_log()
    log.seal()
    log.change_key(NEW)  # not sealed yet
    path = tmp_path / "task.evidence"
    create(log, TASK, path)
    assert b"changes" not in path.read_bytes()[:200_000]
    assert check(path).problems == []
    assert check(path, NEW).problems


@pytest.mark.parametrize("pinned", [LAB_KEY, NEW, THIRD], ids=["first", "second", "third"])
def test_who_knows_only_the_newest_key_can_verify_a_task_of_long_ago(
    pinned: SigningKey, tmp_path: Path
) -> None:
    log = paper_log()
    log.seal()
    log.change_key(NEW)
    log.seal()
    log.add("tick")
    log.change_key(THIRD)
    log.change_witness_key("institute", STRANGER)
    log.seal(None, ["university", "institute"])
    last = log.change_key(signing_key(79)).seq  # not sealed yet
    path = tmp_path / "task.evidence"
    made = create(log, TASK, path)
    assert made.last_seq < made.sealed_size < last
    checked = check(path, pinned)
    assert checked.problems == []
    assert len(checked.changes) == 3
    both = policy_text("both").replace(
        vkey(witness_key(OPERATORS["institute"], WITNESS_KEYS["institute"].public)),
        vkey(witness_key(OPERATORS["institute"], STRANGER.public)),
    )
    assert check_file(path, read_policy(both)).problems == []


def test_what_proves_a_later_change_may_be_gone_without_harm_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = paper_log()
    log.seal()
    early = len(log.records)
    log.change_key(NEW)
    log.seal()
    whole = create_module._header

    def gone(source: Source, found: Selected, trees: list[Sealed], changes: list[Record]) -> bytes:
        if trees[-1].size > early:
            raise HashGoneError("seq 7 is gone")
        return whole(source, found, trees, changes)

    monkeypatch.setattr(create_module, "_header", gone)
    path = tmp_path / "task.evidence"
    assert create(log, TASK, path).sealed_size < early
    assert check(path).problems == []


def test_a_change_that_is_not_signed_by_the_old_key_is_refused_and_named(tmp_path: Path) -> None:
    _, path = sealed_by_both(tmp_path)

    def forge(header: dict[str, Any]) -> None:
        note = header["changes"][0][1].splitlines()
        forged = succession_note(ORIGIN, STRANGER, NEW).splitlines()
        header["changes"][0][1] = "\n".join([*note[:4], forged[4], note[5], ""])

    checked = check(altered(path, forge))
    (problem,) = checked.problems
    assert f"the change of the key of {ORIGIN} is not signed by the old key" in problem
    assert problem.startswith(f"seq {checked.bad_seq}: ")


def test_a_change_that_the_log_does_not_hold_is_named(tmp_path: Path) -> None:
    _, path = sealed_by_both(tmp_path)

    def elsewhere(header: dict[str, Any]) -> None:
        header["changes"][0][0] += 1

    problems = check(altered(path, elsewhere)).problems
    assert any("does not say here that a key was changed" in problem for problem in problems)


def test_what_the_old_key_seals_after_it_has_gone_counts_for_nothing(tmp_path: Path) -> None:
    log = paper_log()
    log.change_key(NEW)
    log.key = LAB_KEY
    log.seal()
    path = tmp_path / "task.evidence"
    create(log, TASK, path)
    named, problem = check(path).problems
    assert named.startswith(ORIGIN)
    assert named.endswith("with a key not in force there")
    assert problem.endswith("is not signed by its log")


def test_a_change_that_is_left_out_leaves_a_seal_of_nobody(tmp_path: Path) -> None:
    _, path = sealed_by_both(tmp_path)
    (problem,) = check(altered(path, lambda header: header.pop("changes"))).problems
    assert problem.endswith("is not signed by its log")


@pytest.mark.parametrize("key", [b"changes"])
def test_any_byte_of_a_change_changed_is_detected(key: bytes, tmp_path: Path) -> None:
    _, path = sealed_by_both(tmp_path)
    data = path.read_bytes()
    first = data.index(key)
    last = first + 600
    for at in range(first, last, 3):
        other = path.with_suffix(".other")
        other.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert check(other).problems, at
