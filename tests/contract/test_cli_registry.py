"""Registry, tasks and holds on the command line of a running daemon: then, now, and when refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.demo.site import REGISTRY
from tests.support.cli_site import ADMINISTRATOR, OPERATOR, OTHER, held, site
from tests.support.commanding import yaosu

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_site import Site

__all__ = ["held", "site"]


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

    def test_a_correction_is_shown_with_its_certificate_and_points(self, site: Site) -> None:
        shown = site.run("registry", "show", "correction", "COR-002-T").out
        assert "certificate: JZ-2026-0201" in shown
        assert "reading = 20.2, correction = -0.2, uncertainty = 0.2" in shown

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
