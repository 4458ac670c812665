"""The gateway follows a witness from key to key; what is stolen, late, forked or of a stranger is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from gateway.edge.config_history import ConfigHistory
from gateway.edge.recorder import Recorder
from gateway.edge.witnessing import Witnessing
from gateway.trust.history import TrustHistory
from pipeline.elements import Elements
from pipeline.evidence.cosignature import cosign, vkey, witness_key
from pipeline.journal import Journal, JournalSettings
from pipeline.journal.succession import WITNESS_KIND, succession_note
from pipeline.records.events import render_event
from tests.support.paper_log import ORIGIN, signing_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.records import Record
    from pipeline.records.signing import SigningKey

NAME = "witness.example/w1"
FIRST, SECOND, THIRD, THIEF = map(signing_key, (50, 51, 52, 53))
T_S = 1_800_000_000


class Bench:
    """A gateway that seals when told, and witnesses who speak to it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.history = ConfigHistory()
        self.latest: Record | None = None
        self.pinned = [FIRST]
        self.recorder = Recorder(journal, Elements(), {}, "live")
        self.start()

    def start(self) -> None:
        self.witnessing = Witnessing(
            self.recorder, lambda: self.latest, self.journal.consistency_proof,
            lambda: {
                vkey(witness_key(NAME, one.public)): (witness_key(NAME, one.public), "Institute")
                for one in self.pinned
            },
            self.history.trust,
        )  # fmt: skip

    async def seal(self) -> int:
        self.recorder.append("event", {"code": "x", "args": {}})
        await self.journal.wait_durable(self.journal.head_seq - 1)
        self.latest = self.journal.checkpoint()
        assert self.latest is not None
        await self.journal.wait_durable(self.latest.seq)
        return int(self.latest.body["size"])

    async def ask(self, key: SigningKey, *notes: str) -> str:
        """Ask as a witness does; returns the refusal, or nothing where it got a proof."""
        question = {"key": vkey(witness_key(NAME, key.public)), "old": 0, "new": 1, "changes": notes}
        answer = await self.witnessing.answer(orjson.dumps(question))
        assert answer is not None
        return str(orjson.loads(answer)["error"]) if answer.startswith(b"{") else ""

    async def bring(self, key: SigningKey, note: str | None = None) -> int:
        """Bring a cosignature of the latest checkpoint; returns how many are recorded now."""
        assert self.latest is not None
        note = str(self.latest.body["note"]) if note is None else note
        text = note.rpartition("\n\n")[0] + "\n"
        await self.witnessing.answer((note + cosign(text, NAME, key, T_S)).encode())
        return len(await self.of("cosignature"))

    async def of(self, kind: str) -> list[Record]:
        if self.journal.head_seq:
            await self.journal.wait_durable(self.journal.head_seq - 1)
        return [record for record in await self.journal.read(0, bytes_max=2**24) if record.kind == kind]

    async def told(self) -> list[str]:
        return [str(record.body["code"]) for record in await self.of("event") if record.body["code"] != "x"]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    journal = await Journal.open(tmp_path, JournalSettings(), purpose="production", origin=ORIGIN)
    yield Bench(journal)
    await journal.close()


def note(old: SigningKey, new: SigningKey) -> str:
    return succession_note(NAME, old, new)


async def test_a_change_is_recorded_once_and_the_new_key_is_heard_once_it_is_sealed(bench: Bench) -> None:
    await bench.seal()
    assert await bench.ask(FIRST) == ""
    for _ in range(2):
        assert "not sealed yet" in await bench.ask(SECOND, note(FIRST, SECOND))
    (change,) = await bench.of(WITNESS_KIND)
    assert change.body == {"note": note(FIRST, SECOND)}
    assert await bench.told() == ["witness-key-changed"]
    await bench.seal()
    assert await bench.ask(SECOND, note(FIRST, SECOND)) == ""
    assert await bench.bring(SECOND) == 1


async def test_what_the_old_key_cosigned_of_less_comes_late_and_counts(bench: Bench) -> None:
    await bench.seal()
    assert bench.latest is not None
    early = str(bench.latest.body["note"])
    await bench.ask(SECOND, note(FIRST, SECOND))
    await bench.seal()
    assert await bench.bring(FIRST, early) == 1
    assert await bench.told() == ["witness-key-changed"]


