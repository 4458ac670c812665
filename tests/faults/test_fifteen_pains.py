"""Fifteen pains that gateways in the field are known for, and what this one does instead.

Those that begin at the instrument are proved here, one test or more each: against registers served by
libmodbus, over a socket or a pty, with the fault put in between; in virtual time where half an hour has to
pass. The others begin behind the driver, and are proved where their code is (`ELSEWHERE`; a test sees to it
that those tests exist). Pains 14 and 15 are in
`test_fifteen_pains_values`. The numbers in the names of tests:

 1 stale values under fresh times      6 a request for each value          11 a new configuration loses data
 2 values booked to wrong registers    7 limits of a device's answer       12 refused batches called written
 3 one bad address loses the scan      8 polling stops with the network    13 queues without bound
 4 late answers taken for the next     9 a disk buffer that breaks         14 sentinels, scale factors, shifts
 5 one dead device starves the rest   10 a database destroyed or doubled   15 a wrong clock at boot
"""

import asyncio
import itertools
from pathlib import Path

import pytest

from drivers import open_drivers
from drivers.modbus.line_settings import ModbusRtuSettings
from drivers.transport import Inbox
from drivers.transport.wire import INBOX_BYTES_MAX
from pipeline.records import Item, Status
from tests.support.libmodbus import Fault, Relay
from tests.support.pains import (
    Remote,
    after,
    assert_true,
    device,
    number_of_rows,
    read,
    registers,
)  # fmt: skip
from tests.support.scripted import (
    NS_PER_S,
    LoopClock,
    RealClock,
    events,
    gaps,
    pty_instrument,
    rows,
    run_for,
    seeded,
    status,
    take,
    tcp_instrument,
)  # fmt: skip

TESTS = Path(__file__).parents[1]
ELSEWHERE = {
    "pain 8, the broker's side": (
        "e2e/test_whole_path.py",
        "test_a_broker_that_stops_in_mid_run_loses_nothing",
    ),
    "pain 9, a torn or lost tail": (
        "crash/test_power_cut_images.py",
        "test_every_image_of_a_power_cut_keeps_what_was_promised",
    ),
    "pain 9, kill -9": (
        "crash/test_kill.py",
        "test_what_a_killed_process_promised_is_there",
    ),
    "pain 9, a disk that is slow or full": (
        "unit/journal/test_group_commit.py",
        "test_a_failing_disk_is_told_and_the_records_are_written_when_it_works",
    ),
    "pain 9, only what has no receipt is sent again": (
        "contract/test_mqtt_publisher.py",
        "test_records_are_published_again_until_receipted",
    ),
    "pain 10, a database that is killed": (
        "contract/test_store_influx.py",
        "test_what_was_reported_as_stored_survives_sigkill_of_the_server",
    ),
    "pain 10, the embedded one": (
        "contract/test_store_embedded.py",
        "test_what_was_reported_as_stored_survives_sigkill_of_the_writer",
    ),
    "pain 10, nothing twice": (
        "contract/test_collector_delivery.py",
        "test_every_record_is_stored_once_archived_and_receipted",
    ),
    "pain 11, the journal of another configuration": (
        "unit/gateway/test_recovery.py",
        "test_an_instrument_taken_out_of_the_configuration_leaves_no_open_gap",
    ),
    "pain 11, state that does not fit any more": (
        "unit/gateway/test_recovery.py",
        "test_a_snapshot_that_cannot_be_taken_up_costs_a_replay_and_an_event",
    ),
    "pain 12, a store that refuses one line": (
        "contract/test_store_influx.py",
        "test_one_line_of_a_wrong_type_among_five_thousand_is_the_only_dead_letter",
    ),
    "pain 12, a store that is away": (
        "contract/test_collector_delivery.py",
        "test_a_store_that_is_away_holds_everything_up_and_loses_nothing",
    ),
    "pain 12, a broker that refuses": (
        "contract/test_mqtt_publisher.py",
        "test_a_denied_topic_does_not_stop_the_others_and_is_offered_again",
    ),
    "pain 13, the journal": (
        "unit/journal/test_journal.py",
        "test_too_much_waiting_for_the_disk_is_refused_and_takes_nothing",
    ),
    "pain 13, what is under way": (
        "property/test_outbox_window.py",
        "test_limits_hold_and_nothing_is_forgotten",
    ),
    "pain 13, what is received": (
        "unit/mqtt/test_mqtt_held.py",
        "test_what_finds_no_room_is_dropped_and_acknowledged_in_its_turn",
    ),
    "pain 15, gateway time without a clock": (
        "unit/journal/test_journal_clock.py",
        "test_without_a_clock_to_vouch_the_downtime_is_unknown_and_time_still_increases",
    ),
}
"""Pain to the file and the test that proves it."""


