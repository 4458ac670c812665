"""Commands against a running daemon and simulator, as a person at the bench gives them."""

from __future__ import annotations

import asyncio
import errno
import json
import math
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.door.client import DoorClient
from gateway.site import load_site
from tests.support.cli_site import ADMINISTRATOR, OPERATOR, OTHER, SITE, Site, held, site, until
from tests.support.commanding import NEW_SECRETS, PASSWORD, PIN, Outcome, log_untouched, yaosu
from tests.support.services import free_port
from tests.support.tree import ROOT

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["held", "log_untouched", "site"]

SPOT_CHECKS = ROOT / "config" / "examples" / "spot-check" / "illustrative.toml"


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

    def test_a_recording_is_played_back_with_the_same_values(self, site: Site, tmp_path: Path) -> None:
        recording = tmp_path / "wire"
        shown = site.run("read", "p-1", "--json", "--record", str(recording)).json
        outcome = yaosu("replay", recording, "--json")
        assert outcome.code == 0, outcome.err
        row = next(each for each in map(json.loads, outcome.out.splitlines()) if "channels" in each)
        ((name, channel),) = row["channels"].items()
        assert (channel["value"], row["t_utc_ns"]) == (shown["channels"][0]["value"], shown["t_utc_ns"])
        assert (name, channel["flag"]) == ("pressure", "pass")
        assert "1 rows" in outcome.err
        assert yaosu("replay", site.config).code == 74

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

    def test_what_the_daemon_makes_is_its_owners_alone(self, site: Site) -> None:
        state = site.config.parent / "state"
        assert (state / "ledger.sqlite").stat().st_mode & 0o077 == 0
        assert (state / "door.sock").stat().st_mode & 0o777 == 0o660

    def test_the_journal_is_looked_at_while_the_daemon_writes(self, site: Site) -> None:
        assert site.run("journal", "stat", "--json").json["purpose"] == "rehearsal"


class TestRisk:
    def test_the_index_is_shown_and_explained_record_by_record(self, site: Site, held: str) -> None:
        def told() -> Any:
            explained = site.run("risk", "explain", "lab", "--json")
            assert explained.code == 0, explained.err
            return (
                explained.json if held in {each["task"] for each in explained.json["contributions"]} else None
            )

        explained = until(told, "the held task counts")
        assert explained["index"] == math.fsum(each["points"] for each in explained["contributions"]) > 0
        shown = site.run("risk", "show")
        assert shown.code == 0, shown.err
        assert "instrument:p-1" in shown.out
        assert "no official credit-risk class is imported" in shown.out
        assert site.run("risk", "explain", "instrument:nowhere").code == 1

    def test_class_and_table_are_imported_by_somebody_and_shown_with_their_source(self, site: Site) -> None:
        given = ("B", "--source", "provincial list", "--decided-on", "2026-03-01")
        assert site.as_person(ADMINISTRATOR, "risk", "class", *given).code == 0
        assert site.as_person(ADMINISTRATOR, "risk", "table", SPOT_CHECKS).code == 0
        shown = site.run("risk", "show")
        assert "official credit-risk class B, provincial list, 2026-03-01" in shown.out
        assert "ILLUSTRATIVE, issued by nobody" in shown.out
        assert "proportion 5%, 2 a year" in shown.out
        broken = site.roles.folder / "broken.toml"
        broken.write_text(SPOT_CHECKS.read_text(encoding="utf-8").replace("0.05", "5"), encoding="utf-8")
        refused = site.as_person(ADMINISTRATOR, "risk", "table", broken)
        assert refused.code == 78
        assert "broken.toml:" in refused.err

    def test_a_window_without_a_trigger_stays_closed_also_to_a_regulator(self, site: Site, held: str) -> None:
        enrol = ("person", "add", "r-0001", "--name", "R", "--role", "regulator")
        added = site.as_person(ADMINISTRATOR, *enrol, **NEW_SECRETS)
        assert added.code == 0, added.err
        assert asyncio.run(ask_for_window(site, held)) == ["no-trigger", "not-regulator"]


async def ask_for_window(site: Site, task: str) -> list[str]:
    """Ask for the window of a task as a regulator, then as an operator; give the codes of the refusals."""
    args = {"task": task, "channel": "p-1.pressure"}
    async with DoorClient(load_site(site.config).state.socket("door")) as door:
        token = (await door.login("r-0001", PASSWORD))["token"]
        answers = [
            await door.command("window.read", args, {"station": "test"}, token=token),
            await door.command("window.read", args, {"person": OPERATOR, "pin": PIN, "station": "test"}),
        ]
    return [answer["code"] for answer in answers]


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
    assert (outcome.code, outcome.out) == (69, f"daemon: not running; start it with: yaosu run -c {path}\n")


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
