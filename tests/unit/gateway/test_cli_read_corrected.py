"""`read` shows what a registered correction makes of the reading, on a real socket and a real journal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from gateway.site import load_site
from pipeline.corrections import Correction
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import ChannelQualification, Equipment, Metrology
from pipeline.journal import Journal
from tests.support.commanding import yaosu
from tests.support.scripted import mbap, registers_pdu, tcp_instrument

if TYPE_CHECKING:
    from pathlib import Path

SITE = (
    '[site]\nlab = "lab"\ngateway = "gw"\npurpose = "rehearsal"\nstate_dir = "state"\n'
    '[[instrument]]\nid = "meter"\ndriver = "modbus-tcp"\nhost = "127.0.0.1"\nport = {port}\n'
    'source = "simulated"\n[[instrument.channels]]\nname = "voltage"\ntable = "input"\naddress = 10\n'
    'type = "float32"\nunit = "V"\n'
)


def answers(data: bytes) -> list[tuple[float, bytes]]:
    """230.5 V."""
    return [(0.0, mbap(int.from_bytes(data[:2], "big"), data[6], registers_pdu(4, [0x4366, 0x8000])))]


async def register(site: Path, unit: str, high: float) -> None:
    loaded = load_site(site)
    channel = ChannelQualification("voltage", "V", 0.0, 300.0, 0.1, 2.0, correction="COR-1")
    equipment = Equipment("meter", metrology=Metrology("calibration", "C-1", channels=(channel,)))
    correction = Correction("EQ-1", "voltage", "C-1", "offset", 0.0, high, unit, -0.25)
    journal = await Journal.open(loaded.state.journal, loaded.settings.journal, purpose="rehearsal")
    try:
        for kind, name, data in (("equipment", "EQ-1", equipment), ("correction", "COR-1", correction)):
            body = {
                "type": kind, "id": name, "valid_from_ns": 0, "valid_to_ns": None, "recorded_at_ns": 0,
                "data": to_body(data), "actor": {},
            }  # fmt: skip
            journal.append("registry", body, source="simulated")
        await journal.wait_durable(journal.head_seq - 1)
    finally:
        await journal.close()


@pytest.mark.parametrize(
    ("unit", "high", "corrected", "by"),
    [("V", 300.0, 230.25, "COR-1@"), ("mV", 300.0, None, "unit"), ("V", 230.0, None, "COR-1@")],
)
async def test_the_corrected_value_stands_beside_the_reading(
    tmp_path: Path, unit: str, high: float, corrected: float | None, by: str
) -> None:
    site = tmp_path / "gateway.toml"
    async with tcp_instrument(answers) as device:
        site.write_text(SITE.format(port=device.port))
        bare = await asyncio.to_thread(yaosu, "read", "-c", site, "meter", "--json")
        await register(site, unit, high)
        told = await asyncio.to_thread(yaosu, "read", "-c", site, "meter", "--json")
        shown = await asyncio.to_thread(yaosu, "read", "-c", site, "meter")
    [before], [after] = bare.json["channels"], told.json["channels"]
    assert (before["value"], before["corrected"], before["correction"]) == (230.5, None, "")
    assert (after["value"], after["corrected"]) == (230.5, corrected)
    assert after["correction"].startswith(by)
    assert "corrected" in shown.out
