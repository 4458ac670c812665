"""Topics, receipts, reconnecting."""

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, cast

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.mqtt import Link, LinkLostError, Topics, keep_connected, open_receipt, seal_receipt
from pipeline.mqtt.receipt import ReceiptError
from pipeline.mqtt.reconnect import DELAY_MAX_S, STABLE_S, LinkHealth
from pipeline.mqtt.topics import gateway_of
from pipeline.records import SystemClock
from pipeline.records.signing import SigningKey

JOURNAL = bytes(range(16))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return SigningKey.load_or_create(tmp_path_factory.mktemp("keys") / "key")


def test_topics_are_the_ones_of_the_wire() -> None:
    topics = Topics("lab", "one")
    assert topics.record("data", "oven") == "yaosu/v1/lab/one/rec/data/oven"
    assert topics.record("tick", None) == "yaosu/v1/lab/one/rec/tick"
    assert topics.record("event", "a#") == "yaosu/v1/lab/one/rec/event"
    assert gateway_of(topics.receipt) == topics
    with pytest.raises(ValueError, match="not a topic"):
        gateway_of("yaosu/v1/lab")


def test_a_receipt_opens_to_what_was_sealed(key: SigningKey) -> None:
    receipt = open_receipt(seal_receipt(key, JOURNAL, [(0, 5), (7, 7)]), {key.id: key.public})
    assert (receipt.journal, receipt.ranges, receipt.key_id) == (JOURNAL, ((0, 5), (7, 7)), key.id)


def test_every_changed_field_is_refused(key: SigningKey, tmp_path: Path) -> None:
    stranger = SigningKey.load_or_create(tmp_path / "stranger")
    sealed: dict[str, Any] = msgpack.unpackb(seal_receipt(key, JOURNAL, [(0, 5)]))
    trusted = {key.id: key.public, stranger.id: stranger.public}
    for changes in (
        {"journal": bytes(16)}, {"ranges": [[0, 6]]}, {"ranges": [[0, 5], [9, 9]]}, {"key": stranger.id},
        {"signature": bytes(64)}, {"key": "0" * 16}, {"ranges": [[0]]}, {"ranges": 3}, {"journal": None},
        {"journal": 2**40},
    ):  # fmt: skip
        with pytest.raises(ReceiptError):
            open_receipt(msgpack.packb({**sealed, **changes}), trusted)
    with pytest.raises(ReceiptError, match="not trusted"):
        open_receipt(msgpack.packb(sealed), {})


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(payload: bytes) -> None:
    with pytest.raises(ReceiptError):
        open_receipt(payload, {})


@pytest.mark.parametrize("bound", [float("inf"), float("nan"), "9" * 5000, None, [], 2**63, -1])
def test_no_bound_of_a_range_breaks_the_reader(key: SigningKey, bound: object) -> None:
    sealed = msgpack.unpackb(seal_receipt(key, JOURNAL, [(5, 6)]))
    with pytest.raises(ReceiptError):
        open_receipt(msgpack.packb({**sealed, "ranges": [[bound, 6]]}), {key.id: key.public})


def test_an_empty_range_is_refused_even_when_signed(key: SigningKey) -> None:
    with pytest.raises(ReceiptError, match="empty"):
        open_receipt(seal_receipt(key, JOURNAL, [(5, 3)]), {key.id: key.public})


class LinkOfScript:
    """Comes up or not, as the script says."""

    def __init__(self, comes_up: bool) -> None:
        self.comes_up = comes_up

    async def __aenter__(self) -> Self:
        if not self.comes_up:
            raise LinkLostError("nobody there")
        return self

    async def __aexit__(self, *_: object) -> None:
        return


async def connection_times(lives_s: Sequence[float | None]) -> list[float]:
    """Run keep_connected in virtual time; a life is how long a connection holds, None one that fails."""
    loop, times = asyncio.get_running_loop(), []
    script = iter(lives_s)
    life_s: list[float | None] = [None]
    over = asyncio.Event()

    def connect() -> Link:
        times.append(loop.time())
        try:
            life_s[0] = next(script)
        except StopIteration:
            over.set()
            life_s[0] = None
        return cast("Link", LinkOfScript(life_s[0] is not None))

    async def work(_link: Link) -> None:
        await asyncio.sleep(life_s[0] or 0)
        raise LinkLostError("gone")

    health = LinkHealth()
    running = asyncio.create_task(keep_connected(connect, work, health, SystemClock(), random.Random(1)))
    await over.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not health.connected
    assert health.connections == sum(life is not None for life in lives_s)
    return times


@pytest.mark.virtual_time
async def test_back_off_doubles_with_jitter_up_to_its_limit() -> None:
    times = await connection_times([None] * 12)
    for number, (a, b) in enumerate(pairwise(times)):
        delay_s = min(0.25 * 2**number, DELAY_MAX_S)
        assert delay_s / 2 <= b - a <= delay_s


@pytest.mark.virtual_time
async def test_only_a_connection_that_held_starts_the_back_off_over() -> None:
    times = await connection_times([0.0] * 8 + [STABLE_S + 1, 0.0])
    assert times[8] - times[7] > 10
    assert times[9] - times[8] < STABLE_S + 1.5


@pytest.mark.virtual_time
async def test_what_is_no_loss_goes_up_and_the_health_says_disconnected() -> None:
    async def work(_link: Link) -> None:
        raise KeyError("a mistake of ours")

    health = LinkHealth()
    with pytest.raises(KeyError):
        await keep_connected(
            lambda: cast("Link", LinkOfScript(comes_up=True)), work, health, SystemClock(), random.Random(1)
        )
    assert not health.connected
