"""Alarms: raised by events, grouped by cause, quiet in maintenance, louder with time, closed by people."""

from typing import Any

import pytest

from pipeline.elements import Elements, ElementsSettings, Refused
from pipeline.elements.alarms import views
from pipeline.elements.alarms.settings import AlarmSettings
from pipeline.elements.alarms.state import CLOSED_MAX, GROUPS_MAX
from pipeline.elements.alarms.table import RULES
from pipeline.records.events import event_body
from pipeline.records.events_catalogue import CATALOGUE
from tests.unit.elements.bench import SIGNER, Bench, opened

STEPS = ("acknowledge", "cause", "action", "close")


def alarms(bench: Bench) -> list[dict[str, Any]]:
    return views.alarms(bench.elements.fold.state)


def lost(bench: Bench, instrument: str = "bal-1") -> None:
    bench.append("event", event_body("instrument-lost", instrument=instrument, error="timeout"))


def take(bench: Bench, alarm: str, *deeds: str) -> None:
    for deed in deeds:
        bench.do(f"alarm.{deed}", bench.someone(SIGNER), alarm=alarm, text=f"why {deed}")


def test_an_event_of_the_table_raises_an_alarm_with_its_severity_and_evidence() -> None:
    bench = opened()
    lost(bench)
    (shown,) = alarms(bench)
    raised = bench.of_kind("alarm")[0]
    assert (shown["severity"], shown["step"], shown["count"]) == ("alarm", "raised", 1)
    by = raised.by
    assert by is not None
    assert (raised.body["do"], raised.body["cause_seq"]) == ("raise", by.through_seq)
    assert shown["en"] == "bal-1 stopped answering: timeout"
    assert shown["zh"] == "bal-1 停止应答：timeout"


@pytest.mark.parametrize("code", RULES)
def test_every_code_of_the_table_is_in_the_catalogue_and_calls_somebody(code: str) -> None:
    assert CATALOGUE[code].severity in {"warning", "alarm"}
    ended_by = RULES[code].ended_by
    assert not ended_by or ended_by in CATALOGUE


def test_an_alarm_of_a_newer_part_is_raised_and_an_information_is_not() -> None:
    bench = opened()
    args: dict[str, Any] = {"instrument": None, "channel": None, "args": {}}
    body = {"code": "not-known-here", "severity": "alarm", **args}
    bench.append("event", body)
    bench.append("event", event_body("daemon-stop"))
    assert [one["code"] for one in alarms(bench)] == ["not-known-here"]


def test_events_of_one_cause_are_counted_and_not_raised_again() -> None:
    bench = opened()
    for _ in range(1000):
        lost(bench)
    lost(bench, "th-1")
    assert sorted((one["instrument"], one["count"]) for one in alarms(bench)) == [
        ("bal-1", 1000),
        ("th-1", 1),
    ]
    assert len(bench.of_kind("alarm")) == 2
    shown = views.alarm(bench.elements.fold.state, "A-00001")
    assert shown is not None
    assert len(shown["seqs"]) == 16


def test_a_flood_of_causes_shares_one_alarm_and_memory_stays_bounded() -> None:
    bench = opened()
    for number in range(500):
        bench.append("event", event_body("command-refused", command="x.y", person="p", reason=f"r{number}"))
    shown = alarms(bench)
    assert len(shown) == GROUPS_MAX + 1
    (flood,) = [one for one in shown if one["flood"]]
    assert flood["count"] == 500 - GROUPS_MAX
    assert flood["en"].startswith("further events of this kind")


def test_the_steps_come_in_order_each_signed_with_its_reason() -> None:
    bench = opened()
    lost(bench)
    for number, deed in enumerate(STEPS):
        for wrong in [one for one in STEPS if one not in {deed, *STEPS[number - 1 : number]}]:
            with pytest.raises(Refused) as refused:
                bench.do(f"alarm.{wrong}", bench.someone(SIGNER), alarm="A-00001", text="x")
            assert refused.value.code == "alarm-step"
        take(bench, "A-00001", deed)
    shown = views.alarm(bench.elements.fold.state, "A-00001")
    assert shown is not None
    assert [(deed["deed"], deed["person"], deed["text"]) for deed in shown["deeds"]] == [
        (deed, SIGNER, f"why {deed}") for deed in STEPS
    ]
    assert [bench.records[deed["seq"]].body["actor"]["how"] for deed in shown["deeds"]] == ["password"] * 4
    with pytest.raises(Refused, match="closed"):
        take(bench, "A-00001", "acknowledge")


@pytest.mark.parametrize(
    ("args", "how", "code"),
    [
        ({"alarm": "A-00001"}, "password", "missing-argument"),
        ({"alarm": "A-00001", "text": "  "}, "password", "missing-argument"),
        ({"alarm": "A-00009", "text": "x"}, "password", "unknown-alarm"),
        ({"alarm": "A-00001", "text": "x"}, "badge", "not-authenticated"),
        ({"alarm": "A-00001", "text": "x"}, "asserted", "not-authenticated"),
    ],
)
def test_a_step_without_reason_or_signature_is_refused(args: dict[str, Any], how: str, code: str) -> None:
    bench = opened()
    lost(bench)
    with pytest.raises(Refused) as refused:
        bench.do("alarm.acknowledge", bench.someone(SIGNER, how), **args)
    assert refused.value.code == code


def test_the_same_cause_after_closing_is_a_new_alarm() -> None:
    bench = opened()
    lost(bench)
    take(bench, "A-00001", *STEPS)
    lost(bench)
    assert [(one["alarm"], one["open"]) for one in alarms(bench)] == [("A-00002", True), ("A-00001", False)]


