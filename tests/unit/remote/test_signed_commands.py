"""What a signed command must be to be carried out: each thing that can be wrong with it, and its boundary."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.remote.counters import NONCES_KEPT, Counters, CountersError, Used
from gateway.remote.rate import CALLERS_MAX, RateLimit
from gateway.remote.signed import (
    REPLY_CONTEXT,
    REQUEST_CONTEXT,
    BadRequestError,
    Circumstances,
    check,
    read_request,
    seal,
)
from gateway.trust import Pinned
from gateway.trust.roles import ROLE_COMMANDS, may_command
from pipeline.elements.commands import COMMANDS
from pipeline.mqtt import Topics
from pipeline.records.signing import SigningKey

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOW_NS = int(NOW.timestamp()) * 10**9
BODY: dict[str, Any] = {
    "gateway": "lab/gw", "command": "task.stop", "args": {"task": "t"}, "counter": 8, "nonce": "n",
    "idempotency_key": "k",
}  # fmt: skip


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "lims.key")


def circumstances(key: SigningKey, **changes: Any) -> Circumstances:
    facts: dict[str, Any] = {
        "pinned": {key.id: Pinned(key.public, "lims", "lims-1")}, "gateway": "lab/gw", "now_utc_ns": NOW_NS,
        "synchronised": True, "used": Used(7, ("old",)),
    }  # fmt: skip
    return Circumstances(**{**facts, **changes})


def code(key: SigningKey, message: bytes, **changes: Any) -> str:
    try:
        check(read_request(message), circumstances(key, **changes))
    except BadRequestError as bad:
        return bad.code if bad.en and bad.zh else "a refusal without words"
    return "ok"


def sealed(key: SigningKey, **changes: Any) -> bytes:
    return seal(key, REQUEST_CONTEXT, {**BODY, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ok"),
        ({"counter": 7}, "counter-used"),
        ({"counter": 1}, "counter-used"),
        ({"counter": 2**63 - 1}, "ok"),
        ({"counter": 2**63}, "not-understood"),
        ({"counter": 0}, "not-understood"),
        ({"counter": "9"}, "not-understood"),
        ({"counter": 9.0}, "not-understood"),
        ({"counter": True}, "not-understood"),
        ({"nonce": "old"}, "nonce-used"),
        ({"nonce": ""}, "not-understood"),
        ({"gateway": "lab/gw2"}, "other-gateway"),
        ({"command": "hold.release"}, "not-permitted"),
        ({"command": "config.apply"}, "not-permitted"),
        ({"args": [1]}, "not-understood"),
        ({"idempotency_key": "k" * 129}, "not-understood"),
        ({"not_after": NOW.isoformat()}, "ok"),
        ({"not_after": (NOW - timedelta(microseconds=1)).isoformat()}, "expired"),
        ({"not_before": NOW.isoformat()}, "ok"),
        ({"not_before": (NOW + timedelta(microseconds=1)).isoformat()}, "too-early"),
        ({"not_after": "2026-03-01T16:00:00+08:00"}, "ok"),
        ({"not_after": "2026-03-01T08:00:00"}, "not-understood"),
        ({"not_after": "soon"}, "not-understood"),
        ({"not_after": 5}, "not-understood"),
    ],
)
def test_each_thing_that_can_be_wrong_is_told_by_its_code(
    key: SigningKey, changes: dict[str, Any], expected: str
) -> None:
    assert code(key, sealed(key, **changes)) == expected


def test_a_clock_that_nobody_vouches_for_neither_admits_nor_shuts_out(key: SigningKey) -> None:
    for span in ({"not_after": "2001-01-01T00:00:00Z"}, {"not_before": "2999-01-01T00:00:00Z"}):
        assert code(key, sealed(key, **span), synchronised=False) == "ok"
    assert code(key, sealed(key, counter=7), synchronised=False) == "counter-used"


def test_only_a_key_that_is_pinned_for_commands_counts(key: SigningKey) -> None:
    assert code(key, sealed(key), pinned={}) == "unknown-key"
    assert code(key, sealed(key), pinned={key.id: Pinned(key.public, "collector")}) == "unknown-key"
    other = Pinned(bytes(32), "lims", "x")
    assert code(key, sealed(key), pinned={key.id: other}) == "bad-signature"
    regulator = {key.id: Pinned(key.public, "regulator", "r")}
    assert code(key, sealed(key), pinned=regulator) == "not-permitted"
    assert code(key, seal(key, REPLY_CONTEXT, BODY)) == "bad-signature", "an answer is no command"


@given(position=st.integers(0, 2000), bit=st.integers(0, 7))
def test_no_flipped_bit_is_carried_out(position: int, bit: int) -> None:
    key = _KEY
    message = bytearray(sealed(key))
    message[position % len(message)] ^= 1 << bit
    try:
        changed = json.loads(bytes(message))
        same = (changed["body"], changed["key"], bytes.fromhex(changed["signature"])) == _PARTS
    except (ValueError, KeyError, TypeError, UnicodeDecodeError):
        same = False
    assert (code(key, bytes(message)) == "ok") == same


def _made() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


_KEY = _made()
_WHOLE = json.loads(sealed(_KEY))
_PARTS = (_WHOLE["body"], _WHOLE["key"], bytes.fromhex(_WHOLE["signature"]))


def test_a_lims_has_its_five_commands_and_no_others() -> None:
    assert ROLE_COMMANDS["lims"] <= set(COMMANDS)
    assert {command for command in COMMANDS if may_command("lims", command)} == {
        "task.start", "task.bind", "task.stop", "task.abort", "task.link",
    }  # fmt: skip
    assert not any(may_command("collector", command) for command in COMMANDS)


async def test_a_counter_is_on_disk_before_it_counts_as_used_and_survives(tmp_path: Path) -> None:
    path = tmp_path / "counters.json"
    counters = Counters(path)
    assert counters.used("a") == Used()
    for number in range(NONCES_KEPT + 3):
        await counters.use("a", number, f"n{number}")
        assert Counters(path).used("a") == counters.used("a")
    assert counters.used("a").counter == NONCES_KEPT + 2
    assert len(counters.used("a").nonces) == NONCES_KEPT
    folder = tmp_path / "gone"
    missing = Counters(folder / "counters.json")
    with pytest.raises(OSError, match="gone"):
        await missing.use("a", 1, "n")
    assert missing.used("a") == Used(), "what is not on disk is not used up, and the command not carried out"


@pytest.mark.parametrize("content", ["", "[]", '{"a": {}}', '{"a": {"counter": "x", "nonces": []}}'])
def test_damaged_counters_let_no_old_command_in_again(tmp_path: Path, content: str) -> None:
    path = tmp_path / "counters.json"
    path.write_text(content)
    with pytest.raises(CountersError, match="keys distrust"):
        Counters(path)


def test_the_rate_limit_lets_a_burst_through_and_then_its_rate() -> None:
    limit = RateLimit(10.0, 5)
    assert [limit.allow("a", 0) for _ in range(6)] == [True] * 5 + [False]
    assert limit.allow("b", 0), "each caller has its own"
    assert not limit.allow("a", 99_000_000)
    assert limit.allow("a", 100_000_000)
    assert not limit.allow("a", 100_000_000)
    for number in range(CALLERS_MAX * 2):
        limit.allow(str(number), 0)
    assert len(limit._left) == CALLERS_MAX


@pytest.mark.parametrize(
    ("topic", "fit"),
    [
        ("yaosu/v1/lab/gw/reply/lims", True),
        ("lims/answers", True),
        ("", False),
        ("yaosu/v1/lab/gw/receipt", False),
        ("yaosu/v1/lab/gw/command", False),
        ("yaosu/v1/lab/other/reply/x", False),
        ("a/#", False),
        ("a/+", False),
        ("$SYS/x", False),
        ("a\0", False),
    ],
)
def test_an_answer_goes_where_it_can_do_no_harm(topic: str, fit: bool) -> None:
    assert Topics("lab", "gw").answerable(topic) == fit
