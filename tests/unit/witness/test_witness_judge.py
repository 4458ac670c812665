"""What a witness signs, what it refuses, and what it never forgets."""

import base64
import threading
from pathlib import Path

import orjson
import pytest

from gateway.durable import write_durably
from gateway.witness.judge import Answer, RefusedError, Witness, read_answer
from gateway.witness.state import Alarms, Seen, WitnessState, WitnessStateError
from pipeline.evidence.cosignature import cosigned_at, witness_key
from pipeline.evidence.policy import LOG, Key
from pipeline.journal.merkle import consistency_proof
from pipeline.journal.succession import succession_note
from pipeline.records.signing import SigningKey
from tests.support.paper_log import LAB_KEY, ORIGIN, PaperLog, paper_log, signing_key

NAME = "witness.example/w1"
KEY = signing_key(40)
NEXT_KEY = signing_key(42)
OWN = witness_key(NAME, KEY.public)
LAB = Key(ORIGIN, LOG, LAB_KEY.public)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


def witness(folder: Path) -> Witness:
    return Witness(NAME, KEY, WitnessState(folder / "witness.json", folder / "none.key"))


def answer(log: PaperLog, old: int, size: int) -> Answer:
    proof = consistency_proof(log.node, old, size) if old < size else []
    return Answer(old, tuple(proof), log.sealed(size, ()))


