"""`yaosu result recompute`: from the journal on disk while it is open, and from a collector's archive."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from gateway.cli.main import app
from gateway.site import load_site
from pipeline.archive import Archive
from pipeline.journal import Journal, JournalSettings
from pipeline.records.envelope import Record
from pipeline.store.door import Origin
from tests.unit.elements.bench import Bench, opened

SITE = '[site]\nlab = "lab-1"\ngateway = "gateway-1"\nstate_dir = "state"\n'


def recompute(folder: Path, *args: str) -> Result:
    return CliRunner().invoke(app, ["result", "recompute", *args, "-c", str(folder / "gateway.toml")])


def worked() -> Bench:
    bench = opened()
    bench.check_passes()
    bench.weigh(0.0003, 50.0017)
    return bench


async def journalled(folder: Path, bench: Bench, **forged: Any) -> list[Record]:
    """Write the records of a paper day, stamps and all, into a real journal; results with a forged figure."""
    (folder / "gateway.toml").write_text(SITE, encoding="utf-8")
    where = load_site(folder / "gateway.toml").state.journal
    journal = await Journal.open(where, JournalSettings(commit_delay_ms=1), purpose="production")
    written = []
    for record in bench.records:
        body = {**record.body, **forged} if record.kind == "result" else record.body
        stamps = {"t_utc_ns": record.t_utc_ns, "t_run_ns": record.t_run_ns}
        written.append(journal.append(record.kind, body, source="live", by=record.by, **stamps))
    await journal.wait_durable(journal.head_seq - 1)
    await journal.close()
    return written


async def test_the_results_of_a_task_are_equal_to_the_last_bit(tmp_path: Path) -> None:
    bench = worked()
    await journalled(tmp_path, bench)
    result = bench.of_kind("result")[-1]
    told = recompute(tmp_path, result.body["task"])
    assert told.exit_code == 0, told.output
    assert "equal to the last bit" in told.output
    assert f"(record {result.seq})" in told.output
    assert recompute(tmp_path, str(result.seq), "--json").exit_code == 0


async def test_a_result_that_was_changed_is_named_with_both_values(tmp_path: Path) -> None:
    bench = worked()
    await journalled(tmp_path, bench, value=50.0015)
    told = recompute(tmp_path, bench.of_kind("result")[-1].body["task"], "--json")
    assert told.exit_code == 1
    [found] = json.loads(told.output)
    assert found["difference"] == {"path": "value", "recorded": 50.0015, "recomputed": 50.0014}


async def test_the_archive_of_a_collector_serves_as_well(tmp_path: Path) -> None:
    bench = worked()
    written = await journalled(tmp_path, bench)
    archive = await Archive.open(tmp_path / "archive", bytes(16))
    await archive.append([(Origin("lab-1", "gateway-1"), record) for record in reversed(written)])
    journal = written[0].journal.hex()[:8]
    seq = str(bench.of_kind("result")[-1].seq)
    told = recompute(tmp_path, seq, "--archive", str(tmp_path / "archive"), "--journal", journal)
    await archive.close()
    assert told.exit_code == 0, told.output
    assert "equal to the last bit" in told.output


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SITE, encoding="utf-8")
    told = recompute(tmp_path, "5b41ec3a-00001")
    assert told.exit_code == 69
    assert "name the archive with --archive" in told.output
    (tmp_path / "archive").mkdir()
    told = recompute(tmp_path, "5b41ec3a-00001", "--archive", str(tmp_path / "archive"))
    assert told.exit_code == 69
    assert "no result of 5b41ec3a-00001" in told.output
