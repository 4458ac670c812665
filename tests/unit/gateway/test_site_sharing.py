"""A site with many equal instruments is held once, and a long file is read without an index of its places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from config import ConfigInvalid, toml_positions
from gateway.site import load, load_site

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.site import LoadedSite

HEAD = '[site]\nlab = "lab"\ngateway = "gw"\nstate_dir = "state"\n'
INSTRUMENT = """
[[instrument]]
id = "{id}"
driver = "modbus-tcp"
host = "{id}.example"
"""
CHANNEL = """
[[instrument.channels]]
name = "{name}"
address = {address}
type = "float32"
qc.range = {{ fail_low = 0.0, fail_high = {high} }}
"""


def written(folder: Path, *instruments: str) -> LoadedSite:
    path = folder / "gateway.toml"
    path.write_text(HEAD + "".join(instruments), encoding="utf-8")
    return load_site(path)


def instrument(name: str, *, first: str = "t", high: float = 100.0) -> str:
    channels = [
        CHANNEL.format(name=first, address=0, high=high),
        CHANNEL.format(name="h", address=2, high=90.0),
    ]
    return INSTRUMENT.format(id=name) + "".join(channels)


def test_equal_channels_are_one_and_what_differs_stays_apart(tmp_path: Path) -> None:
    site = written(tmp_path, instrument("a"), instrument("b"), instrument("c", high=50.0))
    a, b, c = site.settings.instrument
    assert a.channels is b.channels
    assert (a.id, b.id, b.endpoint) == ("a", "b", "tcp:b.example:502")
    assert a.channels[0] != c.channels[0]
    assert c.channels[0].qc == {"range": {"fail_low": 0.0, "fail_high": 50.0}}


def test_channels_that_differ_in_name_alone_share_their_rules(tmp_path: Path) -> None:
    site = written(tmp_path, instrument("a"), instrument("b", first="temperature"))
    a, b = site.settings.instrument
    assert [channel.name for channel in b.channels] == ["temperature", "h"]
    assert a.channels[0].qc is b.channels[0].qc


def test_sharing_changes_no_setting(tmp_path: Path) -> None:
    alone = [written(tmp_path, instrument(name)).settings.instrument[0] for name in ("a", "b")]
    both = written(tmp_path, instrument("a"), instrument("b")).settings.instrument
    assert list(both) == alone
    assert [one.model_dump(exclude_unset=True) for one in both] == [
        one.model_dump(exclude_unset=True) for one in alone
    ]


def test_what_is_recorded_and_checked_of_shared_channels_is_said_of_each_instrument(tmp_path: Path) -> None:
    site = written(tmp_path, instrument("a"), instrument("b"))
    first, second = site.summary()["instruments"]
    assert (first["id"], second["id"]) == ("a", "b")
    assert first["channels"] == second["channels"]
    assert site.qc()["a"] == site.qc()["b"]
    with pytest.raises(ConfigInvalid) as invalid:
        written(tmp_path, instrument("a", high=-1.0), instrument("b", high=-1.0))
    assert len(invalid.value.findings) == 2, "each instrument's own table is told"


def test_the_places_of_a_file_without_findings_are_never_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(_scanner: object) -> None:
        raise AssertionError("a long file takes several times its memory and time to index")

    monkeypatch.setattr(toml_positions._Scanner, "scan", unwanted)
    assert written(tmp_path, instrument("a")).warnings == ()
    with pytest.raises(AssertionError):
        written(tmp_path, instrument("a", high=-1.0))


def test_a_site_that_no_record_can_hold_is_refused_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "SMALL_BYTES", 0)
    assert written(tmp_path, instrument("a")).warnings == ()
    monkeypatch.setattr(load, "RECORD_BYTES_MAX", load.ENVELOPE_BYTES + 276)
    with pytest.raises(ConfigInvalid) as invalid:
        written(tmp_path, *(instrument(f"i{n}") for n in range(5)))
    (finding,) = invalid.value.findings
    assert finding.code == "E013"
    assert finding.message.startswith("what is recorded at a start of these 10 channels takes ")
    assert finding.hint == "about 2 like these fit: divide the instruments among 5 gateways"
