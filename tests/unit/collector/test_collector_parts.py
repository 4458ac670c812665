"""Batches, dead letters, latency, what gateways say of themselves."""

import asyncio
import errno
import json
import os
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.collector.batch import gather, open_batch
from gateway.collector.dead_letters import DeadLetters, read_letters
from gateway.collector.health import GATEWAYS_MAX, RETAINED_BYTES_MAX, CollectorHealth, TargetHealth
from gateway.collector.latency import NEWEST_MAX, Latency
from gateway.collector.settings import CollectorSettings
from pipeline.mqtt import Delivery
from pipeline.records.frame import decode_frame
from pipeline.records.stack import answered_utc_ns
from pipeline.store import Origin
from tests.support.journal_fake import T0_NS, data_body, make_record


def delivery(payload: bytes, topic: str = "yaosu/v1/lab/one/rec/event") -> Delivery:
    return Delivery(topic, payload, lambda: None)


@pytest.mark.virtual_time
async def test_a_batch_ends_when_it_is_quiet_late_or_large() -> None:
    settings = CollectorSettings(batch_delay_s=0.1, batch_quiet_s=0.01, batch_bytes_max=4096)
    queue: asyncio.Queue[Delivery] = asyncio.Queue(10_000)
    loop = asyncio.get_running_loop()

    async def feed(count: int, period_s: float, size: int) -> None:
        for _ in range(count):
            queue.put_nowait(delivery(bytes(size)))
            await asyncio.sleep(period_s)

    async def measure(count: int, period_s: float, size: int) -> tuple[int, float]:
        feeding = asyncio.create_task(feed(count, period_s, size))
        start_s = loop.time()
        batch = await gather(queue, settings)
        took_s = loop.time() - start_s
        await feeding
        while not queue.empty():
            queue.get_nowait()
        return len(batch), took_s

    for count, period_s, size, taken, seconds in (
        (1, 0.0, 10, 1, 0.01),
        (3, 0.02, 10, 1, 0.01),
        (100, 0.005, 10, 20, 0.1),
        (100, 0.0, 1024, 4, 0.0),
    ):
        measured, took_s = await measure(count, period_s, size)
        assert measured == pytest.approx(taken, abs=1)
        assert took_s == pytest.approx(seconds)


def test_a_batch_is_taken_apart_and_nothing_malformed_escapes() -> None:
    one, two = make_record(1), make_record(2)
    opened = open_batch(
        [
            delivery(one.data + two.data),
            delivery(b"\xc1"),
            delivery(one.data, "somebody/else"),
            delivery(one.data, "yaosu/v1/lab"),
            delivery(b""),
            delivery(two.data + b"\x00"),
        ]
    )
    assert opened.items == [(Origin("lab", "one"), record) for record in (one, two, two)]
    assert len(opened.letters) == 4
    assert all(json.loads(json.dumps(letter)) for letter in opened.letters)


fields = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.tuples(st.integers(1, 11), fields), max_size=4))
def test_no_record_with_changed_fields_breaks_a_batch(changes: list[tuple[int, object]]) -> None:
    envelope = msgpack.unpackb(make_record(1).data)
    for position, value in changes:
        envelope[position] = value
    opened = open_batch([delivery(msgpack.packb(envelope))])
    assert len(opened.items) + len(opened.letters) == 1


@given(st.binary(max_size=60))
def test_no_bytes_break_a_batch(payload: bytes) -> None:
    opened = open_batch([delivery(payload)])
    assert len(opened.items) == 0


async def test_dead_letters_are_lines_and_survive_a_torn_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dead.jsonl"
    letters = DeadLetters(path, 10_000)
    assert await letters.append([])
    assert await letters.append([{"seq": 1}, {"seq": 2}])
    path.write_bytes(path.read_bytes() + b'{"seq": 3, "cut')
    assert await DeadLetters(path, 10_000).append([{"seq": 4}])
    lines = path.read_text().splitlines()
    assert [json.loads(lines[n])["seq"] for n in (0, 1, 3)] == [1, 2, 4]
    assert letters.count == 2


