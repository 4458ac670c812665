"""Gateway time over restarts, epochs, stored times."""

import numpy as np
import pytest

from pipeline.journal.stored_time import StoredTimes
from pipeline.records.frame import Frame, encode_frame
from tests.crash.models import ManualClock
from tests.unit.journal.journals import Opener
from tests.unit.records.blocks import simple_block

SECOND = 10**9


async def test_gateway_time_goes_on_exactly_within_one_boot(open_journal: Opener, clock: ManualClock) -> None:
    first = await open_journal()
    assert first.downtime.basis == "new"
    assert first.boot == 1
    record = first.append("tick", {}, source="live")
    await first.close()
    clock.run += 7 * SECOND
    clock.utc -= 3600 * SECOND
    second = await open_journal()
    assert second.boot == 2
    assert second.downtime.basis == "same-boot"
    assert second.downtime.ns == 7 * SECOND
    assert second.downtime.last_run_ns == record.t_run_ns
    assert second.clock.run_ns() == record.t_run_ns + 7 * SECOND


async def test_after_a_reboot_synchronised_utc_vouches_for_the_downtime(
    open_journal: Opener, clock: ManualClock
) -> None:
    first = await open_journal()
    record = first.append("tick", {}, source="live")
    await first.close()
    clock.run, clock.utc = 3 * SECOND, clock.utc + 60 * SECOND
    second = await open_journal(boot_id="boot-b")
    assert (second.downtime.ns, second.downtime.basis) == (60 * SECOND, "utc-synchronised")
    assert second.clock.run_ns() == record.t_run_ns + 60 * SECOND
    assert second.start.offset_ns == record.t_run_ns + 57 * SECOND
    assert second.epoch == 0
    second.append("tick", {}, source="live")
    assert second.epoch == 0


@pytest.mark.parametrize("case", ["not synchronised", "utc went back"])
async def test_without_a_clock_to_vouch_the_downtime_is_unknown_and_time_still_increases(
    open_journal: Opener, clock: ManualClock, case: str
) -> None:
    first = await open_journal()
    record = first.append("tick", {}, source="live")
    await first.close()
    clock.run = 3 * SECOND
    if case == "not synchronised":
        clock.utc, clock.synchronised = clock.utc + 60 * SECOND, False
    else:
        clock.utc -= 60 * SECOND
    second = await open_journal(boot_id="boot-b")
    assert (second.downtime.ns, second.downtime.basis) == (None, "unknown")
    assert second.clock.run_ns() == record.t_run_ns + SECOND
    second.append("tick", {}, source="live")
    assert second.epoch == (1 if case == "utc went back" else 0)


async def test_a_lost_boot_file_never_runs_time_backward(
    open_journal: Opener, clock: ManualClock, tmp_path: object
) -> None:
    first = await open_journal()
    first.append("tick", {}, source="live")
    first.append("tick", {}, source="live")
    await first.close()
    (first._directory / "boot.state").write_bytes(b"")
    clock.advance(SECOND)
    second = await open_journal()
    assert second.boot == 2
    assert second.clock.run_ns() > first.clock.run_ns() - SECOND


async def test_only_a_backward_step_raises_the_epoch(open_journal: Opener, clock: ManualClock) -> None:
    journal = await open_journal()
    clock.utc += SECOND
    assert journal.append("tick", {}, source="live").epoch == 0
    clock.utc += 3600 * SECOND
    assert journal.append("tick", {}, source="live").epoch == 0
    clock.utc -= 900_000
    assert journal.append("tick", {}, source="live").epoch == 0
    clock.utc -= 3600 * SECOND
    record = journal.append("tick", {}, source="live")
    assert record.epoch == journal.epoch == 1
    assert journal.clock_step_ns == -3600 * SECOND
    await journal.close()
    assert (await open_journal()).epoch == 1


async def test_a_leap_second_smeared_over_a_day_is_one_epoch_with_times_that_rise(
    open_journal: Opener, clock: ManualClock
) -> None:
    journal = await open_journal()
    start_utc, start_run, times = clock.utc, clock.run, []
    for second in range(0, 86_401, 10):
        # Linear over 24 h: UTC runs 11.6 parts in a million slower than the clock since boot.
        clock.run = start_run + second * SECOND
        clock.utc = start_utc + second * SECOND - second * SECOND // 86_400
        times.append(journal.append("tick", {}, source="live").t_utc_ns)
    assert journal.epoch == 0
    assert times == sorted(set(times))
    assert times[-1] == start_utc + 86_399 * SECOND


async def test_rows_stamped_before_a_step_and_recorded_after_it_do_not_push_later_ones(
    open_journal: Opener, clock: ManualClock
) -> None:
    journal = await open_journal()
    journal.append("tick", {}, source="live")
    old_utc, old_run = clock.utc, clock.run
    clock.utc -= 3600 * SECOND
    journal.append("tick", {}, source="live")
    assert journal.epoch == 1
    late = np.array([old_utc], dtype=np.int64)
    assert journal.stored_offsets("meter", late) is None
    journal.append("data", {}, source="live", t_utc_ns=old_utc, t_run_ns=old_run)
    clock.advance(10**8)
    now = np.array([clock.utc], dtype=np.int64)
    assert journal.stored_offsets("meter", now) is None
    assert journal.epoch == 2


async def test_stored_times_go_on_after_a_restart(open_journal: Opener, clock: ManualClock) -> None:
    journal = await open_journal()
    block = simple_block(rows=3, t_utc_ns=clock.utc, step_ns=0)
    offsets = journal.stored_offsets("meter", block.t_utc_ns)
    assert offsets is not None
    assert offsets.tolist() == [0, 1, 2]
    frame = Frame(
        block, 0, np.ones((1, 3), np.uint8), np.zeros((1, 3), np.int64), np.zeros((1, 3), np.int64),
        t_store_off_ns=offsets,
    )  # fmt: skip
    journal.append("data", encode_frame(frame), source="live")
    journal.append("event", {"instrument": "meter", "t_store_off_ns": 5}, source="live")
    await journal.close()
    again = await open_journal()
    same = again.stored_offsets("meter", block.t_utc_ns[:1])
    assert same is not None
    assert same.tolist() == [3]
    assert again._stored.last["event/meter"] == clock.utc + 5


def test_stored_times_of_no_rows_and_of_rising_rows_need_no_offsets() -> None:
    times = StoredTimes()
    assert times.offsets("a", np.array([], dtype=np.int64)) is None
    assert times.offsets("a", np.array([5, 6, 9], dtype=np.int64)) is None
    assert times.last == {"a": 9}
    assert times.offsets("b", np.array([5], dtype=np.int64)) is None
