"""The inbox keeps bytes, their times, and its bound."""

import asyncio

import pytest

from drivers.errors import LinkDown
from drivers.transport import Inbox
from drivers.transport.wire import INBOX_BYTES_MAX
from tests.support.scripted import NS_PER_S, UTC_START_NS, LoopClock

pytestmark = pytest.mark.virtual_time


async def test_every_byte_keeps_the_time_of_its_chunk() -> None:
    inbox = Inbox(LoopClock())
    for chunk in (b"ab", b"c", b"def"):
        await asyncio.sleep(1)
        inbox.feed(chunk)
    seconds = [inbox.stamp(at).run_ns // NS_PER_S for at in range(6)]
    assert seconds == [1, 1, 2, 3, 3, 3]
    assert inbox.stamp(0).utc_ns == UTC_START_NS + NS_PER_S
    assert inbox.take(4) == b"abcd"
    assert inbox.stamp(0).run_ns == inbox.last_run_ns == 3 * NS_PER_S
    with pytest.raises(IndexError):
        inbox.stamp(2)


async def test_a_full_inbox_drops_its_oldest_bytes_and_counts_them() -> None:
    inbox = Inbox(LoopClock())
    inbox.feed(b"old")
    inbox.feed(b"x" * INBOX_BYTES_MAX)
    assert (len(inbox.data), inbox.dropped_bytes) == (INBOX_BYTES_MAX, 3)
    assert inbox.clear() == INBOX_BYTES_MAX


async def test_waiting_ends_with_bytes_with_the_loss_and_with_the_time() -> None:
    inbox, loop = Inbox(LoopClock()), asyncio.get_running_loop()
    loop.call_later(1, inbox.feed, b"x")
    assert await inbox.wait(5 * NS_PER_S)
    assert loop.time() == pytest.approx(1)
    assert not await inbox.wait(5 * NS_PER_S)
    assert loop.time() == pytest.approx(5)
    loop.call_later(1, inbox.fail, LinkDown("unplugged"))
    assert await inbox.wait(9 * NS_PER_S)
    assert inbox.lost is not None
    assert not await inbox.wait(0)
