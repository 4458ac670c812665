"""Hand-entered readings through command line, door and the real daemon, up to the detector's event."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from gateway.site import load_site
from tests.support.cli_site import ADMINISTRATOR, OPERATOR, OTHER, Site, site, until
from tests.support.commanding import PIN
from tests.support.daemon import records_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["site"]

REGISTRY = """
[[equipment]]
id = "eq-cal-1"
instrument = "cal-1"
serial = "CP-7"
identifies = false
channels = ["length"]

[[method]]
id = "length"
code = "WI-77"
edition = "2026"
measurands = ["length"]
required_elements = ["measurement"]

[[method.manual]]
channel = "length"
unit = "mm"

[[method.results]]
quantity = "length"
formula = "mean(x)"
unit = "mm"

[[method.results.inputs]]
name = "x"
channel = "length"
unit = "mm"
"""


@pytest.fixture(scope="module")
def task(site: Site, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("registry") / "caliper.toml"
    file.write_text(REGISTRY, encoding="utf-8")
    imported = site.as_person(ADMINISTRATOR, "registry", "import", file)
    assert imported.code == 0, imported.err
    started = site.as_person(
        OPERATOR, "task", "start", "--method", "length", "--instrument", "cal-1", "--sample", "V-0001",
        "--json",
    )  # fmt: skip
    assert started.code == 0, started.err
    return str(started.json["result"]["task"])


def enter(site: Site, task: str, *more: str, person: str = OPERATOR, **options: str) -> Any:
    return site.as_person(
        person, "task", "enter", task, "cal-1.length", *more, "--reason", "no line", **options
    )


def shown(site: Site, task: str) -> Any:
    return site.run("task", "show", task, "--json").json


def test_from_the_first_entry_to_the_detectors_event(site: Site, task: str, tmp_path: Path) -> None:
    photo = tmp_path / "display.jpg"
    photo.write_bytes(b"a photograph")
    first = enter(site, task, "12.50", "mm", "--photo", str(photo))
    assert first.code == 0, first.err
    assert f"cal-1.length = 12.50 mm entered for {task} (record " in first.out
    assert enter(site, task, "125.5", "mm", "--json").code == 0
    one, other = shown(site, task)["entries"]
    assert (one["text"], one["unit"], one["actor"]["how"]) == ("12.50", "mm", "pin")
    assert one["photo_sha256"] == hashlib.sha256(b"a photograph").hexdigest()

    corrected = site.as_person(
        OPERATOR, "task", "correct", task, str(other["seq"]), "12.55", "mm", "--reason", "point misplaced"
    )  # fmt: skip
    assert corrected.code == 0, corrected.err
    assert site.as_person(OPERATOR, "task", "stop", task).code == 0
    until(lambda: shown(site, task)["results"], "the result is there")
    told = site.run("task", "show", task).out
    assert "length = 12.525 mm" in told
    assert "corrected by record" in told

    def evidence() -> list[Any]:
        records = records_of(load_site(site.config).state.journal)
        return [each.body for each in records if each.body.get("code") == "evidence-manual-share"]

    (event,) = until(evidence, "the detector tells of it")
    assert event["args"]["task"] == task
    assert (event["args"]["count"], event["args"]["read"]) == (2, 0)
    entries = shown(site, task)["entries"]
    assert event["args"]["seqs"] == [each["seq"] for each in entries if each["replaced_by"] is None]

    record = shown(site, task)["results"][0]["seq"]
    again = site.run("result", "recompute", str(record))
    assert again.code == 0, again.err


def test_another_person_is_refused_and_no_pin_is_not_sent(site: Site, task: str) -> None:
    outcome = enter(site, task, "1", "mm", person=OTHER)
    assert outcome.code == 1
    assert "refused (not-operator)" in outcome.err
    assert enter(site, task, "1", "mm", pin="").code == 2
    assert "wrong-secret" in enter(site, task, "1", "mm", pin=PIN[::-1]).err


def test_a_wrong_unit_says_what_to_do(site: Site, task: str) -> None:
    outcome = enter(site, task, "1", "cm")
    assert outcome.code == 1
    assert "entered in mm" in outcome.err
    assert "do not convert in the head" in outcome.err
    assert enter(site, task, "1,5", "mm").code == 1


def test_a_photograph_that_is_not_there_is_74(site: Site, task: str, tmp_path: Path) -> None:
    assert enter(site, task, "1", "mm", "--photo", str(tmp_path / "none.jpg")).code == 74
