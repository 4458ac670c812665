"""Commands against a running daemon and simulator, as a person at the bench gives them."""

from __future__ import annotations

import errno
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.demo.site import REGISTRY
from tests.support.commanding import NEW_SECRETS, PASSWORD, PIN, Outcome, Roles, log_untouched, yaosu
from tests.support.services import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["log_untouched"]

ADMINISTRATOR, OPERATOR, OTHER = "p-0003", "p-0002", "p-0001"
WAIT_S = 30.0
SITE = """
[site]
lab = "lab"
gateway = "gw"
purpose = "rehearsal"
state_dir = "state"

[mqtt]
port = {broker}

[elements]
settle = 0.2

[[instrument]]
id = "p-1"
driver = "modbus-tcp"
source = "simulated"
serial_number = "SIM-P-0001"
host = "127.0.0.1"
port = {port}
poll_interval_s = 0.05
channels = [
    {{ name = "pressure", address = 0, table = "input", type = "float32", unit = "MPa", qc = {{ range = {{ fail_low = 0.0, fail_high = 70.0 }} }} }},
]
"""  # noqa: E501 - an inline table has one line


def until(condition: Callable[[], Any], what: str) -> Any:
    """Ask again until the answer is true; it comes from another process, so there is no event to wait for."""
    end_s = time.monotonic() + WAIT_S
    while not (answer := condition()):
        assert time.monotonic() < end_s, f"waited {WAIT_S:g} s in vain until {what}"
        threading.Event().wait(0.05)
    return answer


