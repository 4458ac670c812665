"""The lab-side directory of persons."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from gateway.persons import AuthenticationError, Directory, PersonsError, UncheckedError

if TYPE_CHECKING:
    from pathlib import Path

PASSWORD, PIN = "correct horse", "482913"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("persons") / "persons.json"
    Directory(path).add("p-0001", "陈静", ("administrator", "signatory"), PASSWORD, PIN)
    return path


def test_a_person_is_known_by_password_and_by_pin_after_reopening(path: Path) -> None:
    directory = Directory(path)
    assert directory.authenticate("p-0001", PASSWORD).roles == ("administrator", "signatory")
    assert directory.authenticate("p-0001", PIN, pin=True).name == "陈静"


@pytest.mark.parametrize(
    ("person", "secret", "pin"),
    [("p-0001", "wrong", False), ("p-0001", PASSWORD, True), ("p-9", PASSWORD, False), ("p-0001", "", False)],
)
def test_anything_else_is_refused_in_the_same_words(path: Path, person: str, secret: str, pin: bool) -> None:
    with pytest.raises(AuthenticationError, match=r"^person and password do not match$"):
        Directory(path).authenticate(person, secret, pin=pin)


def test_a_machine_that_cannot_compute_it_says_neither_right_nor_wrong(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short_of_threads(_hasher: PasswordHasher, _hash: str, _secret: str) -> bool:
        raise VerificationError("Threading failure")

    monkeypatch.setattr(PasswordHasher, "verify", short_of_threads)
    with pytest.raises(UncheckedError, match="Threading failure"):
        Directory(path).authenticate("p-0001", PASSWORD)


def test_a_disabled_person_stays_on_file_and_out(path: Path) -> None:
    directory = Directory(path)
    directory.add("p-0002", "李明", ("operator",), PASSWORD)
    directory.disable("p-0002")
    with pytest.raises(AuthenticationError):
        Directory(path).authenticate("p-0002", PASSWORD)
    assert {person.id for person in Directory(path).persons()} >= {"p-0001", "p-0002"}


def test_the_file_is_closed_to_others_and_holds_no_secret(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text(encoding="utf-8")
    assert PASSWORD not in text
    assert PIN not in text
    assert "$argon2id$" in text


def test_a_file_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "persons.json"
    Directory(path).add("p-1", "x", ("operator",), PASSWORD)
    path.chmod(0o644)
    with pytest.raises(PersonsError, match="chmod 600"):
        Directory(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "persons.json"
    path.write_text('{"persons": [')
    path.chmod(0o600)
    with pytest.raises(PersonsError, match="damaged"):
        Directory(path)


@pytest.mark.parametrize(
    ("roles", "password", "pin", "problem"),
    [
        (("operator",), "short", "", "8 characters"),
        (("operator",), PASSWORD, "12ab", "6 digits"),
        (("king",), PASSWORD, "", "not king"),
        ((), PASSWORD, "", "not none"),
    ],
)
def test_weak_secrets_and_unknown_roles_are_refused(
    tmp_path: Path, roles: tuple[str, ...], password: str, pin: str, problem: str
) -> None:
    with pytest.raises(PersonsError, match=problem):
        Directory(tmp_path / "p.json").add("p-1", "x", roles, password, pin)  # type: ignore[arg-type]


def test_names_learnt_from_a_registry_are_kept(path: Path) -> None:
    Directory(path).learn_names({"c-0001": "客户甲"})
    assert Directory(path).names()["c-0001"] == "客户甲"


@pytest.mark.parametrize("person", ["", "林晓禾", "Lin Xiaohe", "-x", "p\n", "p" * 65])
def test_an_id_is_a_code_and_never_a_name(tmp_path: Path, person: str) -> None:
    with pytest.raises(PersonsError, match="no name may stand"):
        Directory(tmp_path / "p.json").add(person, "x", ("operator",), PASSWORD)


def test_a_change_that_cannot_be_written_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = Directory(path)
    before = path.read_bytes()

    def full(*_args: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.persons.directory.write_durably", full)
    for change in (
        lambda: directory.add("p-0009", "x", ("operator",), PASSWORD),
        lambda: directory.set_password("p-0001", "another password"),
        lambda: directory.disable("p-0001"),
        lambda: directory.learn_names({"c-0009": "x"}),
    ):
        with pytest.raises(OSError, match="No space"):
            change()
    assert directory.find("p-0009") is None
    assert "c-0009" not in directory.names()
    assert directory.authenticate("p-0001", PASSWORD).id == "p-0001"
    assert path.read_bytes() == before


def test_changes_from_many_threads_are_all_kept(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "p.json")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: directory.learn_names({f"c-{n}": str(n)}), range(40)))
    assert len(Directory(tmp_path / "p.json").names()) == len(directory.names()) == 40
