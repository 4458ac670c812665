"""What stands in the place of a live instrument comes and goes, and the gateway crashes: nothing is lost or
doubled, no simulated row is in the production journal and no live one in the other."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from gateway.trust import TrustedWitnesses
from pipeline.evidence.cosignature import vkey, witness_key
from pipeline.journal.succession import succession_note
from pipeline.records.frame import decode_frame
from tests.simulation.faults import ACCEPT_S, Excuse
from tests.simulation.run import play
from tests.support.paper_log import signing_key

if TYPE_CHECKING:
    from drivers.door import Found
    from pipeline.records import Record
    from tests.simulation.run import Scene

FOUND: tuple[Found, ...] = ("simulator", "pty", "")


def codes_of(records: list[Record]) -> list[str]:
    return [record.body["code"] for record in records if record.kind == "event"]


def test_rows_go_aside_while_a_simulator_stands_in_and_come_back_after_it() -> None:
    seen: list[Record] = []
    rows: list[dict[str, Any]] = []

    async def story(scene: Scene) -> list[Excuse]:
        first, _ = scene.instruments
        await asyncio.sleep(5.0)
        assert scene.gateway.daemon is not None
        assert scene.gateway.daemon._beside is not None
        assert scene.gateway.daemon._beside.services is None, "it costs nothing while it is not wanted"
        assert not scene.gateway.site.state.beside.root.exists()
        await first.swap("simulator", 2.0)
        await asyncio.sleep(10.0)
        await first.swap("", 2.0)
        await asyncio.sleep(5.0)
        rows.append(scene.gateway.daemon.services.status(settled=True)["rehearsal"])
        return []

    outcome = play(11, story, (0.25, 1.0), seen.extend, "production")
    assert not outcome.findings, outcome.report()
    codes = codes_of(seen)
    for code in ("rows-to-rehearsal", "rows-from-production", "rows-to-rehearsal-end"):
        assert codes.count(code) == 1
    gaps = [r.body for r in seen if r.kind == "gap" and r.body["cause"] == "rehearsal" and r.body["ended"]]
    there = [
        r.body for r in seen if r.kind == "gap" and r.body["cause"] != "rehearsal" and r.source != "live"
    ]
    ended = next(r.body["args"] for r in seen if r.body.get("code") == "rows-to-rehearsal-end")
    frames = [decode_frame(r.body) for r in seen if r.kind == "data" and r.source == "simulated"]
    assert rows[0]["rows"] == ended["rows"] == sum(len(frame.block) for frame in frames)
    polls = {request_ns for frame in frames for request_ns in frame.block.t_request_ns.tolist()}
    assert sum(gap["polls"] for gap in gaps) == len(polls) + sum(g["polls"] for g in there if g["ended"])


@pytest.mark.parametrize("number", range(3))
def test_a_crash_at_any_moment_of_a_swap_loses_and_doubles_nothing(
    number: int, pytestconfig: pytest.Config
) -> None:
    seed = Random(f"{pytestconfig.getoption('--hypothesis-seed')} {number}").getrandbits(16)

    async def story(scene: Scene) -> list[Excuse]:
        chance, excuses = scene.chances[7], list[Excuse]()
        for turn in range(6):
            instrument = chance.choice(scene.instruments)
            await instrument.swap(FOUND[turn % 3] if turn else "simulator", chance.uniform(0.1, 3.0))
            await asyncio.sleep(chance.choice([0.02, 0.3, 3.0]) * chance.random())
            power = chance.random() < 0.6
            now_s = asyncio.get_running_loop().time()
            excuses.append(Excuse(now_s - ACCEPT_S, now_s))
            await scene.gateway.crash(power=power)
            scene.outcome.history.append(f"{now_s:.3f} {instrument.name} {instrument.found!r} power={power}")
            if chance.random() < 0.5:
                others = [one for one in scene.instruments if one is not instrument]
                await others[0].swap(chance.choice(FOUND), 0.1)
            await asyncio.sleep(chance.uniform(0.0, 5.0))
            scene.gateway.start()
            await asyncio.sleep(chance.uniform(0.0, 8.0))
        return excuses

    outcome = play(seed, story, (0.1, 0.5), purpose="production")
    assert not outcome.findings, f"seed {seed}\n{outcome.report()}"


def test_the_rehearsal_log_follows_a_witness_to_its_new_key_across_a_crash() -> None:
    name, (old, new) = "witness.example/w1", map(signing_key, (60, 61))
    keys = [vkey(witness_key(name, one.public)) for one in (old, new)]
    told: list[str] = []

    async def ask(scene: Scene, key: str) -> None:
        assert scene.gateway.daemon is not None
        assert scene.gateway.daemon._beside is not None
        services = scene.gateway.daemon._beside.services
        assert services is not None
        question = {"key": key, "old": 0, "new": 1, "changes": [succession_note(name, old, new)]}
        answer = await services._witnessing.answer(json.dumps(question).encode())
        assert answer is not None
        told.append(json.loads(answer)["error"] if answer.startswith(b"{") else "")

    async def story(scene: Scene) -> list[Excuse]:
        TrustedWitnesses(scene.gateway.site.state.trusted_witnesses).trust(keys[0], "Institute")
        await scene.instruments[0].swap("simulator", 2.0)
        await asyncio.sleep(10.0)
        await ask(scene, keys[1])
        await asyncio.sleep(10.0)
        now_s = asyncio.get_running_loop().time()
        await scene.gateway.crash(power=True)
        scene.gateway.start()
        await asyncio.sleep(10.0)
        await ask(scene, keys[1])
        await ask(scene, keys[0])
        return [Excuse(now_s - ACCEPT_S, now_s)]

    outcome = play(12, story, (0.25, 1.0), purpose="production")
    assert not outcome.findings, outcome.report()
    assert "not sealed yet" in told[0]
    assert told[1] == "", "the new key speaks from its record on"
    assert "was given up" in told[2]
