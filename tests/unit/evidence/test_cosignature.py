"""Cosignatures and policies against what others have published, and what must not pass."""

import base64

import pytest

from pipeline.evidence.cosignature import cosign, cosigned_at, vkey, witness_key
from pipeline.evidence.policy import LOG, WITNESS, read_key, read_policy
from pipeline.journal.note import MalformedNote
from tests.support.paper_log import WITNESS_KEYS, policy_text, signing_key

# A checkpoint of a public log with a cosignature of the public witness remora.n621.de, as a published Python
# implementation of C2SP witnessing tests it (class TestCheckpointVerification); the witness's key is also in
# note/note_cosigv1_test.go of github.com/transparency-dev/formats.
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
REMORA_LINE = (
    "\u2014 remora.n621.de "
    "2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n"
)
CHECKPOINT = (
    "arche2025h1.staging.ct.transparency.dev\n1432088532\nU7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n"
)
# Key and time of a cosignature from note/note_cosigv1_test.go (TestCoSigV1NewVerifier, TestCoSigV1Timestamp).
TIMED = (
    "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXORmnFBOBA=="
)
PLAIN_KEY = "TEST+7997405c+AQcC+FTVKf0jlTdHDY3rbevmnKxxPjigCXlVtGe6RIr6"


def test_a_public_witnesss_cosignature_verifies() -> None:
    key = read_key(REMORA, WITNESS)
    assert vkey(key) == REMORA
    assert cosigned_at(f"{CHECKPOINT}\n{REMORA_LINE}", key) == int.from_bytes(b"\x6a\x12\x21\x20", "big")


def test_a_changed_checkpoint_is_not_cosigned() -> None:
    key = read_key(REMORA, WITNESS)
    for changed in (CHECKPOINT.replace("1432088532", "42"), CHECKPOINT + "extension\n"):
        with pytest.raises(MalformedNote, match="not valid"):
            cosigned_at(f"{changed}\n{REMORA_LINE}", key)


def test_the_time_of_a_published_cosignature_is_read_where_it_stands() -> None:
    assert int.from_bytes(base64.b64decode(TIMED)[4:12], "big") == 1727964367


def test_a_key_for_plain_signatures_is_no_witnesss_key() -> None:
    assert read_key(PLAIN_KEY, LOG).name == "TEST"
    with pytest.raises(ValueError, match="type 4"):
        read_key(PLAIN_KEY, WITNESS)


def test_what_is_cosigned_reads_back_with_its_time() -> None:
    key = witness_key("w.example/1", signing_key(9).public)
    line = cosign(CHECKPOINT, "w.example/1", signing_key(9), 1679315147)
    assert cosigned_at(f"{CHECKPOINT}\n{line}", key) == 1679315147
    with pytest.raises(MalformedNote, match="not cosigned by"):
        cosigned_at(f"{CHECKPOINT}\n{line}", witness_key("w.example/2", signing_key(9).public))


def test_a_policy_counts_operators_not_signatures() -> None:
    one, two, three = (vkey(witness_key(f"w{n}", signing_key(20 + n).public)) for n in range(3))
    text = (
        f"# comment\nlog {PLAIN_KEY} https://log.example\nwitness a1 {one}\nwitness a2 {two}\n"
        f"witness b {three}\n"
        "group a any a1 a2\n  group both all a b\nquorum both\n"
    )
    policy = read_policy(text)
    assert not policy.satisfied({"a1", "a2"})
    assert policy.satisfied({"a2", "b"})
    assert read_policy(text.replace("all a b", "2 a b")).satisfied({"a1", "b"})


@pytest.mark.parametrize("change", [
    ("quorum both\n", ""), ("quorum both", "quorum nobody"), ("both all", "both 3"), ("both all", "both 0"),
    ("all institute university", "all institute institute"), ("log ", "logs "), ("quorum both", "quorum"),
    ("quorum both", "quorum both\nquorum none"), ("witness university ", "witness institute "),
    ("witness university ", "witness none "), ("group both", "group institute"),
    ("all institute university", "all institute elsewhere"), ("+B", "+C"),
    ("quorum both", "quorum both institute"),
])  # fmt: skip
def test_a_policy_that_is_not_whole_is_refused_with_its_line(change: tuple[str, str]) -> None:
    text = policy_text("both")
    assert read_policy(text).quorum == "both"
    assert change[0] in text
    with pytest.raises(ValueError, match=r"line \d+|a policy has"):
        read_policy(text.replace(*change, 1))


def test_one_key_under_two_names_is_refused() -> None:
    text = policy_text("both")
    again = vkey(witness_key("another.name", WITNESS_KEYS["institute"].public))
    with pytest.raises(ValueError, match="no key twice"):
        read_policy(text.replace("group both", f"witness third {again}\ngroup both"))