def test_the_end_of_the_condition_is_shown_and_closes_nothing() -> None:
    bench = opened(alarms=AlarmSettings(escalate_alarm=10.0))
    lost(bench)
    bench.append("event", event_body("instrument-back", instrument="bal-1", seconds=5.0))
    bench.tick(60)
    (shown,) = alarms(bench)
    assert (shown["open"], shown["ended"], shown["level"]) == (True, True, 0)
    lost(bench)
    assert (alarms(bench)[0]["ended"], alarms(bench)[0]["count"]) == (False, 2)


@pytest.mark.parametrize(("code", "limit_s"), [("instrument-lost", 600.0), ("bad-frame", 3600.0)])
def test_an_alarm_that_nobody_takes_goes_up_by_time_and_severity(code: str, limit_s: float) -> None:
    bench = opened()
    bench.append("event", event_body(code, instrument="bal-1", error="e"))
    bench.tick(limit_s - 1)
    assert alarms(bench)[0]["level"] == 0
    bench.tick(1)
    assert alarms(bench)[0]["level"] == 1
    for _ in range(9):
        bench.tick(limit_s)
    assert alarms(bench)[0]["level"] == 3
    told = [one.body for one in bench.of_kind("alarm") if one.body["do"] == "escalate"]
    assert [(one["level"], one["after_s"]) for one in told] == [
        (1, limit_s), (2, 2 * limit_s), (3, 3 * limit_s),
    ]  # fmt: skip


def test_an_acknowledged_alarm_goes_up_once_when_it_is_not_closed_in_time() -> None:
    bench = opened(alarms=AlarmSettings(escalate_alarm=10.0, close_within=100.0))
    lost(bench)
    take(bench, "A-00001", "acknowledge")
    bench.tick(99)
    assert alarms(bench)[0]["level"] == 0
    bench.tick(1)
    bench.tick(1000)
    assert (alarms(bench)[0]["level"], alarms(bench)[0]["late"]) == (1, True)


def test_maintenance_keeps_an_alarm_quiet_and_its_end_calls_for_people() -> None:
    bench = opened(alarms=AlarmSettings(escalate_alarm=10.0))
    bench.do("instrument.state", instrument="bal-1", state="maintenance", reason="service")
    lost(bench)
    bench.tick(60)
    (shown,) = alarms(bench)
    assert (shown["suppressed"], shown["notice"], shown["level"]) == ("maintenance", 0, 0)
    assert views.owed(bench.elements.fold.state, frozenset({"alarm"})) == []
    bench.do("instrument.state", instrument="bal-1", state="in-use", reason="done")
    (shown,) = alarms(bench)
    assert (shown["suppressed"], shown["notice"], shown["count"]) == ("", 1, 1)
    bench.tick(9)
    assert alarms(bench)[0]["level"] == 0  # counted from the moment at which people were called
    bench.tick(1)
    assert alarms(bench)[0]["level"] == 1


def test_maintenance_does_not_quieten_what_is_not_about_the_instrument_itself() -> None:
    bench = opened()
    bench.do("instrument.state", instrument="bal-1", state="maintenance", reason="service")
    bench.append("event", event_body("qc-failed", instrument="bal-1", n=1, error="e"))
    assert alarms(bench)[0]["suppressed"] == ""


def test_an_alarm_raised_before_maintenance_is_quietened_unless_somebody_has_it_in_hand() -> None:
    bench = opened()
    lost(bench)
    lost(bench, "th-1")
    take(bench, "A-00002", "acknowledge")
    for instrument in ("bal-1", "th-1"):
        bench.do("instrument.state", instrument=instrument, state="fault", reason="seen")
    assert {one["instrument"]: one["suppressed"] for one in alarms(bench)} == {"bal-1": "fault", "th-1": ""}


def test_holds_are_grouped_by_what_caused_them() -> None:
    bench = opened()
    bench.check_passes()
    for _ in range(3):
        bench.weigh()
    bench.check_passes(101.0)
    bench.air(2)
    by_code = {one["code"]: one for one in alarms(bench) if "look-back" in one["en"]}
    assert by_code["element-held"]["count"] == 3
    assert sum(one["code"] == "lookback-opened" for one in alarms(bench)) == 1


def test_closed_alarms_are_let_go_and_open_ones_never() -> None:
    bench = opened()
    lost(bench, "th-1")
    for number in range(2, CLOSED_MAX + 5):
        lost(bench)
        take(bench, f"A-{number:05d}", *STEPS)
    assert len(alarms(bench)) == CLOSED_MAX + 1
    assert alarms(bench)[0]["alarm"] == "A-00001"


def test_the_summary_for_outside_is_bounded() -> None:
    bench = opened()
    for number in range(GROUPS_MAX + 5):
        for code, key in (("command-refused", "reason"), ("part-failed", "part"), ("risk-level", "subject"),
                          ("trigger", "trigger"), ("snapshot-unreadable", "consumer"),
                          ("record-not-understood", "error")):  # fmt: skip
            bench.nonsense = True
            bench.append("event", event_body(code, **{key: f"x{number}"}))
    shown = views.summary(bench.elements.fold.state)
    assert (len(shown["alarms"]), shown["open"], shown["more"]) == (100, 126, 26)


def test_alarms_survive_a_restart() -> None:
    bench = opened()
    lost(bench)
    take(bench, "A-00001", "acknowledge")
    again = Elements(ElementsSettings())
    again.restore(bench.elements.snapshot())
    assert again.fold.state.alarms == bench.elements.fold.state.alarms
