"""A gateway whose collectors are not trusted says so; once one is, what had waited is receipted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.simulation.run import play

if TYPE_CHECKING:
    from tests.simulation.faults import Excuse
    from tests.simulation.run import Scene


def test_a_gateway_that_refuses_receipts_is_degraded_until_the_collector_is_trusted() -> None:
    seen: list[dict[str, Any]] = []

    async def story(scene: Scene) -> list[Excuse]:
        def look() -> None:
            assert scene.gateway.daemon is not None
            seen.append(scene.gateway.daemon.services.status(settled=True))

        await asyncio.sleep(5.0)
        look()
        pinned = scene.gateway.site.state.trusted_keys.read_bytes()
        scene.gateway.site.state.trusted_keys.unlink()
        await asyncio.sleep(5.0)
        look()
        scene.gateway.site.state.trusted_keys.write_bytes(pinned)
        await asyncio.sleep(90.0)
        look()
        return []

    outcome = play(5, story, periods_s=(1.0,))
    assert not outcome.findings, outcome.report()
    assert [status["state"] for status in seen] == ["ok", "degraded", "ok"]
    assert [status["publisher"]["refusing"] for status in seen] == [False, True, False]
    assert "not trusted" in seen[1]["publisher"]["receipt_error"]
