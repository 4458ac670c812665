"""Changes of who is believed: told in the record, with whoever signed them, at the next start or at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.edge.config_history import ConfigHistory
from gateway.edge.state import StateFolder
from gateway.persons import Directory
from gateway.trust import ServiceTokens, TrustedKeys
from gateway.trust.history import CHANGED, FOUND, SIGNED, UNSIGNED
from gateway.trust.watch import PERSONS, TrustWatch, files_of
from pipeline.records.events import event_body, render_event
from pipeline.records.signing import key_id
from tests.unit.gateway.paper import PaperJournal

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = bytes(range(32)), bytes(range(32, 64))


class Gateway:
    """A watch on a state folder, with a journal on paper."""

    def __init__(self, folder: Path) -> None:
        self.state = StateFolder(folder)
        self.journal = PaperJournal()
        self.start()

    def start(self, known: bytes | None = None) -> None:
        self.history = ConfigHistory()
        if known is not None:
            self.history.restore(known)
        self.watch = TrustWatch(files_of(self.state), self.journal, self.history.trust)  # type: ignore[arg-type]

    @property
    def told(self) -> list[dict[str, Any]]:
        return [record.body for record in self.journal.records]

    async def look(self, name: str = "trusted-keys") -> dict[str, Any] | None:
        before = len(self.told)
        await self.watch.look(name)
        new = self.told[before:]
        assert len(new) <= 1
        return new[0] if new else None


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path)


async def test_what_is_there_at_the_first_start_is_told_once_and_nothing_of_nothing(gateway: Gateway) -> None:
    await gateway.watch.look_at_all()
    assert gateway.told == []
    TrustedKeys(gateway.state.trusted_keys).trust(ONE)
    gateway.start()
    await gateway.watch.look_at_all()
    (found,) = gateway.told
    assert found["code"] == FOUND
    assert found["args"]["added"] == {key_id(ONE): "collector"}
    gateway.start(gateway.history.snapshot())
    await gateway.watch.look_at_all()
    assert len(gateway.told) == 1, "a start tells only what changed"


async def test_a_change_while_no_daemon_ran_is_told_at_the_next_start_with_the_hashes(
    gateway: Gateway,
) -> None:
    keys = TrustedKeys(gateway.state.trusted_keys)
    keys.trust(ONE)
    await gateway.watch.look_at_all()
    known = gateway.history.snapshot()
    keys.trust(OTHER, "lims", "hospital")
    keys.distrust(key_id(ONE))
    gateway.start(known)
    await gateway.watch.look_at_all()
    first, second = gateway.told
    assert (second["code"], second["severity"]) == (UNSIGNED, "alarm")
    assert second["args"]["before"] == first["args"]["after"]
    assert second["args"]["added"] == {key_id(OTHER): "lims hospital"}
    assert second["args"]["removed"] == {key_id(ONE): "collector"}
    for language, word in (("en", "nobody signed it"), ("zh", "无人签署")):
        text = render_event(second, language)  # type: ignore[arg-type]
        assert word in text
        assert f"+ {key_id(OTHER)} (lims hospital); - {key_id(ONE)} (collector)" in text


async def test_a_signed_change_names_who_signed_it_and_only_for_that_very_content(gateway: Gateway) -> None:
    keys = TrustedKeys(gateway.state.trusted_keys)

    def sign(before: str, after: str) -> None:
        body = event_body(SIGNED, file="trusted-keys", before=before, after=after, by="p-1")
        gateway.history.see(gateway.journal.append("event", body))

    keys.file.announce = sign
    keys.trust(ONE)
    told = await gateway.look()
    assert told is not None
    assert (told["code"], told["args"]["by"]) == (CHANGED, "p-1")
    keys.file.announce = None
    keys.trust(OTHER)
    told = await gateway.look()
    assert told is not None
    assert (told["code"], told["args"]["by"]) == (UNSIGNED, "")


async def test_a_refused_signature_changes_nothing(gateway: Gateway) -> None:
    keys = TrustedKeys(gateway.state.trusted_keys)

    def refuse(_before: str, _after: str) -> None:
        raise PermissionError("refused")

    keys.file.announce = refuse
    with pytest.raises(PermissionError):
        keys.trust(ONE)
    assert not gateway.state.trusted_keys.exists()
    assert await gateway.look() is None


async def test_a_new_token_of_a_name_is_told_without_the_token(gateway: Gateway) -> None:
    tokens = ServiceTokens(gateway.state.service_tokens)
    first = tokens.issue("hospital", "lims")
    await gateway.look("service-tokens")
    second = tokens.issue("hospital", "lims")
    told = await gateway.look("service-tokens")
    assert told is not None
    ((was, now),) = told["args"]["changed"].values()
    assert was != now
    assert was.startswith("lims, token ")
    text = str(gateway.told)
    assert first not in text
    assert second not in text


async def test_persons_are_told_by_id_and_role_and_never_by_name(gateway: Gateway) -> None:
    directory = Directory(gateway.state.persons)
    directory.add("p-1", "秦望舒", ("administrator",), "correct horse", "482913")
    await gateway.watch.look_at_all()
    actor = {"person": "p-1", "how": "password"}
    directory.set_password("p-1", "battery staple", "")
    await gateway.watch.look(PERSONS, actor)
    found, changed = gateway.told
    assert found["args"]["added"]["p-1"].startswith("administrator, secrets ")
    assert (changed["code"], changed["args"]["by"], changed["actor"]) == (CHANGED, "p-1", actor)
    assert "秦望舒" not in str(gateway.told)
    directory.learn_names({"customer": "somebody"})
    assert await gateway.look(PERSONS) is None, "a name is no matter of trust"


async def test_a_file_that_cannot_be_read_is_told_as_such(gateway: Gateway) -> None:
    TrustedKeys(gateway.state.trusted_keys).trust(ONE)
    await gateway.look()
    gateway.state.trusted_keys.write_bytes(b"{")
    told = await gateway.look()
    assert told is not None
    assert told["args"]["believed"] == {"?": "unreadable"}


async def test_a_change_that_found_no_room_is_told_when_there_is_room(gateway: Gateway) -> None:
    TrustedKeys(gateway.state.trusted_keys).trust(ONE)
    gateway.journal.room_left = 0
    assert await gateway.look() is None
    gateway.journal.room_left = None
    assert await gateway.look() is not None