def test_growth_that_is_proved_is_cosigned_and_remembered_first(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    note = one.cosign(LAB, answer(log, 0, 5), 1000)
    assert cosigned_at(note, OWN) == 1000
    note = one.cosign(LAB, answer(log, 5, 12), 1060)
    assert cosigned_at(note, OWN) == 1060
    # Another process, later: the memory is on the disk.
    again = witness(folder)
    assert again.last(LAB).size == 12
    assert cosigned_at(again.cosign(LAB, answer(log, 12, 12), 1100), OWN) == 1100


def test_nothing_is_signed_that_could_not_be_remembered(folder: Path) -> None:
    one = witness(folder)
    (folder / "witness.json").unlink()
    folder.rmdir()
    with pytest.raises(OSError, match="No such file"):
        one.cosign(LAB, answer(paper_log(), 0, 5), 1000)
    assert one.last(LAB).size == 0


def test_two_logs_cosigned_at_once_are_both_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten could be rewritten and cosigned again."""
    state = WitnessState(folder / "witness.json", folder / "none.key")
    begun, both = threading.Event(), threading.Event()

    def slowly(path: Path, content: bytes) -> None:
        if begun.is_set():
            both.set()
        else:
            begun.set()
            both.wait(0.05)  # the other one would have begun by then, if it may
        write_durably(path, content)

    monkeypatch.setattr("gateway.witness.state.write_durably", slowly)
    threads = [
        threading.Thread(target=state.note, args=(origin, Seen(5, bytes(32), 1000)))
        for origin in ("yaosu/lab/one", "yaosu/lab/two")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = WitnessState(folder / "witness.json", folder / "none.key")
    assert set(state.all()) == set(again.all()) == {"yaosu/lab/one", "yaosu/lab/two"}


def test_a_clock_that_went_back_makes_no_earlier_word(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 5), 1000)
    assert cosigned_at(one.cosign(LAB, answer(log, 5, 6), 10), OWN) == 1000


def test_fewer_records_than_before_are_a_rollback(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 12), 1000)
    with pytest.raises(RefusedError, match="taken away") as refused:
        one.cosign(LAB, Answer(12, (), log.sealed(11, ())), 1001)
    assert refused.value.kind == "rollback"
    assert one.last(LAB).size == 12


def rewritten() -> PaperLog:
    log = paper_log()
    other = PaperLog(log.journal)
    for record in log.records:
        other.add(record.kind, {**record.body, "changed": 1} if record.seq == 3 else record.body)
    return other


def test_another_tree_of_the_same_size_is_a_fork_without_any_question(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 12), 1000)
    assert one.compare(LAB, log.sealed(12, ())).size == 12
    with pytest.raises(RefusedError, match="rewritten") as refused:
        one.compare(LAB, rewritten().sealed(12, ()))
    assert refused.value.kind == "fork"
    assert refused.value.note == rewritten().sealed(12, ())


def test_a_rewritten_history_cannot_be_proved(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 12), 1000)
    for forged in (answer(rewritten(), 12, 15), Answer(12, (), rewritten().sealed(15, ()))):
        with pytest.raises(RefusedError) as refused:
            one.cosign(LAB, forged, 1001)
        assert refused.value.kind == "fork"
    with pytest.raises(RefusedError, match="proof from 0"):
        one.cosign(LAB, answer(rewritten(), 0, 15), 1001)
    assert one.last(LAB).size == 12
    one.cosign(LAB, answer(log, 12, 15), 1002)


def test_any_changed_bit_of_a_proof_is_refused(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 5), 1000)
    good = answer(log, 5, 14)
    for number, digest in enumerate(good.proof):
        for position in range(len(digest)):
            bad = digest[:position] + bytes([digest[position] ^ 1]) + digest[position + 1 :]
            with pytest.raises(RefusedError):
                one.cosign(
                    LAB, Answer(5, (*good.proof[:number], bad, *good.proof[number + 1 :]), good.note), 1
                )
    one.cosign(LAB, good, 1001)


def test_a_checkpoint_of_another_key_or_log_is_not_signed(folder: Path) -> None:
    one, note = witness(folder), paper_log().sealed(5, ())
    for key in (Key(ORIGIN, LOG, signing_key(50).public), Key("yaosu/lab/other", LOG, LAB_KEY.public)):
        with pytest.raises(RefusedError, match="not signed by"):
            one.read(key, note)


def test_an_answer_is_the_body_of_add_checkpoint() -> None:
    # The example of C2SP tlog-witness, its checkpoint shortened.
    body = (
        "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
        "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\nexample.com/behind-the-sofa\n20852163\n"
    )
    read = read_answer(body.encode())
    assert (read.old_size, len(read.proof)) == (20852014, 2)
    assert read.note.startswith("example.com/behind-the-sofa\n")
    line = base64.b64encode(bytes(32)).decode()
    too_long = "\n".join(["old 1", *[line] * 64, "", "note"])
    for bad in ("", "old x\n\nn", "old 1\n!\n\nn", "new 1\n\nn", "old 1", too_long, "old -1\n\nn"):
        with pytest.raises(RefusedError, match="cannot be read"):
            read_answer(bad.encode())


def test_a_key_without_its_memory_does_not_sign(folder: Path) -> None:
    SigningKey.load_or_create(folder / "witness.key")
    with pytest.raises(WitnessStateError, match="forgotten"):
        WitnessState(folder / "witness.json", folder / "witness.key")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"a": 1}', b'{"a": {"size": 1, "root": "00", "t_s": 1}}'])
def test_a_damaged_memory_does_not_sign(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / "witness.json").write_bytes(content)
    with pytest.raises(WitnessStateError, match="damaged"):
        WitnessState(folder / "witness.json", folder / "witness.key")


def test_alarms_are_kept_once_with_the_note_that_proves_them(tmp_path: Path) -> None:
    alarms = Alarms(tmp_path / "alarms.jsonl", 300)
    alarm: dict[str, object] = {"kind": "fork", "origin": ORIGIN, "note": "n" * 100}
    assert alarms.add(alarm)
    assert not alarms.add(alarm)
    assert alarms.add({**alarm, "note": "m" * 100})
    assert alarms.add({**alarm, "note": "k" * 100})  # beyond the file's limit: logged and counted
    lines = (tmp_path / "alarms.jsonl").read_bytes().splitlines()
    assert [orjson.loads(line)["note"][0] for line in lines] == ["n", "m"]
    assert alarms.count == 3
    assert Alarms(tmp_path / "alarms.jsonl", 300).count == 2


def test_the_memory_reads_back(folder: Path) -> None:
    state = WitnessState(folder / "witness.json", folder / "witness.key")
    state.note(ORIGIN, Seen(3, bytes(32), 7))
    assert WitnessState(folder / "witness.json", folder / "witness.key").all() == {
        ORIGIN: Seen(3, bytes(32), 7)
    }


def changed(*pairs: tuple[int, str]) -> bytes:
    return orjson.dumps(pairs)


def test_a_log_that_changes_its_key_is_followed_and_its_old_key_signs_nothing_more(folder: Path) -> None:
    log, one = paper_log(), witness(folder)
    one.cosign(LAB, answer(log, 0, 5), 1000)
    record = log.change_key(NEXT_KEY)
    size = record.seq + 1
    with pytest.raises(RefusedError, match="not signed by"):
        one.cosign(LAB, answer(log, 5, size), 1001)
    one.follow(LAB, changed((record.seq, record.body["note"])))
    one.cosign(LAB, answer(log, 5, size), 1002)
    log.add("tick")
    log.key = LAB_KEY
    with pytest.raises(RefusedError, match="not signed by"):
        one.cosign(LAB, answer(log, size, size + 1), 1003)
    # Another process, later, to which somebody with the old key shows no change of it.
    again = witness(folder)
    with pytest.raises(RefusedError, match="is not shown any more"):
        again.cosign(LAB, answer(log, size, size + 1), 1004)
    again.follow(LAB, changed((record.seq, record.body["note"])))
    log.key = NEXT_KEY
    again.cosign(LAB, answer(log, size, size + 1), 1005)
    assert again.last(LAB).size == size + 1


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[[3]]",
        orjson.dumps([[3, "a note"]]),
        changed((3, succession_note(ORIGIN, signing_key(90), signing_key(91)))),
        changed((3, succession_note("yaosu/lab/other", LAB_KEY, signing_key(91)))),
    ],
)
def test_a_change_of_key_that_the_known_key_has_not_signed_is_refused(folder: Path, payload: bytes) -> None:
    one, log = witness(folder), paper_log()
    with pytest.raises(RefusedError, match="the change of the log's key") as refused:
        one.follow(LAB, payload)
    assert refused.value.kind == "malformed"
    one.cosign(LAB, answer(log, 0, 5), 1000)