async def test_a_stolen_key_that_was_given_up_is_refused_and_raises_an_alarm_once(bench: Bench) -> None:
    await bench.ask(SECOND, note(FIRST, SECOND))
    await bench.seal()
    for _ in range(2):
        assert "was given up" in await bench.ask(FIRST)
        assert await bench.bring(FIRST) == 0
    events = [
        record.body for record in await bench.of("event") if record.body["code"] == "witness-key-misused"
    ]
    assert len(events) == 2
    assert "given up" in events[0]["args"]["reason"]
    assert "not in force there" in events[1]["args"]["reason"]
    assert all(NAME in render_event(body, language) for body in events for language in ("en", "zh"))


async def test_a_second_successor_of_one_key_is_refused_and_raises_an_alarm(bench: Bench) -> None:
    await bench.ask(SECOND, note(FIRST, SECOND))
    await bench.seal()
    assert "two successors" in await bench.ask(THIEF, note(FIRST, THIEF))
    assert await bench.bring(THIEF) == 0
    assert len(await bench.of(WITNESS_KIND)) == 1
    assert await bench.told() == ["witness-key-changed", "witness-key-misused"]


async def test_a_successor_that_the_believed_key_has_not_signed_is_refused(bench: Bench) -> None:
    await bench.seal()
    assert "does not know" in await bench.ask(THIEF, note(THIRD, THIEF))
    lines = note(FIRST, THIEF).splitlines()
    forged = "\n".join([*lines[:4], note(SECOND, THIEF).splitlines()[4], lines[5], ""])
    assert "is not signed by the old key" in await bench.ask(THIEF, forged)
    assert await bench.of(WITNESS_KIND) == []


async def test_a_gateway_that_missed_changes_records_them_in_their_order(bench: Bench) -> None:
    await bench.ask(THIRD, note(FIRST, SECOND), note(SECOND, THIRD))
    assert [one.body["note"] for one in await bench.of(WITNESS_KIND)] == [
        note(FIRST, SECOND), note(SECOND, THIRD)
    ]  # fmt: skip
    await bench.seal()
    assert await bench.ask(THIRD) == ""
    assert "was given up" in await bench.ask(SECOND)


async def test_a_witness_pinned_by_a_later_key_is_heard_from_the_beginning(bench: Bench) -> None:
    bench.pinned = [SECOND]
    await bench.seal()
    assert await bench.ask(SECOND, note(FIRST, SECOND)) == ""
    assert await bench.of(WITNESS_KIND) == []
    assert "not sealed yet" in await bench.ask(THIRD, note(FIRST, SECOND), note(SECOND, THIRD))


async def test_changes_outlast_a_start_and_end_with_the_trust_in_the_first_key(bench: Bench) -> None:
    await bench.ask(SECOND, note(FIRST, SECOND))
    await bench.seal()
    saved = bench.history.snapshot()
    bench.history = ConfigHistory()
    bench.history.restore(saved)
    bench.start()
    assert await bench.ask(SECOND) == ""
    replayed = ConfigHistory()
    for record in await bench.of(WITNESS_KIND):
        replayed.see(record)
    assert replayed.snapshot() == bench.history.snapshot()
    bench.pinned = []
    assert "does not know" in await bench.ask(SECOND, note(FIRST, SECOND))


async def test_a_key_pinned_anew_under_a_name_that_had_others_stands_alone(bench: Bench) -> None:
    await bench.ask(SECOND, note(FIRST, SECOND))
    await bench.seal()
    bench.pinned = [FIRST, THIRD]
    assert await bench.ask(THIRD) == ""
    assert "takes a new name" in await bench.ask(THIEF, note(THIRD, THIEF))
    assert await bench.bring(THIRD) == 1


def test_a_snapshot_from_before_witnesses_could_change_their_keys_is_taken_up() -> None:
    history = TrustHistory()
    history.restore([{"persons": ["aa", {"p-1": "operator"}]}, {"persons": ["bb", "p-2"]}])
    assert history.known == {"persons": ("aa", {"p-1": "operator"})}
    assert history.witness_keys == {}
    assert len(history.snapshot()) == 3
