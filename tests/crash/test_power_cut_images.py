"""Thousands of disks that a power cut can leave, through the production recovery, commit and upkeep code."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from pipeline.journal.framing import FILE_HEADER_BYTES
from pipeline.journal.segments import list_segments
from pipeline.records.envelope import Record
from tests.crash.images import DIRECTORY, SEEDS_AT_ONCE, Life, run_seeds, soak, stored_records
from tests.crash.models import ManualClock, ModelDisk
from tests.support.soak import keep

CUTS = 20_000
SIZES = (0, 10, 100, 700, 2500)
SOAK_CUTS = int(os.environ.get("YAOSU_IMAGES", "1000000"))


@pytest.mark.timeout(600)
def test_every_image_of_a_power_cut_keeps_what_was_promised(
    pytestconfig: pytest.Config, record_property: Callable[[str, object], None]
) -> None:
    run = str(pytestconfig.getoption("--hypothesis-seed"))
    seeds = cuts = 0
    while cuts < CUTS:
        cuts += run_seeds(run, range(seeds, seeds + SEEDS_AT_ONCE))
        seeds += SEEDS_AT_ONCE
    record_property("power cuts", cuts)


@pytest.mark.soak
def test_a_million_images_keep_what_was_promised(pytestconfig: pytest.Config) -> None:
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    assert reporter is not None
    run = str(pytestconfig.getoption("--hypothesis-seed"))
    found = soak(run, SOAK_CUTS, os.cpu_count() or 1, reporter.write_line)
    counts = {"power cuts": found["power_cuts"], "seeds": found["seeds"]}
    reporter.write_line(json.dumps(keep("power-cut images", run, counts)))


def test_one_rotten_bit_costs_one_record_and_the_rest_stays(tmp_path: Path) -> None:
    for number in range(200):
        random = Random(number)
        disk, clock = ModelDisk(), ManualClock()
        life = Life(disk, clock, tmp_path / "journal.key")
        given: dict[int, bytes] = {}
        batch: list[Record] = []
        for _ in range(random.randint(2, 12)):
            batch = [life.record(random, random.choice(SIZES)) for _ in range(random.randint(1, 5))]
            given.update((record.seq, record.data) for record in batch)
            life.writer.commit(batch)
        promised_before_last = batch[0].seq - 1
        path = random.choice(list_segments(disk, DIRECTORY)).path
        for index in [name for name in disk.names(DIRECTORY) if name.endswith(".idx")]:
            disk.remove(DIRECTORY / index)  # or else the sealed segment would not be looked at
        disk.flip(path, random.randrange(FILE_HEADER_BYTES, disk.size(path)), random.randrange(8))
        again = Life(disk, clock, tmp_path / "journal.key")
        found = stored_records(disk)
        assert all(given[seq] == data for seq, data in found.items())
        lost = set(range(promised_before_last + 1)) - set(found)
        assert len(lost) <= 1
        holes = again.opened.found.fold.holes
        assert all(seq in holes for seq in lost)
        assert bool(lost) == bool(again.opened.report.quarantined)
        assert again.next_seq > promised_before_last
        if lost:
            assert disk.names(DIRECTORY / "quarantine")
        again.writer.commit([again.record(random, 10)])