@pytest.mark.parametrize("pain", ELSEWHERE)
def test_the_pains_that_begin_behind_the_driver_have_their_tests(pain: str) -> None:
    path, name = ELSEWHERE[pain]
    assert f"def {name}(" in (TESTS / path).read_text(encoding="utf-8")


async def test_pain_01_a_value_is_never_shown_again_under_a_new_time(relay: Relay) -> None:
    """A gateway repeats what it read last, stamped anew, while the instrument says nothing at all.

    Here a poll without an answer is a row without a value, and every row has an exchange of its own.
    """
    relay.fault = after(2, lambda _, answer: None)
    items = await read(relay, registers(64, 65), lambda items: len(rows(items)) >= 4)
    good, silent = rows(items)[:2], rows(items)[2:]
    assert assert_true(good) == 4
    for block in silent:
        assert status(block, "r64") == Status.NO_ANSWER
        assert block.column("r64")[0] == 0
    requests = [int(block.t_request_ns[0]) for block in rows(items)]
    assert requests == sorted(set(requests))
    assert events(items, "instrument-lost")


async def test_pain_02_values_keep_their_registers_when_a_part_of_the_read_fails(relay: Relay) -> None:
    """A gateway joins the parts that came, and the values behind the missing one slip into its place."""

    def broken(request: bytes, answer: bytes) -> bytes:
        return bytes([request[0] | 0x80, 4]) if request[1:3] == bytes([0, 80]) else answer

    relay.fault = broken
    items = await read(relay, registers(*range(64, 112)), number_of_rows(3), block_registers_max=16)
    assert assert_true(rows(items)) == 3 * 32
    assert {status(block, f"r{at}") for block in rows(items) for at in range(80, 96)} == {
        Status.MODBUS_EXCEPTION + 4
    }


async def test_pain_03_one_illegal_address_costs_itself_alone(relay: Relay) -> None:
    """A gateway gives the whole device up, or connects anew, because of one address that is not there.

    libmodbus itself refuses here: its registers end at 127.
    """
    items = await read(relay, registers(*range(96, 132)), number_of_rows(3))
    assert assert_true(rows(items)) == 3 * 32
    assert {status(block, f"r{at}") for block in rows(items) for at in range(128, 132)} == {
        Status.MODBUS_EXCEPTION + 2
    }
    assert {event.args["channel"] for event in events(items, "register-refused")} == {
        f"r{at}" for at in range(128, 132)
    }


def every_third_late(delay_s: float) -> Fault:
    count, free_s = [0], [0.0]

    def late(_: bytes, answer: bytes) -> tuple[float, bytes]:
        count[0] += 1
        # The others take long enough for the next request to be on its way when a wrong answer comes.
        # A device answers one request after the other.
        now_s = asyncio.get_running_loop().time()
        free_s[0] = max(free_s[0], now_s) + (delay_s if count[0] % 3 == 1 else 0.01)
        return free_s[0] - now_s, answer

    return late


