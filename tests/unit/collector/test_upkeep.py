"""The archive's upkeep: a round of checks that goes on where it was broken off, and retention."""

import os
from pathlib import Path

import orjson

from gateway.collector.upkeep import DAY_NS, STATE_NAME, Upkeep
from pipeline.archive import Archive, ArchiveSettings
from pipeline.records import SystemClock
from pipeline.records.clock import ClockState
from pipeline.store import Origin
from tests.support.journal_fake import T0_NS, make_record

QUICK = ArchiveSettings(segment_bytes=4096, check_bytes_per_s=2**40)


class TestClock(SystemClock):
    """The machine's, some days on."""

    __test__ = False
    days = 0
    synchronised = True

    def state(self) -> ClockState:
        return ClockState(self.synchronised, -1)

    def utc_ns(self) -> int:
        return super().utc_ns() + self.days * DAY_NS


async def archive_in(folder: Path) -> Archive:
    archive = await Archive.open(folder, bytes(16), QUICK)
    for seq in range(100):
        await archive.append([(Origin("lab", "gw"), make_record(seq, "event", {"fill": "x" * 60}))])
    return archive


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)


async def test_every_segment_is_read_again_and_damage_is_named_once_due(tmp_path: Path) -> None:
    archive, clock = await archive_in(tmp_path), TestClock()
    upkeep = Upkeep(tmp_path, archive, QUICK, clock)
    await upkeep.turn()
    assert archive.health.damaged == []
    assert archive.health.checked_utc_ns > 0
    victim = sorted(tmp_path.glob("*.segment"))[1]  # noqa: ASYNC240 - a test
    damage(victim)
    await upkeep.turn()
    assert archive.health.damaged == []  # not due yet
    clock.days = 16
    await upkeep.turn()
    assert archive.health.damaged == [victim.stem]
    await archive.close()


async def test_a_round_goes_on_behind_the_last_segment_that_was_checked(tmp_path: Path) -> None:
    archive = await archive_in(tmp_path)
    segments = sorted(tmp_path.glob("*.segment"))  # noqa: ASYNC240 - a test
    damage(segments[0])
    (tmp_path / STATE_NAME).write_bytes(orjson.dumps({"after": segments[0].stem, "ended_utc_ns": 5}))
    await Upkeep(tmp_path, archive, QUICK, SystemClock()).turn()
    assert archive.health.damaged == []
    (tmp_path / STATE_NAME).write_bytes(b"damaged")
    await Upkeep(tmp_path, archive, QUICK, SystemClock()).turn()
    assert archive.health.damaged == [segments[0].stem]
    await archive.close()


async def test_six_years_are_kept_and_then_let_go(tmp_path: Path) -> None:
    archive, clock = await archive_in(tmp_path), TestClock()
    segments = sorted(tmp_path.glob("*.segment"))  # noqa: ASYNC240 - a test
    for path in segments:
        os.utime(path, ns=(0, 0))
    upkeep = Upkeep(tmp_path, archive, QUICK, clock)
    clock.days = 5 * 365
    await upkeep.turn()
    assert archive.health.purged == 0
    clock.days = 6 * 366
    await upkeep.turn()
    assert archive.health.purged == len(segments) - 1
    await archive.close()


async def test_a_clock_that_nobody_vouches_for_and_that_is_years_ahead_lets_nothing_go(
    tmp_path: Path,
) -> None:
    archive, clock = await archive_in(tmp_path), TestClock()
    clock.synchronised = False
    clock.days = 60 * 366
    for path in tmp_path.glob("*.segment"):  # noqa: ASYNC240 - a test
        os.utime(path, ns=(0, 0))
    await Upkeep(tmp_path, archive, QUICK, clock).turn()
    assert archive.health.purged == 0
    # A record that is as young as the clock says vouches for it.
    late = make_record((clock.utc_ns() - T0_NS) // 10**9, "event")
    await archive.append([(Origin("lab", "gw"), late)])
    await Upkeep(tmp_path, archive, QUICK, clock).turn()
    assert archive.health.purged > 0
    await archive.close()