@dataclass(frozen=True)
class Site:
    """A running site."""

    config: Path
    roles: Roles

    def run(self, *arguments: object, **environment: str) -> Outcome:
        return yaosu(*arguments, "-c", self.config, **environment)

    def as_person(self, person: str, *arguments: object, pin: str = PIN, **environment: str) -> Outcome:
        return self.run(*arguments, "--as", person, YAOSU_PIN=pin, **environment)

    @property
    def status(self) -> Any:
        return self.run("status", "--json").json["daemon"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One daemon and one simulator for all tests of this module."""
    folder = tmp_path_factory.mktemp("site")
    roles = Roles(folder)
    try:
        port = roles.simulate("single_tcp")["p-1"]["port"]
        config = folder / "gateway.toml"
        config.write_text(SITE.format(port=port, broker=free_port()), encoding="utf-8")
        made = yaosu("init", "-c", config, "--person", ADMINISTRATOR, "--name", "秦望舒", **NEW_SECRETS)
        assert made.code == 0, made.err
        roles.start("run", config)
        running = Site(config, roles)
        for person in (OPERATOR, OTHER):
            added = running.as_person(
                ADMINISTRATOR, "person", "add", person, "--name", person, "--role", "operator", **NEW_SECRETS
            )
            assert added.code == 0, added.err
        imported = running.as_person(ADMINISTRATOR, "registry", "import", REGISTRY)
        assert imported.code == 0, imported.err
        until(lambda: running.status["instruments"][0].get("rows"), "the instrument has given rows")
        yield running
    finally:
        roles.end()


@pytest.fixture(scope="module")
def held(site: Site) -> str:
    """Id of a task whose result is held."""
    started = site.as_person(
        OPERATOR, "task", "start", "--method", "pressure-hold", "--instrument", "p-1", "--sample", "V-0001",
        "--json",
    )  # fmt: skip
    assert started.code == 0, started.err
    task: str = started.json["result"]["task"]
    assert site.as_person(OPERATOR, "task", "stop", task).code == 0
    until(lambda: task in [each["task"] for each in site.run("hold", "list", "--json").json], "it is held")
    return task


class TestStatus:
    def test_a_broker_that_is_away_is_told_since_when_and_how_much_waits(self, site: Site) -> None:
        outcome = site.run("status")
        assert outcome.code == 1
        (line,) = [each for each in outcome.out.splitlines() if each.startswith("broker:")]
        assert line.startswith("broker: away since 20")
        assert "Connection refused" in line
        assert " records wait, the oldest of 20" in line

    def test_json_says_the_same(self, site: Site) -> None:
        outcome = site.run("status", "--json")
        assert outcome.code == 1
        assert [each.split(":")[0] for each in outcome.json["findings"]] == ["broker"]
        assert outcome.json["daemon"]["journal"]["backlog_records"] > 0
        assert outcome.json["collector"] is None

    def test_a_changed_file_is_told(self, site: Site) -> None:
        before = site.config.read_bytes()
        site.config.write_bytes(before + b"# changed\n")
        try:
            assert "was changed since the start" in site.run("status").out
        finally:
            site.config.write_bytes(before)
        assert "was changed" not in site.run("status").out


@pytest.mark.usefixtures("log_untouched")
def test_a_second_daemon_on_one_state_folder_is_refused(site: Site) -> None:
    outcome = site.run("run")
    assert outcome.code == 69
    assert "already serves" in outcome.err
    assert "yaosu status" in outcome.err
    assert site.status["pid"]


class TestRead:
    def test_one_exchange_is_shown_with_everything(self, site: Site) -> None:
        outcome = site.run("read", "p-1", "--once")
        assert outcome.code == 0, outcome.err
        assert [
            each
            for each in ("pressure", "MPa", "good", "pass", "round trip", "raw 42")
            if each not in outcome.out
        ] == []
        assert "identifies itself as" in outcome.err
        assert "SIM-P-0001" in outcome.err

    def test_json_holds_value_and_bytes(self, site: Site) -> None:
        shown = site.run("read", "p-1", "--json").json
        (channel,) = shown["channels"]
        assert 30.0 < channel["value"] < 40.0
        assert (channel["status"], channel["flag"], channel["unit"]) == ("good", "pass", "MPa")
        assert len(bytes.fromhex(shown["raw"])) == 4
        assert shown["round_trip_ms"] > 0

    def test_it_records_nothing(self, site: Site, tmp_path: Path) -> None:
        path = tmp_path / "gateway.toml"
        path.write_bytes(site.config.read_bytes())
        assert yaosu("read", "p-1", "-c", path).code == 0
        assert [each.name for each in tmp_path.iterdir()] == ["gateway.toml"]

    def test_an_instrument_that_is_not_there_is_a_sentence_and_69(self, site: Site, tmp_path: Path) -> None:
        path = tmp_path / "closed.toml"
        path.write_text(SITE.format(port=free_port(), broker=1), encoding="utf-8")
        outcome = yaosu("read", "p-1", "-c", path)
        assert outcome.code == 69
        assert "no answer from p-1 at tcp:127.0.0.1:" in outcome.err
        assert "check power, cable, address" in outcome.err

    def test_an_unknown_instrument_gets_the_nearest(self, site: Site) -> None:
        outcome = site.run("read", "p-2")
        assert outcome.code == 2
        assert "did you mean 'p-1'?" in outcome.err


class TestRelease:
    """Who may let a held result out, seen from the command line."""

    def release(self, site: Site, task: str, person: str, pin: str = PIN, **environment: str) -> Outcome:
        reason = ("--reason", "looked at")
        return site.as_person(person, "hold", "release", task, *reason, pin=pin, **environment)

    def test_by_the_operator_of_the_task_is_refused(self, site: Site, held: str) -> None:
        outcome = self.release(site, held, OPERATOR)
        assert outcome.code == 1
        assert "refused (own-task)" in outcome.err
        assert "ask another authorised signatory" in outcome.err

    def test_by_somebody_who_is_no_signatory_is_refused(self, site: Site, held: str) -> None:
        outcome = self.release(site, held, OTHER)
        assert outcome.code == 1
        assert "refused (not-signatory)" in outcome.err

    def test_by_a_stranger_is_refused(self, site: Site, held: str) -> None:
        assert self.release(site, held, "p-0666").code == 1

    def test_without_a_pin_it_is_not_even_sent(self, site: Site, held: str) -> None:
        outcome = self.release(site, held, ADMINISTRATOR, pin="")
        assert outcome.code == 2
        assert "YAOSU_PIN" in outcome.err

    def test_with_a_wrong_pin_it_is_refused(self, site: Site, held: str) -> None:
        outcome = self.release(site, held, ADMINISTRATOR, pin="000000")
        assert outcome.code == 1
        assert "refused (wrong-secret)" in outcome.err

    def test_a_refusal_is_json_when_asked(self, site: Site, held: str) -> None:
        outcome = site.as_person(OPERATOR, "hold", "release", held, "--reason", "x", "--json")
        assert outcome.code == 1
        assert (outcome.json["ok"], outcome.json["code"]) == (False, "own-task")

    def test_an_unknown_disposition_is_a_usage_error(self, site: Site, held: str) -> None:
        outcome = site.as_person(
            ADMINISTRATOR, "hold", "release", held, "--reason", "x", "--disposition", "y"
        )
        assert outcome.code == 2
        assert "retest" in outcome.err

    def test_of_an_unknown_task_is_refused(self, site: Site) -> None:
        outcome = self.release(site, "no-such-task", ADMINISTRATOR)
        assert outcome.code == 1
        assert "no-such-task" in outcome.err

    def test_by_the_signatory_it_works_and_is_done_once(self, site: Site, held: str) -> None:
        listed = site.run("hold", "list")
        assert held in listed.out
        arguments = ("hold", "release", held, "--reason", "looked at", "--key", "release-1", "--json")
        first = site.as_person(ADMINISTRATOR, *arguments)
        assert first.code == 0, first.err
        again = site.as_person(ADMINISTRATOR, *arguments)
        assert again.json == first.json
        assert site.run("hold", "list").out == "nothing is held\n"
        (task,) = [each for each in site.run("task", "list", "--json").json if each["task"] == held]
        assert task["overall"] == "released"
        other_key = site.as_person(ADMINISTRATOR, "hold", "release", held, "--reason", "x")
        assert (other_key.code, "nothing-held" in other_key.err) == (1, True)


class TestPeople:
    def test_an_id_that_is_taken_is_refused(self, site: Site) -> None:
        arguments = ("person", "add", OTHER, "--name", "x", "--role", "operator")
        outcome = site.as_person(ADMINISTRATOR, *arguments, **NEW_SECRETS)
        assert outcome.code == 1
        assert "already enrolled" in outcome.err

    def test_an_operator_enrols_nobody(self, site: Site) -> None:
        arguments = ("person", "add", "p-0009", "--name", "x", "--role", "operator")
        outcome = site.as_person(OPERATOR, *arguments, **NEW_SECRETS)
        assert (outcome.code, "refused (not-authorised)" in outcome.err) == (1, True)

    def test_a_person_changes_password_and_pin_and_can_be_shut_out(self, site: Site) -> None:
        arguments = ("person", "add", "p-0010", "--name", "x", "--role", "operator")
        assert site.as_person(ADMINISTRATOR, *arguments, **NEW_SECRETS).code == 0
        new = {"YAOSU_NEW_PASSWORD": "another horse", "YAOSU_NEW_PIN": "111222"}
        outcome = site.as_person("p-0010", "person", "passwd", "p-0010", "--pin", **new)
        assert (outcome.code, outcome.out) == (0, "p-0010 has a new password and PIN\n")
        assert site.as_person("p-0010", "person", "passwd", "p-0010", pin="111222", **NEW_SECRETS).code == 0
        assert site.as_person(ADMINISTRATOR, "person", "disable", "p-0010").code == 0
        outcome = site.as_person("p-0010", "person", "passwd", "p-0010", pin="111222", **NEW_SECRETS)
        assert outcome.code == 1


class TestViewsAndStates:
    def test_the_registry_is_shown_as_a_table_and_whole_as_json(self, site: Site) -> None:
        assert "EQ-001" in site.run("registry", "show", "equipment").out
        entries = site.run("registry", "show", "equipment", "--json").json
        assert {"id", "data", "seq"} <= entries[0].keys()
        assert site.run("registry", "show", "equipment", "--known-at", "0", "--json").json == []

    def test_an_unknown_part_of_the_registry_is_a_usage_error(self, site: Site) -> None:
        assert site.run("registry", "show", "equipmnt").code == 2

    def test_a_registry_file_with_mistakes_is_not_sent(self, site: Site, tmp_path: Path) -> None:
        path = tmp_path / "registry.toml"
        path.write_text("[[equipmnt]]\nid = 3\n", encoding="utf-8")
        outcome = site.as_person(ADMINISTRATOR, "registry", "import", path)
        assert (outcome.code, "error[E012]" in outcome.err) == (78, True)

    def test_an_instrument_goes_into_maintenance_and_an_unknown_one_does_not(self, site: Site) -> None:
        why = ("--reason", "new seal")
        assert site.as_person(OPERATOR, "instrument", "state", "p-1", "maintenance", *why).code == 0
        assert site.status["instruments"][0]["service"] == "maintenance"
        outcome = site.as_person(OPERATOR, "instrument", "state", "p-9", "fault", *why)
        assert (outcome.code, "refused (unknown-instrument)" in outcome.err) == (1, True)
        assert site.as_person(OPERATOR, "instrument", "state", "p-1", "asleep", *why).code == 2

    def test_a_configuration_is_applied_by_an_administrator_only(self, site: Site) -> None:
        assert site.as_person(OPERATOR, "config", "apply").code == 1
        outcome = site.as_person(ADMINISTRATOR, "config", "apply")
        assert outcome.code == 0
        assert "systemctl restart yaosu" in outcome.out

    def test_the_journal_is_looked_at_while_the_daemon_writes(self, site: Site) -> None:
        assert site.run("journal", "stat", "--json").json["purpose"] == "rehearsal"


def test_where_no_daemon_runs_a_command_ends_with_69_and_says_what_to_start(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE.format(port=1, broker=2), encoding="utf-8")
    for outcome in (
        yaosu("task", "list", "-c", path),
        yaosu("hold", "release", "x", "--reason", "x", "--as", OPERATOR, "-c", path, YAOSU_PIN=PIN),
    ):
        assert outcome.code == 69
        assert "yaosu run" in outcome.err
    outcome = yaosu("status", "-c", path)
    assert (outcome.code, outcome.out) == (69, "daemon: not running; start it with: yaosu run\n")


def test_a_daemon_that_does_not_answer_is_75(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE.format(port=1, broker=2), encoding="utf-8")
    (tmp_path / "state").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "state" / "door.sock"))
        listener.listen()

        def hang_up() -> None:
            listener.accept()[0].close()

        caller = threading.Thread(target=hang_up)
        caller.start()
        outcome = yaosu("task", "list", "-c", path)
        caller.join()
    assert outcome.code == 75
    assert "yaosu status" in outcome.err


def test_a_door_that_this_user_may_not_open_is_74(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SITE.format(port=1, broker=2), encoding="utf-8")

    async def refuse(*_arguments: object, **_options: object) -> None:
        reason = PermissionError(errno.EACCES, "Permission denied")
        raise httpx.ConnectError(str(reason)) from reason

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refuse)
    for command in (("status",), ("task", "list")):
        outcome = yaosu(*command, "-c", path)
        assert outcome.code == 74
        assert "may not open" in outcome.err


def test_no_secret_reaches_the_log_or_the_state_folder(site: Site) -> None:
    state = site.config.parent / "state"
    written = [path for path in state.rglob("*") if path.is_file()]
    assert state / "persons.json" in written
    for content in (site.roles.log("run").encode(), *(path.read_bytes() for path in written)):
        assert PASSWORD.encode() not in content
        assert f'"{PIN}"'.encode() not in content


class TestRegistryAndTasks:
    """What is known of elements and tasks, then and now."""

    def test_a_dry_run_asks_for_no_pin_and_changes_nothing(self, site: Site, tmp_path: Path) -> None:
        new = tmp_path / "material.csv"
        new.write_text("id,kind\nCSV-1,sample\n", encoding="utf-8")
        told = site.run("registry", "import", REGISTRY, new, "--dry-run", "--as", ADMINISTRATOR)
        assert told.code == 0, told.err
        lines = told.out.splitlines()
        assert lines[0] == "new material CSV-1"
        assert lines[1].startswith("1 new, 0 changed, ")
        assert site.run("registry", "show", "material", "CSV-1", "--json").json == []

    def test_an_import_of_several_files_tells_what_was_known(self, site: Site, tmp_path: Path) -> None:
        new = tmp_path / "material.csv"
        new.write_text("id,kind\nCSV-2,sample\n", encoding="utf-8")
        imported = site.as_person(ADMINISTRATOR, "registry", "import", REGISTRY, new, "--reason", "booked in")
        assert imported.code == 0, imported.err
        assert imported.out.startswith("1 registry records imported, ")
        shown = site.run("registry", "show", "material", "CSV-2").out
        assert f"by {ADMINISTRATOR} (pin): booked in" in shown

    def test_a_missing_file_is_told_how_to_begin_one(self, site: Site, tmp_path: Path) -> None:
        outcome = site.as_person(ADMINISTRATOR, "registry", "import", tmp_path / "none.toml")
        assert outcome.code == 78
        assert "yaosu registry template" in outcome.err

    def test_a_hand_over_is_seen_then_and_now(self, site: Site) -> None:
        before = site.status["journal"]["durable_seq"]
        where = ("material", "handover", "V-0001", "--to", OTHER, "--place", "bench 1")
        assert site.as_person(OPERATOR, *where).code == 0
        now = site.run("registry", "show", "material", "V-0001").out
        then = site.run("registry", "show", "material", "V-0001", "--known-at", before).out
        assert f"person = {OTHER}, place = bench 1" in now
        assert "bench 1" not in then
        assert site.run("registry", "show", "material", "V-0001", "--valid-at", "soon").code == 2

    def test_a_template_comes_alone_on_standard_output(self) -> None:
        told = yaosu("registry", "template", "equipment")
        assert told.out.startswith("# equipment.csv: ")
        assert told.err == ""

    def test_holds_are_told_with_their_reasons_and_no_word_is_cut(self, site: Site, held: str) -> None:
        told = site.run("hold", "list", COLUMNS="80").out
        hold = next(each for each in site.run("hold", "list", "--json").json if each["task"] == held)
        assert hold["reasons"]
        words = set(told.split())
        assert {held, *hold["reasons"][0]["en"].split()} <= words

    def test_a_task_is_linked_listed_and_shown_then_and_now(self, site: Site, held: str) -> None:
        before = site.status["journal"]["durable_seq"]
        assert site.as_person(OPERATOR, "task", "link", held, "lims", "order-9").code == 0
        listed = site.run("task", "list", "--external", "order-9", "--json").json
        assert [each["task"] for each in listed] == [held]
        assert site.run("task", "list", "--overall", "released", "--json").json == []
        assert "lims: order-9" in site.run("task", "show", held).out
        assert "order-9" not in site.run("task", "show", held, "--known-at", before).out
        assert site.run("task", "show", held, "--known-at", 0).code == 1

    def test_a_wrong_item_is_corrected_by_who_signs_for_it(self, site: Site, held: str) -> None:
        args = ("task", "amend", held, "--item", "leak rate", "--reason", "typed wrongly")
        assert site.as_person(OPERATOR, *args).code == 0
        assert "item was not given; typed wrongly" in site.run("task", "show", held).out
        assert site.as_person(OPERATOR, *args).code == 1

    def test_who_may_not_sign_is_told_what_to_do(self, site: Site) -> None:
        outcome = site.as_person(OPERATOR, "task", "stop", "none", pin="000000")
        assert outcome.code == 1
        assert "yaosu person passwd" in outcome.err