async def test_pain_04_a_late_answer_is_not_the_next_one_over_tcp(relay: Relay) -> None:
    """A gateway that gave up waiting takes the answer, when it comes, for that of its next question.

    After 0.4 s it gives up, 0.25 to 0.5 s later it asks again, and waits 0.4 s: the answer to the first
    question comes in that time, whatever the back-off.
    """
    relay.fault = every_third_late(0.97)
    items = await read(
        relay, registers(64, 65, 66, 67, 100, 101, 102, 103),
        lambda items: assert_true(rows(items)) >= 24, block_registers_max=4, timeout_s=0.4,
    )  # fmt: skip
    assert Status.NO_ANSWER in {status(block, "r64") for block in rows(items)}


async def test_pain_04_a_late_answer_is_not_the_next_one_on_a_serial_line(relay: Relay) -> None:
    """The same where answers carry no number, and both questions want as many registers."""
    relay.fault = every_third_late(0.97)
    async with pty_instrument(relay.rtu) as instrument:
        settings = ModbusRtuSettings.model_validate({
            "id": "device", "port": str(instrument.path), "poll_interval_s": 0.1, "timeout_s": 0.4,
            "read_identity": False, "block_registers_max": 4, "baudrate": 115200,
            "channels": registers(64, 65, 66, 67, 100, 101, 102, 103),
        })  # fmt: skip
        (driver,) = open_drivers([settings], RealClock(), seeded())
        items = await take(driver, lambda items: assert_true(rows(items)) >= 12)
    assert Status.NO_ANSWER in {status(block, "r64") for block in rows(items)}


async def test_pain_05_dead_devices_do_not_starve_the_living(relay: Relay) -> None:
    """A gateway waits for the dead, one time-out after the other, and reads the others when it finds time.

    Dead from the first moment on, as after a start with a new site file: one says nothing, one refuses the
    connection, one takes a second to answer.
    """
    async with (
        tcp_instrument(relay.tcp) as living, tcp_instrument(lambda _: []) as silent,
        tcp_instrument(lambda data: [(1.0, data)]) as slow, tcp_instrument(relay.tcp) as gone,
    ):  # fmt: skip
        await gone.hang_up()
        settings = [
            device(instrument.port, registers(64), name)
            for name, instrument in (
                ("silent", silent),
                ("gone", gone),
                ("slow", slow),
                ("living", living),
            )
        ]
        *dead, alive = await run_for(open_drivers(settings, RealClock(), seeded()), 1.0)
    assert not assert_true([block for items in dead for block in rows(items)])
    assert all(rows(items) or gaps(items) for items in dead)
    # Twenty deadlines, and the first one anywhere within a period; a busy machine may be late for some.
    assert assert_true(rows(alive)) >= 14


class Dead(Remote):
    """Takes what comes and says nothing."""

    def answers(self, data: bytes) -> list[tuple[float, bytes]]:
        return []


@pytest.mark.virtual_time
async def test_pain_05_for_twenty_dead_not_one_poll_of_the_living_is_late() -> None:
    dead = [Dead().driver(registers(64), name=f"dead-{number}") for number in range(20)]
    *_, alive = await run_for([*dead, Remote().driver(registers(64), name="living")], 60.5)
    sent_ns = [int(row.t_request_ns[0]) for row in rows(alive)]
    assert len(sent_ns) >= 60
    assert {after_ns - before_ns for before_ns, after_ns in itertools.pairwise(sent_ns)} == {10**9}


async def test_pain_06_neighbours_are_read_in_one_request(relay: Relay) -> None:
    """A gateway asks for each value by itself: 62 floats then need 62 round trips in place of one."""
    floats = [{"name": f"f{at}", "address": 2 * at, "type": "float32"} for at in range(62)]
    await read(relay, floats, number_of_rows(2))
    assert set(relay.reads) == {range(124)}


def at_most(count: int) -> Fault:
    """Refuse requests for more registers as devices with small buffers do."""

    def limited(request: bytes, answer: bytes) -> bytes:
        return answer if int.from_bytes(request[3:5], "big") <= count else bytes([request[0] | 0x80, 3])

    return limited


