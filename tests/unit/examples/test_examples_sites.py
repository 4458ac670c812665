"""Every site file that we ship as an example is one that the program takes without a word."""

from pathlib import Path

import pytest

from gateway.site import load_site
from tests.support.tree import ROOT

FOLDER = ROOT / "config" / "examples"
SITES = sorted(FOLDER.glob("*.toml"))


@pytest.mark.parametrize("path", SITES, ids=lambda path: path.stem)
def test_an_example_has_no_finding(path: Path) -> None:
    assert load_site(path).warnings == ()


def test_the_usual_examples_are_there() -> None:
    assert {path.stem for path in SITES} >= {"gateway", "minimal", "collector", "influx"}


def test_the_template_of_init_shows_every_driver() -> None:
    drivers = {instrument.driver for instrument in load_site(FOLDER / "gateway.toml").settings.instrument}
    assert drivers == {"modbus-rtu", "modbus-tcp", "mtsics"}


def _uncommented(text: str) -> str:
    """Return the file with its commented defaults and tables put in force; prose stays a comment."""
    lines = []
    for line in text.splitlines():
        body = line.removeprefix("# ")
        setting = body.split(" = ")[0].replace("_", "").isalnum() and " = " in body
        lines.append(body if line.startswith("# ") and (setting or body.startswith("[")) else line)
    return "\n".join(lines)


@pytest.mark.parametrize("name", ["gateway", "collector"])
def test_commented_settings_are_known_ones(name: str, tmp_path: Path) -> None:
    text = (FOLDER / f"{name}.toml").read_text(encoding="utf-8")
    before, marker, after = text.partition("# An InfluxDB in its place:")
    alternative, rest = after.split("\n\n", 1) if marker else ("", "")
    path = tmp_path / f"{name}.toml"
    path.write_text(_uncommented(before + "\n" + rest), encoding="utf-8")
    assert load_site(path).warnings == ()
    if alternative:
        site, _, others = before.partition("[store]")
        path.write_text(site + _uncommented(alternative), encoding="utf-8")
        assert others
        assert load_site(path).settings.store is not None
