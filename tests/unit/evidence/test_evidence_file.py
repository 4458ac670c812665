"""Evidence files: made from a log, checked with public keys alone, refused for whatever was changed."""

import ast
import io
import struct
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evidence import create as create_module
from pipeline.evidence import findings as findings_module
from pipeline.evidence import notes as notes_module
from pipeline.evidence import policy as policy_module
from pipeline.evidence import proofs as proofs_module
from pipeline.evidence import story as story_module
from pipeline.evidence import verify as verify_module
from pipeline.evidence.create import Made, create
from pipeline.evidence.findings import Checked
from pipeline.evidence.policy import read_policy
from pipeline.evidence.report import report
from pipeline.evidence.select import NoEvidenceError, select
from pipeline.evidence.verify import MAGIC, check_file, check_stream
from pipeline.journal.merkle import consistency_proof
from pipeline.records import Record
from tests.support.journal_fake import make_record
from tests.support.paper_log import COSIGNED_S, OPERATORS, TASK, PaperLog, paper_log, policy_text
from tests.support.tree import parsed

BOTH = read_policy(policy_text("both"))
START = 6
"""Seq of the task's start."""
MASKS = (0x01, 0xFF, 0x20, 0x80, 0x1C)


@pytest.fixture
def log() -> PaperLog:
    log = paper_log()
    log.seal()
    return log


def made(log: PaperLog, folder: Path) -> tuple[Path, Made]:
    path = folder / "task.evidence"
    return path, create(log, TASK, path)


def test_a_file_of_a_task_verifies_with_the_public_keys_alone(log: PaperLog, tmp_path: Path) -> None:
    path, facts = made(log, tmp_path)
    checked = check_file(path, BOTH)
    assert checked.problems == []
    assert (checked.task, checked.journal) == (TASK, log.journal.hex())
    assert checked.records == facts.records
    assert checked.witnessed_size == checked.sealed_size == facts.sealed_size
    assert [(one.witness, one.t_s) for one in checked.cosigned] == [
        (operator, COSIGNED_S + facts.sealed_size) for operator in OPERATORS
    ]
    text = report(checked)
    assert text.endswith("VERIFIED\n")
    assert f"first {facts.sealed_size} records at 20" in text


def test_the_records_of_others_are_not_in_it(log: PaperLog) -> None:
    found = select(log, TASK)
    bodies = [log.records[seq].body for seq in sorted(found.seqs)]
    assert {body.get("instrument") for body in bodies} == {"oven", "room", None}
    assert {body["id"] for body in bodies if "id" in body} == {"m-1", "eq-1"}
    assert not any(body.get("args") == {"task": "t-other"} for body in bodies)
    assert {log.records[seq].kind for seq in found.seqs} == {
        "config", "registry", "task", "data", "tick", "result", "verdict", "review",
    }  # fmt: skip


def test_what_nobody_has_witnessed_yet_is_told_and_is_not_good_enough(tmp_path: Path) -> None:
    log = paper_log()
    size = len(log.records)
    log.seal(size - 2, ["university"])
    log.seal(len(log.records), [])
    path, facts = made(log, tmp_path)
    assert facts.witnesses == {OPERATORS["university"]: size - 2}
    checked = check_file(path, read_policy(policy_text("either")))
    assert checked.witnessed_size == size - 2
    assert checked.unwitnessed == (size - 2, size - 1)
    assert checked.bad_seq == size - 2
    assert f"not witnessed yet: seq {size - 2} to {size - 1}" in report(checked)
    alone = check_file(path, read_policy(policy_text("none")))
    assert alone.problems == []


def test_without_a_witness_the_report_says_what_that_means(tmp_path: Path) -> None:
    log = paper_log()
    log.seal(None, [])
    path, _ = made(log, tmp_path)
    checked = check_file(path, read_policy(policy_text("none")))
    assert checked.problems == []
    assert "nobody outside" in report(checked)
    assert check_file(path, BOTH).problems