async def test_pain_07_a_device_that_gives_few_registers_at_once_is_read_whole(relay: Relay) -> None:
    """A gateway asks for as much as the standard allows, and a device with less room refuses all of it.

    A limit that is configured is kept; one that nobody told is found out within the first poll.
    """
    relay.fault = at_most(10)
    items = await read(relay, registers(*range(64, 104)), number_of_rows(2), block_registers_max=10)
    assert assert_true(rows(items)) == 2 * 40
    assert max(len(asked) for asked in relay.reads) <= 10
    items = await read(relay, registers(*range(64, 104)), number_of_rows(2))
    assert assert_true(rows(items)) == 2 * 40
    assert not events(items, "register-refused")


@pytest.mark.virtual_time
async def test_pain_08_polling_goes_on_after_half_an_hour_without_a_network() -> None:
    """A gateway whose network was away for half an hour never polls again, though everything is back.

    Here the first row follows within the longest back-off, and every deadline is a row or part of a gap.
    """
    remote = Remote()
    loop = asyncio.get_running_loop()
    loop.call_later(100.0, remote.leave)
    loop.call_later(1900.0, setattr, remote, "away", False)
    (items,) = await run_for([remote.driver(registers(64))], 2000.0)
    good = [block for block in rows(items) if status(block, "r64") == Status.GOOD]
    times_s = [int(block.t_run_ns[0]) / NS_PER_S for block in good]
    assert sum(1 for at_s in times_s if at_s < 100) >= 98
    assert min(at_s for at_s in times_s if at_s > 1000) < 1900 + 31
    assert {gap.cause for gap in gaps(items)} <= {"disconnected", "back-off"}
    assert len(rows(items)) + sum(gap.polls for gap in gaps(items)) == 2000
    assert len(events(items, "instrument-lost")) == len(events(items, "instrument-back")) == 1


@pytest.mark.virtual_time
async def test_pain_11_a_new_configuration_takes_over_where_the_old_one_ended() -> None:
    """A gateway that is configured anew forgets what it had under way, and what it missed in between.

    The driver of the old configuration gives up the poll in flight whole and ends its gap; that of the new
    one, with other registers and a longer time-out, reads the same device from its first deadline on.
    """
    remote = Remote()
    (before,) = await run_for([remote.driver(registers(64))], 10.0)
    (behind,) = await run_for([remote.driver(registers(65, 66), timeout_s=0.5)], 10.0)
    assert assert_true(rows(before)) == len(rows(before)) == 10
    assert assert_true(rows(behind)) == 2 * len(rows(behind)) == 20
    assert not gaps(before)
    assert not gaps(behind)


@pytest.mark.virtual_time
async def test_pain_13_a_consumer_that_stands_still_costs_polls_and_no_memory() -> None:
    """A gateway whose output is stuck goes on asking, and keeps all answers until the memory is full."""
    remote = Remote()
    items: list[Item] = []
    async with remote.driver(registers(64)) as driver:
        async for item in driver.stream():
            items.append(item)
            if len(rows(items)) == 3 and not gaps(items):
                asked = len(remote.reads)
                await asyncio.sleep(1000.0)
                assert len(remote.reads) == asked
            if len(rows(items)) == 6:
                driver.stop()
    (gap,) = gaps(items)
    assert gap.cause == "late"
    assert gap.polls >= 998


@pytest.mark.virtual_time
async def test_pain_13_a_device_that_never_stops_talking_fills_no_memory() -> None:
    """The same from the other side: bytes that nobody asked for."""
    inbox = Inbox(LoopClock())
    for _ in range(100):
        inbox.feed(bytes(4096))
    assert len(inbox.data) == INBOX_BYTES_MAX
    assert inbox.dropped_bytes == 100 * 4096 - INBOX_BYTES_MAX
