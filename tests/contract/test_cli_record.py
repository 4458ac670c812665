"""The commands around the record at the command line: keys, archive, dead letters, witness, evidence."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.status import find
from gateway.collector import CollectorSettings
from gateway.collector.dead_letters import DeadLetters
from gateway.trust import TrustedWitnesses
from pipeline.archive import Archive
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.journal import Journal, JournalSettings
from pipeline.mqtt import MqttSettings
from pipeline.records import Record
from pipeline.store import Origin
from tests.support.collecting import collecting, embedded_store
from tests.support.commanding import log_untouched, yaosu
from tests.support.journal_fake import T0_NS, data_body, make_record
from tests.support.paper_log import JOURNAL, TASK, paper_log, policy_text, signing_key

__all__ = ["log_untouched"]

SITE = """
[site]
lab = "lab"
gateway = "gw"
state_dir = "state"
"""
WITNESS = """
[witness]
operator = "Institute"
name = "witness.institute.example/w1"
"""
ORIGIN = Origin("lab", "gw")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "site.toml"
    path.write_text(SITE + WITNESS)
    return path


def archived(folder: Path, records: list[Record], writer: bytes = bytes(16)) -> None:
    async def fill() -> None:
        archive = await Archive.open(folder, writer)
        await archive.append([(ORIGIN, record) for record in records])
        await archive.close()

    asyncio.run(fill())


def test_keys_are_made_shown_and_pinned(config: Path) -> None:
    for role in ("collector", "witness"):
        assert yaosu("keys", "gen", role, "-c", config).code == 0
        assert yaosu("keys", "gen", role, "-c", config).code == 1
    assert yaosu("keys", "gen", "log", "-c", config).code == 2
    shown = yaosu("keys", "show", "-c", config, "--json").json
    key = shown["witness"]["key"]
    assert key.startswith("witness.institute.example/w1+")
    assert yaosu("keys", "trust", key, "-c", config).code == 2
    assert yaosu("keys", "trust", key, "--operator", "Institute", "-c", config).code == 0
    assert yaosu("keys", "trust", shown["collector"]["public"], "-c", config).code == 0
    for wrong in ("00", "w+00+00", key[:-4]):
        assert yaosu("keys", "trust", wrong, "--operator", "x", "-c", config).code == 2
    shown = yaosu("keys", "show", "-c", config).out
    assert f"trusted witness of Institute: {key}" in shown
    assert "trusted collector" in shown


def test_a_damaged_file_of_witnesses_is_told_once_and_the_known_stay(tmp_path: Path) -> None:
    path, told = tmp_path / "w.json", list[str]()
    keys = TrustedWitnesses(path, told.append)
    keys.trust(vkey(witness_key("w.example/1", signing_key(9).public)), "Institute")
    assert [operator for _, operator in keys.witnesses().values()] == ["Institute"]
    for content in (b"{", b"[]", b'{"x": "y"}'):
        path.write_bytes(content)
        for _ in range(3):
            assert len(keys.witnesses()) == 1
    assert len(told) == 3
    path.unlink()
    assert keys.witnesses() == {}


def test_a_witness_that_is_let_go_by_a_later_key_is_told_which_one_is_pinned(config: Path) -> None:
    first, later = (vkey(witness_key("w.example/1", signing_key(seed).public)) for seed in (9, 10))
    other = vkey(witness_key("other.example/1", signing_key(9).public))
    assert yaosu("keys", "trust", first, "--operator", "Institute", "-c", config).code == 0
    refused = yaosu("keys", "distrust", later, "-c", config)
    assert (refused.code, first in refused.err) == (2, True)
    refused = yaosu("keys", "distrust", other, "-c", config)
    assert (refused.code, first in refused.err) == (2, False)
    assert yaosu("keys", "distrust", first, "-c", config).code == 0


def test_without_an_archive_the_commands_say_so(config: Path) -> None:
    for words in (["archive", "stat"], ["archive", "verify"], ["evidence", "create", "--task", "t"]):
        assert yaosu(*words, "-c", config).code == 69
    assert yaosu("dead-letter", "list", "-c", config).out == "no dead letters\n"


def test_an_archive_is_verified_held_merged_and_restored(config: Path, tmp_path: Path) -> None:
    log = paper_log()
    log.seal()
    archive = tmp_path / "state" / "archive"
    archived(archive, log.records[:20])
    archived(tmp_path / "other", log.records[15:], b"another-archive-")
    policy = tmp_path / "policy.txt"
    policy.write_text(policy_text())
    assert yaosu("archive", "merge", tmp_path / "other", "--with-open", "-c", config).code == 0
    done = yaosu("archive", "verify", "--policy", policy, "-c", config, "--json")
    assert done.code == 0
    assert done.json["journals"][0]["key"] == "pinned"
    assert done.json["journals"][0]["records"] == len(log.records)
    assert yaosu("verify", archive).code == 0
    hold = ("archive", "hold", "case-1", "--reason", "dispute", "--as", "p-1", "-c", config)
    held = yaosu(*hold, "--journal", JOURNAL.hex(), "--json").json
    assert (held["id"], held["journal"], held["by"]) == ("case-1", JOURNAL.hex(), "p-1")
    assert yaosu(*hold).code == 2
    assert yaosu(*hold, "--journal", "x").code == 2
    assert yaosu("archive", "stat", "-c", config, "--json").json["holds"][0]["id"] == "case-1"
    assert yaosu("archive", "release", "case-1", "-c", config).code == 2, "nobody has said who and why"
    release = ("archive", "release", "case-1", "--reason", "settled", "--as", "p-2", "-c", config)
    assert yaosu(*release).code == 0
    assert yaosu(*release).code == 1
    kept = yaosu("archive", "stat", "-c", config, "--json").json
    assert kept["holds"] == []
    assert [(one["by"], one["released_by"]) for one in kept["released_holds"]] == [("p-1", "p-2")]
    restored = yaosu("archive", "restore", "-c", config, "--json").json
    assert restored["forked"] == 0
    made = yaosu("evidence", "create", "--task", TASK, "--out", tmp_path / "e", "-c", config)
    assert made.code == 0
    assert yaosu("verify", tmp_path / "e", "--policy", policy).code == 0
    assert yaosu("evidence", "create", "--task", "t-9", "-c", config).code == 1


def test_evidence_waits_for_the_seal_and_for_a_witness_and_says_so(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, archive, path = paper_log(), tmp_path / "state" / "archive", tmp_path / "e"
    log.seal(2)
    archived(archive, log.records)
    create = ("evidence", "create", "--task", TASK, "--out", path, "-c", config)
    at_once = yaosu(*create, "--wait", "0")
    assert (at_once.code, at_once.out) == (75, "")
    assert "not sealed yet; try again in 10 s" in at_once.err
    assert "waiting" not in at_once.err
    assert not path.exists()
    looks: list[float] = []

    def meanwhile(seconds: float) -> None:
        """Seal at the second look, cosign what was sealed at the fourth."""
        looks.append(seconds)
        before = len(log.records)
        if len(looks) == 2:
            log.seal(witnesses=())
        if len(looks) == 4:
            log.add("cosignature", {"note": log.sealed(before - 1)})
        archived(archive, log.records[before:])

    monkeypatch.setattr("gateway.cli.record.time.sleep", meanwhile)
    waited = yaosu(*create, "--json")
    assert waited.code == 0
    assert waited.json["file"] == str(path)
    assert waited.err.count("not sealed yet; waiting up to 15 s for that") == 1
    assert waited.err.count("no witness has seen them yet; waiting up to 15 s for that") == 1
    assert len(looks) == 4
    policy = tmp_path / "policy.txt"
    policy.write_text(policy_text())
    assert yaosu("verify", path, "--policy", policy).code == 0


def test_evidence_that_no_witness_sees_in_time_is_made_and_says_so(config: Path, tmp_path: Path) -> None:
    log = paper_log()
    log.seal(2)
    log.seal(witnesses=())
    archived(tmp_path / "state" / "archive", log.records)
    made = yaosu("evidence", "create", "--task", TASK, "--out", tmp_path / "e", "--wait", "0", "-c", config)
    assert made.code == 0
    assert "no witness has seen all of it yet" in made.out
    assert "waiting" not in made.err


def test_of_many_findings_a_terminal_shows_the_first_and_counts_the_others(
    config: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "state" / "archive"
    archived(archive, paper_log(12).records)
    (segment,) = archive.glob("*.segment")
    segment.write_bytes(segment.read_bytes()[:200])
    damaged = yaosu("archive", "verify", "-c", config, "--json").json["damaged"]
    shown = " ".join(yaosu("archive", "verify", "-c", config).out.split())
    assert len(damaged) > 21
    assert f"; and {len(damaged) - 20} more, see --json" in shown
    assert shown.count("segment ") == 20


def test_a_journal_is_verified_against_the_key_that_was_pinned(config: Path, tmp_path: Path) -> None:
    async def recorded() -> None:
        journal = await Journal.open(
            tmp_path / "state" / "journal", JournalSettings(), purpose="production", origin="yaosu/lab/gw"
        )
        journal.append("tick", {}, source="live")
        await journal.close()

    asyncio.run(recorded())
    folder = tmp_path / "state" / "journal"
    log = yaosu("keys", "show", "-c", config, "--json").json["log"]
    assert yaosu("verify", folder).code == 0
    done = yaosu("verify", folder, "--key", log)
    assert done.code == 0
    assert "pinned" in done.out
    (tmp_path / "policy.txt").write_text(policy_text("none"))  # another laboratory's
    assert yaosu("verify", folder, "--policy", tmp_path / "policy.txt").code == 1


def test_a_fork_found_in_a_merge_ends_with_one_and_is_named(config: Path, tmp_path: Path) -> None:
    archived(tmp_path / "state" / "archive", [make_record(1, "tick", {"a": 1})])
    archived(tmp_path / "other", [make_record(1, "tick", {"a": 2})], b"another-archive-")
    done = yaosu("archive", "merge", tmp_path / "other", "--with-open", "-c", config)
    assert done.code == 1
    assert f"journal {bytes(16).hex()} seq 1" in done.out
    assert yaosu("archive", "verify", "-c", config).code == 1


def buried(state: Path) -> None:
    letters = [
        {"lab": "lab", "gateway": "gw", "journal": bytes(16).hex(), "seq": 0, "reason": "type conflict"}
    ]
    asyncio.run(DeadLetters(state / "dead-letters.jsonl", 10_000).append(letters))


def test_a_dead_letter_is_listed_shown_and_offered_again(config: Path, tmp_path: Path) -> None:
    archived(tmp_path / "state" / "archive", [make_record(0, "data", data_body("oven", 0, T0_NS, 5))])
    buried(tmp_path / "state")
    (letter,) = yaosu("dead-letter", "list", "-c", config, "--json").json
    assert "type conflict" in yaosu("dead-letter", "list", "-c", config).out
    assert json.loads(yaosu("dead-letter", "show", letter["id"], "-c", config).out)["seq"] == 0
    assert yaosu("dead-letter", "show", "nothing", "-c", config).code == 1
    assert yaosu("dead-letter", "requeue", "-c", config).code == 2
    assert yaosu("dead-letter", "requeue", letter["id"], "-c", config).code == 0
    assert yaosu("dead-letter", "requeue", letter["id"], "-c", config).code == 1
    assert yaosu("dead-letter", "list", "-c", config, "--json").json == []


async def test_a_running_collector_offers_letters_again_by_itself(config: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    await asyncio.to_thread(
        archived, state / "archive", [make_record(0, "data", data_body("oven", 0, T0_NS, 5))]
    )
    await asyncio.to_thread(buried, state)
    async with (
        embedded_store(tmp_path) as store,
        collecting(MqttSettings(port=1), state, store, CollectorSettings()),
    ):
        done = await asyncio.to_thread(yaosu, "dead-letter", "requeue", "--all", "-c", config, "--json")
        assert (done.code, len(done.json["stored"])) == (0, 1)
        assert (await store.counts(ORIGIN, T0_NS - 1, T0_NS + 10**10))["oven"].rows == 5
        merge = await asyncio.to_thread(yaosu, "archive", "merge", state / "archive", "-c", config)
        assert merge.code == 69
        assert "stop it first" in merge.err


GOOD_WITNESS: dict[str, Any] = {
    "link": {"connected": True, "since_utc_ns": 1, "error": ""}, "alarms": 0, "last_alarm": None,
    "logs": {"yaosu/lab/gw": {"refused": "", "silent": False}},
}  # fmt: skip


def test_the_status_of_a_witness_tells_alarms_and_silent_gateways() -> None:
    assert find(None, None, expects_daemon=False, witness=GOOD_WITNESS) == []
    silent = {**GOOD_WITNESS, "logs": {"yaosu/lab/gw": {"refused": "", "silent": True}}}
    assert find(None, None, expects_daemon=False, witness=silent) == [
        "yaosu/lab/gw: the gateway does not answer"
    ]
    alarm = {**GOOD_WITNESS, "alarms": 2, "last_alarm": {"kind": "fork", "reason": "history was rewritten"}}
    (found,) = find(None, None, expects_daemon=False, witness=alarm)
    assert "2 alarms, the last: fork" in found


@pytest.mark.usefixtures("log_untouched")
def test_a_witness_without_its_table_or_memory_does_not_start(config: Path, tmp_path: Path) -> None:
    assert yaosu("keys", "gen", "witness", "-c", config).code == 0
    (tmp_path / "state" / "witness.json").unlink()
    done = yaosu("witness", "-c", config)
    assert done.code == 78
    assert "forgotten" in done.err
    config.write_text(SITE)
    assert yaosu("witness", "-c", config).code == 78