def test_witnesses_who_saw_different_sizes_count_for_what_both_have_seen(tmp_path: Path) -> None:
    log = paper_log()
    needed = len(log.records)
    log.seal(None, ["institute"])
    log.add("tick")
    log.seal(None, ["university"])
    path, _ = made(log, tmp_path)
    checked = check_file(path, BOTH)
    assert checked.problems == []
    assert checked.witnessed_size == needed
    assert checked.sealed_size > needed


def test_a_log_that_no_key_of_the_policy_signed_is_refused(log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    other = policy_text().replace("log yaosu/lab/gw", "log yaosu/lab/gx")
    with pytest.raises(ValueError, match="whole key"):
        read_policy(other)
    checked = check_file(path, read_policy("\n".join(["", *_log_of_another_lab(), "quorum none", ""])))
    assert "no key of the log" in checked.problems[0]


def _log_of_another_lab() -> list[str]:
    key = (
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"  # of sumdb/note's documentation
    )
    return [f"log {key}"]


def test_every_changed_byte_is_detected(tmp_path: Path) -> None:
    log = paper_log(1)
    log.seal(len(log.records) - 3, ["institute"])
    log.seal()
    path, facts = made(log, tmp_path)
    whole = path.read_bytes()
    assert facts.bytes == len(whole)
    assert check_file(path, BOTH).problems == []
    for position in range(len(whole)):
        data = bytearray(whole)
        data[position] ^= MASKS[position % len(MASKS)]
        checked = check_stream(io.BytesIO(data), len(data), BOTH)
        assert checked.problems, position
        assert report(checked).endswith("NOT VERIFIED\n")


@pytest.mark.parametrize("quorum", ["either", "none"])
def test_a_changed_byte_that_is_let_pass_lies_in_a_signature_that_is_told_as_ignored(
    quorum: str, tmp_path: Path
) -> None:
    log = paper_log(1)
    log.seal()
    path, facts = made(log, tmp_path)
    whole, policy = path.read_bytes(), read_policy(policy_text(quorum))
    lines = [f"{line}\n".encode() for line in log.sealed(facts.sealed_size).splitlines()[4:]]
    cosignatures = {whole.index(line): len(line) for line in lines[1:]}
    passed = 0
    for position, byte in enumerate(whole):
        data = whole[:position] + bytes([byte ^ MASKS[position % len(MASKS)]]) + whole[position + 1 :]
        checked = check_stream(io.BytesIO(data), len(data), policy)
        if not checked.problems:
            passed += 1
            # As C2SP signed-note demands: another name or key id is the signature of an unknown key.
            assert any(start <= position < start + length for start, length in cosignatures.items()), position
            assert len(checked.ignored) == 1
            assert len(checked.cosigned) == 1
            assert "ignored: a signature of " in report(checked)
    assert 0 < passed < sum(cosignatures.values()) / 2


@pytest.mark.parametrize("line", [
    "-- witness.institute.example/w1 {}", "\u2014 {}", "\u2014  {}", "{}", "\u2014 someone AAAAAA==",
    "\u2014\u00a0witness.institute.example/w1 {}", "\u2014 witness.institute.example/w1",
])  # fmt: skip
def test_a_line_that_is_no_signature_makes_the_note_none(line: str, log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    (tree,) = header["trees"]
    own, first, second = tree["note"].split("\n\n")[1].splitlines()
    text = tree["note"].split("\n\n")[0]
    for lines in ([own, line.format(second.split(" ")[2]), first], [own, first, second, line.format("AAAA")]):
        bad = {**header, "trees": [{**tree, "note": "\n".join([text, "", *lines, ""])}]}
        _put_together(path, bad, records)
        checked = check_file(path, read_policy(policy_text("either")))
        assert any("note" in problem for problem in checked.problems), line
        assert not checked.ignored


def test_a_note_of_more_signatures_than_any_verifier_takes_is_refused(log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    (tree,) = header["trees"]
    last = tree["note"].splitlines()[-1]
    for count, refused in ((97, False), (98, True)):
        note = tree["note"] + f"{last}\n" * count
        checked = checked_with(path, {**header, "trees": [{**tree, "note": note}]}, records)
        assert bool(checked.problems) == refused


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    log = paper_log(250)
    log.seal()
    path = tmp_path_factory.mktemp("large") / "task.evidence"
    assert create(log, TASK, path).records > 700
    return path.read_bytes()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_damage_to_a_large_file_goes_unnoticed(large: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(large) - 1))
    last = min(len(large), first + data.draw(st.integers(1, 2000)))
    damage = data.draw(st.sampled_from(["change", "cut", "double", "swap"]))
    piece, follow = large[first:last], large[last : 2 * last - first]
    changed = {
        "change": bytes(byte ^ 0x55 for byte in piece), "cut": b"", "double": piece * 2,
        "swap": follow + piece,
    }[damage]  # fmt: skip
    rest = large[last + (len(follow) if damage == "swap" else 0) :]
    damaged = large[:first] + changed + rest
    problems = check_stream(io.BytesIO(damaged), len(damaged), BOTH).problems
    assert bool(problems) == (damaged != large)


def _taken_apart(path: Path) -> tuple[dict[str, Any], list[tuple[int, bytes]]]:
    data = path.read_bytes()[len(MAGIC) :]
    (length,) = struct.unpack_from(">I", data)
    header, rest = msgpack.unpackb(data[4 : 4 + length]), data[4 + length :]
    seqs = [seq for first, last in header["records"] for seq in range(first, last + 1)]
    records = []
    for seq in seqs:
        (size,) = struct.unpack_from(">I", rest)
        records.append((seq, rest[4 : 4 + size]))
        rest = rest[4 + size :]
    return header, records


def _put_together(path: Path, header: dict[str, Any], records: list[tuple[int, bytes]]) -> None:
    packed = msgpack.packb(header)
    framed = b"".join(struct.pack(">I", len(data)) + data for _, data in records)
    path.write_bytes(MAGIC + struct.pack(">I", len(packed)) + packed + framed)


def checked_with(path: Path, header: dict[str, Any], records: list[tuple[int, bytes]]) -> Checked:
    _put_together(path, header, records)
    return check_file(path, BOTH)


def test_every_record_that_was_changed_is_named_by_its_seq(log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    assert checked_with(path, header, records).problems == []
    for number, (seq, data) in enumerate(records):
        for position in range(0, len(data), 1 if number % 6 == 0 else 41):
            bad = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
            checked = checked_with(path, header, [*records[:number], (seq, bad), *records[number + 1 :]])
            assert checked.bad_seq == seq
            assert "not the one that was sealed" in checked.problems[0]


def test_two_swapped_records_are_named(log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    (one, first), (two, second) = records[3], records[8]
    records[3], records[8] = (one, second), (two, first)
    checked = checked_with(path, header, records)
    assert [problem.split(":")[0] for problem in checked.problems[:2]] == [f"seq {one}", f"seq {two}"]


def test_a_dropped_record_is_named_even_when_the_file_is_made_anew_without_it(
    log: PaperLog, tmp_path: Path
) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    for number in range(len(records)):
        assert checked_with(path, header, records[:number] + records[number + 1 :]).problems
    grounds = set()
    for seq, data in records:
        record = next(r for r in log.records if r.data == data)
        without = _without(log, seq, tmp_path / "without")
        if without.problems:
            grounds.add(record.kind)
            assert without.bad_seq is not None or record.kind == "task"
        else:  # what nothing in the file rests on can be left out of it: docs/evidence.md says so
            assert record.kind not in {"data", "result", "verdict"} or record.seq < START
    assert grounds == {"data", "result", "verdict", "task"}


def _without(log: PaperLog, seq: int, path: Path) -> Checked:
    """Make the file of a liar who leaves one record out and proves the rest."""
    found = select(log, TASK)
    found.seqs.discard(seq)
    trees = create_module.choose(create_module.sealed_sizes(log, min(found.seqs)), max(found.seqs) + 1)
    create_module._write(path, create_module._header(log, found, trees, []), log, found)
    return check_file(path, BOTH)


def test_history_rewritten_with_the_labs_own_key_after_a_cosignature_is_refused(
    log: PaperLog, tmp_path: Path
) -> None:
    forged = paper_log()
    body = {**forged.records[-1].body, "disposition": "release"}
    forged.records[-1] = _at(forged, len(forged.records) - 1, "review", body)
    forged.seal()
    # The lab signs its new story; the witnesses' signatures are those that they gave to the old one.
    new, old = forged.sealed(len(forged.records) - 3, ()), log.sealed(len(log.records) - 3)
    stolen = "".join(f"{line}\n" for line in old.split("\n\n")[1].splitlines()[1:])
    for record in forged.records:
        if record.kind == "cosignature":
            forged.records[record.seq] = _at(forged, record.seq, "cosignature", {"note": new + stolen})
    path, _ = made(forged, tmp_path)
    checked = check_file(path, BOTH)
    assert "the signature of witness.institute.example/w1" in checked.problems[0]
    assert "does not fit" in checked.problems[0]


def test_another_history_beside_the_cosigned_one_does_not_continue_it(log: PaperLog, tmp_path: Path) -> None:
    path, facts = made(log, tmp_path)
    header, records = _taken_apart(path)
    forged = paper_log()
    forged.records[3] = _at(forged, 3, "registry", {"type": "method", "id": "m-2"})
    forged.add("tick")
    size, note = len(forged.records), forged.sealed(None, ())
    proof = b"".join(consistency_proof(forged.node, facts.sealed_size, size))
    header["trees"].append({"note": note, "hashes": b""})
    checked = checked_with(path, {**header, "links": [proof]}, records)
    assert checked.problems[0].endswith(f"of {size} records does not continue that of {facts.sealed_size}")


def _at(log: PaperLog, seq: int, kind: str, body: dict[str, object]) -> Record:
    return make_record(seq, kind, body, log.journal)


def test_a_task_without_a_seal_or_with_lost_records_makes_no_file(tmp_path: Path) -> None:
    log = paper_log()
    with pytest.raises(NoEvidenceError, match="not sealed yet"):
        made(log, tmp_path)
    with pytest.raises(NoEvidenceError, match="no task"):
        create(log, "t-9", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [
    b"", MAGIC, MAGIC + b"\xff\xff\xff\xff", MAGIC + b"\0\0\0\1\xc1", MAGIC + b"\0\0\0\1\x90",
    MAGIC + struct.pack(">I", 4000) + b"\x91" * 4000,
    MAGIC + struct.pack(">I", 1) + b"\x80",
])  # fmt: skip
def test_a_hostile_file_is_a_finding(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    assert check_file(tmp_path / "x", BOTH).problems


def test_a_header_that_promises_too_much_is_refused(log: PaperLog, tmp_path: Path) -> None:
    path, _ = made(log, tmp_path)
    header, records = _taken_apart(path)
    for ranges in (
        [[0, 2**62]],
        [[0, -1]],
        [[1, 1], [0, 0]],
        [],
        [["a", "b"]],
        [[True, True]],
        5,
        [[0, 0], [1, 1]],
    ):
        assert checked_with(path, {**header, "records": ranges}, records).problems
    assert checked_with(path, {**header, "more": 1}, records).problems


def test_the_verifier_needs_nothing_but_two_libraries_and_its_policy() -> None:
    allowed = {
        "base64",
        "bisect",
        "dataclasses",
        "hashlib",
        "re",
        "struct",
        "typing",
        "__future__",
        "pathlib",
    }
    neighbours = (policy_module, notes_module, findings_module, proofs_module, story_module)
    for module in (verify_module, *neighbours):
        tree = parsed(Path(str(module.__file__)).read_bytes())
        imports = {
            name
            for node in ast.walk(tree)
            for name in (
                [node.module] if isinstance(node, ast.ImportFrom) and node.module
                else [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            )
        }  # fmt: skip
        others = {name for name in imports if name.split(".")[0] not in allowed | {"msgpack", "cryptography"}}
        assert others <= {module.__name__ for module in neighbours}