async def test_dead_letters_are_bounded(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path / "dead.jsonl", 100)
    assert await letters.append([{"fill": "x" * 60}])
    assert not await letters.append([{"fill": "x" * 60}])
    assert letters.count == 1


async def test_dead_letters_that_cannot_be_written_raise(tmp_path: Path) -> None:
    (tmp_path / "dead.jsonl").mkdir()
    with pytest.raises(OSError, match="directory"):
        await DeadLetters(tmp_path / "dead.jsonl", 100).append([{}])


async def test_a_dead_letter_for_which_the_room_ends_in_mid_line_is_not_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is about to be full takes a part and says how much; only the next write fails."""
    path, write, room = tmp_path / "dead.jsonl", os.write, [20]

    def nearly_full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(descriptor, bytes(data)[: room[0]])
        room[0] -= count
        return count

    letters = DeadLetters(path, 10_000)
    with monkeypatch.context() as full:
        full.setattr(os, "write", nearly_full)
        with pytest.raises(OSError, match="space"):
            await letters.append([{"seq": 1, "reason": "x" * 40}])
    assert await letters.append([{"seq": 1}])
    assert [letter["seq"] for letter in read_letters(path).values()] == [1]
    assert letters.count == 1


def test_latency_counts_from_the_end_of_the_answer() -> None:
    body = data_body("oven", 0, T0_NS, 3)
    frame = decode_frame(body)
    assert list(answered_utc_ns([body]) - frame.block.t_utc_ns) == [2_000_000] * 3


def test_latency_keeps_the_newest() -> None:
    latency = Latency()
    assert latency.percentiles_ms() == {"p50": None, "p99": None}
    latency.add(np.full(10, 5.0))
    assert latency.percentiles_ms() == {"p50": 5.0, "p99": 5.0}
    latency.add(np.arange(NEWEST_MAX - 1, dtype=np.float64))
    latency.add(np.full(NEWEST_MAX + 7, 9.0))
    assert latency.percentiles_ms() == {"p50": 9.0, "p99": 9.0}
    latency.add(np.full(NEWEST_MAX // 50, 50.0))
    assert latency.percentiles_ms() == {"p50": 9.0, "p99": 50.0}


def test_what_gateways_say_is_kept_within_limits() -> None:
    health = CollectorHealth()
    health.hear("yaosu/v1/lab/one/status", b'{"state": "online"}')
    health.hear("yaosu/v1/lab/one/birth", make_record(3, "config").data)
    health.hear("yaosu/v1/lab/one/checkpoint", "note \u2014".encode())
    health.hear("yaosu/v1/lab/two/status", b"\xff")
    health.hear("yaosu/v1/lab/two/checkpoint", b"\xff")
    health.hear("yaosu/v1/lab/three/status", bytes(RETAINED_BYTES_MAX + 1))
    health.hear("else", b"")
    one = health.gateways["lab/one"]
    assert one["status"] == {"state": "online"}
    assert one["birth"]["seq"] == 3
    assert one["checkpoint"] == "note \u2014"
    assert "malformed" in health.gateways["lab/two"]["status"]
    assert "lab/three" not in health.gateways
    for number in range(2 * GATEWAYS_MAX):
        health.hear(f"yaosu/v1/lab/{number}/status", b"{}")
    assert len(health.gateways) == GATEWAYS_MAX


def test_a_state_keeps_the_time_when_it_began() -> None:
    target = TargetHealth()
    target.set(ok=True, utc_ns=1)
    target.set(ok=False, utc_ns=2, error="away")
    target.set(ok=False, utc_ns=3, error="still away")
    assert (target.ok, target.since_utc_ns, target.error) == (False, 2, "still away")
    target.set(ok=True, utc_ns=4)
    assert (target.ok, target.since_utc_ns, target.error) == (True, 4, "")
