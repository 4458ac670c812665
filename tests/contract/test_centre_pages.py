"""A centre: what a gateway published, a collector stored; pages over that, and no gateway behind them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx

from dashboard import WebSettings
from dashboard.app import build_dashboard
from pipeline.elements.lookback.report import look_backs
from pipeline.mqtt import MqttSettings
from pipeline.store import Origin
from tests.support.collecting import collecting, embedded_store, key_of, publishing
from tests.support.journal_fake import JournalInMemory
from tests.unit.dashboard.laboratory import quality_bench

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.store import Store
    from tests.support.services import Mosquitto

ORIGIN = Origin("lab", "one")


async def pages(store: Store, *paths: str) -> list[str]:
    application = build_dashboard(
        store=store, door=None, origin=ORIGIN, settings=WebSettings.model_validate({"anonymous_role": "lab"})
    )
    transport: Any = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8420") as client:
        answers = [await client.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [200] * len(paths)
    return [answer.text for answer in answers]


async def test_a_centre_shows_alarms_batches_charts_and_look_backs_without_a_gateway(
    mosquitto: Mosquitto, tmp_path: Path
) -> None:
    bench, journal = quality_bench(), JournalInMemory()
    for record in bench.records:
        assert journal.append(record.kind, dict(record.body)).seq == record.seq
    (known,) = look_backs(bench.elements.fold.state)
    mqtt, key = (
        MqttSettings(host=mosquitto.host, port=mosquitto.port, republish_first_s=1.0),
        key_of(tmp_path),
    )
    async with (
        embedded_store(tmp_path) as store,
        collecting(mqtt, tmp_path, store),
        publishing(mqtt, journal, {key.id: key.public}),
    ):
        await journal.all_receipted()
        alarms, batch, chart, lookback, task = await pages(
            store, "/alarms", "/batches/B%201%2F26", "/charts/C-1", f"/lookbacks/{known['lookback']}",
            "/tasks/00010203-00008",
        )  # fmt: skip
    shown = set(re.findall(r'data-alarm="(A-\d+)"', alarms))
    assert shown == {one.id for one in bench.elements.fold.state.alarms.items.values() if one.is_open}
    assert "blank" in batch
    assert "1-3s" in chart
    assert "+3.50" in chart
    assert "00010203-00008" in lookback
    assert known["lookback"] in task
    for page in (alarms, batch, chart, lookback):
        assert 'id="kept"' in page
        assert 'id="act"' not in page
