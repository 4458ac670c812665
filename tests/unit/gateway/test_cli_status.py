"""What `yaosu status` calls wrong: since when, why, and how much waits."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.status import find, of_kernels

SINCE_NS = 1_790_000_000_000_000_000
DAEMON: dict[str, Any] = {
    "now_utc_ns": SINCE_NS + 100_000_000_000,
    "journal": {
        "trouble": None, "over_limit": False, "backlog_records": 3, "backlog_since_utc_ns": SINCE_NS,
    },
    "publisher": {
        "link": {"connected": True, "since_utc_ns": SINCE_NS, "error": ""}, "no_collector": False,
        "receipts_refused": 0, "receipt_error": "", "refusing": False, "refusing_since_utc_ns": 0,
    },
    "instruments": [{"id": "p-1", "service": "in-use", "gap": None}, {"id": "p-2", "service": "in-use"}],
    "failing_parts": {},
}  # fmt: skip
GOOD = {"ok": True, "since_utc_ns": SINCE_NS, "error": "", "hint": ""}
COLLECTOR: dict[str, Any] = {
    "link": {"connected": True, "since_utc_ns": SINCE_NS, "error": ""}, "store": GOOD, "archive": GOOD,
    "waiting": 7, "forks": 0, "dead_letters": 0, "dead_letters_full": False, "receipts_refused": "",
}  # fmt: skip


def changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Copy with one value, at a dotted path, replaced."""
    copied = copy.deepcopy(content)
    *way, last = path.split(".")
    inner = copied
    for step in way:
        inner = inner[step]
    inner[last] = value
    return copied


def test_all_well_is_no_finding() -> None:
    assert find(DAEMON, COLLECTOR, expects_daemon=True) == []
    assert find(DAEMON, None, expects_daemon=True) == []
    assert find(None, COLLECTOR, expects_daemon=False) == []


def test_what_does_not_run_is_told_with_the_command_that_starts_it() -> None:
    told = ["daemon: not running; start it with: yaosu run -c site.toml"]
    config = Path("site.toml")
    assert find(None, None, expects_daemon=False, config=config) == told
    assert find(None, COLLECTOR, expects_daemon=True, config=config) == told


def test_a_broker_that_is_away_is_told_since_when_and_what_waits() -> None:
    link = {"connected": False, "since_utc_ns": SINCE_NS, "error": "Connection refused"}
    (found,) = find(changed(DAEMON, "publisher.link", link), None, expects_daemon=True)
    assert found.startswith("broker: away since 20")
    assert "(Connection refused); 3 records wait, the oldest of 20" in found


def test_a_database_that_is_away_is_told_since_when_and_what_waits() -> None:
    away = {"ok": False, "since_utc_ns": SINCE_NS, "error": "503", "hint": "start influxd"}
    (found,) = find(DAEMON, changed(COLLECTOR, "store", away), expects_daemon=True)
    assert found.startswith("store: away since 20")
    assert "(503); 7 messages wait here, the rest in the gateways' journals; start influxd" in found


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("journal.trouble", {"since_utc_ns": SINCE_NS, "error": "no space"}, "not writable since"),
        ("journal.over_limit", True, "size_max_bytes"),
        ("publisher", None, "not durable yet"),
        ("publisher.no_collector", True, "3 records wait"),
        ("instruments", [{"id": "p-1", "gap": "disconnected"}], "p-1: not polled (disconnected)"),
        ("failing_parts", {"driver p-1": {"restarts": 2, "error": "x"}}, "failed 2 times"),
    ],
)
def test_what_is_wrong_with_the_daemon_is_told(path: str, value: Any, what: str) -> None:
    (found,) = find(changed(DAEMON, path, value), None, expects_daemon=True)
    assert what in found


def test_a_full_disk_is_told_with_the_room_that_it_needs() -> None:
    full = changed(changed(DAEMON, "journal.reserve", "used"), "journal.room_bytes", 128 * 2**20)
    (found,) = find(full, None, expects_daemon=True)
    assert "make room on the disk of [site] state_dir (df -h) until 128 MiB are free" in found


REFUSED = {
    **DAEMON["publisher"], "receipts_refused": 7, "receipt_error": "collector key 1f is not trusted",
    "refusing": True, "refusing_since_utc_ns": SINCE_NS,
}  # fmt: skip


def test_refused_receipts_are_told_since_when_how_many_why_and_what_to_do() -> None:
    daemon = changed(changed(DAEMON, "publisher", REFUSED), "now_utc_ns", SINCE_NS + 1)
    (found,) = find(daemon, None, expects_daemon=True)
    assert found.startswith("receipts: refused since 20")
    assert "7 since the start, the last: collector key 1f is not trusted; 3 records wait" in found
    assert found.endswith("then yaosu keys trust PUBLIC-KEY, or stop the collector that is not yours")


def test_a_refused_receipt_of_the_past_is_a_finding_only_while_records_wait_for_long() -> None:
    past = changed(DAEMON, "publisher", {**REFUSED, "refusing": False})
    assert len(find(past, None, expects_daemon=True)) == 1
    assert find(changed(past, "now_utc_ns", SINCE_NS + 1), None, expects_daemon=True) == []


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("link.connected", False, "broker of the collector: away since"),
        ("archive", {**GOOD, "ok": False, "error": "EIO"}, "archive: away since"),
        ("forks", 1, "different bytes"),
        ("dead_letters", 2, "2 lines"),
        ("dead_letters_full", True, "the file is full"),
        ("receipts_refused", "Not authorized", "Not authorized"),
    ],
)
def test_what_is_wrong_with_the_collector_is_told(path: str, value: Any, what: str) -> None:
    (found,) = find(None, changed(COLLECTOR, path, value), expects_daemon=False)
    assert what in found


@pytest.mark.parametrize(
    ("kernels", "state", "problem", "said"),
    [
        ("ready", "loading", "", ""),
        ("ready", "compiling apart", "", ""),
        ("warming", "compiling apart", "", "rules: their kernels are compiled for the first time"),
        ("ready", "compiling here", "no room", "keeps some 150 MB for it: no room"),
    ],
)
def test_kernels_that_are_not_there_or_cost_memory_are_told(
    kernels: str, state: str, problem: str, said: str
) -> None:
    told = of_kernels({"kernels": kernels, "kernels_warm_up": {"state": state, "problem": problem}})
    assert said in told
    assert bool(told) is bool(said)
