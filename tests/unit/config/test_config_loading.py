"""What a good file gives, what checks report, and how the base model and its types behave."""

import datetime as dt
import hashlib
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, Strict, ValidationError

from config import (
    Check,
    ConfigInvalid,
    CredentialRef,
    CredentialUnavailableError,
    Exit,
    Loaded,
    Report,
    Settings,
    load_toml,
)
from config.catalogue import CATALOGUE
from config.model import CREDENTIAL_BYTES_MAX, FilePath, Identifier, Instant, Seconds, Text
from config.validation import did_you_mean


class Order(StrEnum):
    BIG = "big"
    LITTLE = "little"


class Item(Settings):
    id: Identifier
    points: tuple[tuple[float, float], ...] = ()


class Limits(Settings):
    kind: Literal["limits"] = "limits"
    from_: float = Field(alias="from")


class Site(Settings):
    lab: Identifier
    """Id of the laboratory."""
    period_s: Seconds = 1
    at: Instant | None = None
    folder: FilePath = Path("/var/lib")
    order: Annotated[Order, Strict(strict=False)] = Order.BIG
    item: tuple[Item, ...] = ()
    limits: Limits | None = None


GOOD = """\
lab = "l"
period_s = 2
at = 2026-03-01T08:00:00+08:00
folder = "data"
order = "little"
[[item]]
id = "a"
points = [[0, 1], [1.5, 2]]
[[item]]
id = "a"
"""


def load(tmp_path: Path, text: str, *checks: Check[Site]) -> Loaded[Site]:
    file = tmp_path / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return load_toml(file, Site, checks)


def unique_ids(site: Site, report: Report) -> None:
    seen: set[str] = set()
    for index, item in enumerate(site.item):
        if item.id in seen:
            report.error("E021", ("item", index, "id"), f"item id '{item.id}' is used twice", "rename one")
        seen.add(item.id)


def slow_period(site: Site, report: Report) -> None:
    if site.period_s > 1:
        report.warning("E020", ("period_s",), "readings will be far apart")


def test_a_good_file_becomes_frozen_settings_with_the_hash_of_its_bytes(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD)
    assert loaded.value.item[0].points == ((0.0, 1.0), (1.5, 2.0))
    assert loaded.value.at == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    assert loaded.value.folder == Path("data")
    assert loaded.value.order is Order.LITTLE
    assert type(loaded.value.period_s) is float
    assert loaded.sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    assert loaded.path == tmp_path / "gateway.toml"
    assert loaded.positions.value(("item", 1, "id")) == (10, 6)
    assert loaded.warnings == ()
    assert hash(loaded.value) == hash(load(tmp_path, GOOD).value)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    assert load(tmp_path, '\ufefflab = "l"\n').positions.key(("lab",)) == (1, 1)


def test_checks_report_by_path_and_every_check_is_heard(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, GOOD, unique_ids, slow_period)
    file = tmp_path / "gateway.toml"
    assert [str(found) for found in caught.value.findings] == [
        f"{file}:2:12: warning[E020]: readings will be far apart",
        f"{file}:10:6: error[E021]: item id 'a' is used twice — rename one",
    ]
    assert [found.code for found in caught.value.errors] == ["E021"]


def test_warnings_alone_stop_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path, GOOD, slow_period)
    assert [str(found) for found in loaded.warnings] == [
        f"{loaded.path}:2:12: warning[E020]: readings will be far apart"
    ]


def test_checks_do_not_run_on_a_file_of_the_wrong_shape(tmp_path: Path) -> None:
    def never(_: Site, report: Report) -> None:
        report.error("E020", (), "must not be heard")

    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, "lab = 1\n", never)
    assert [found.code for found in caught.value.findings] == ["E011"]


def test_an_aliased_key_is_known_by_the_spelling_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        load(tmp_path, 'lab = "l"\n[limits]\nfrmo = 1\n')
    assert [found.hint for found in caught.value.findings] == ["add 'from = …'", "did you mean 'from'?"]
    assert load(tmp_path, 'lab = "l"\n[limits]\nfrom = 1\n').value.limits == Limits.model_validate(
        {"from": 1}
    )


def test_did_you_mean_stays_silent_where_nothing_is_near() -> None:
    assert did_you_mean("pol_interval", ["poll_interval", "port"]) == "did you mean 'poll_interval'?"
    assert did_you_mean("zebra", ["poll_interval", "port"]) is None


class TestSettings:
    def test_are_frozen(self) -> None:
        with pytest.raises(ValidationError, match="frozen"):
            Text(en="a", zh="b").en = "c"  # type: ignore[misc]

    def test_check_their_defaults(self) -> None:
        class Wrong(Settings):
            period_s: Seconds = 0

        with pytest.raises(ValidationError, match="greater than 0"):
            Wrong()

    def test_refuse_mutable_fields_where_the_class_is_written(self) -> None:
        with pytest.raises(TypeError, match=r"Wrong\.names: settings are immutable"):

            class Wrong(Settings):
                names: dict[str, list[str]] | None = None

    def test_take_an_enum_and_a_set_where_the_field_says_so(self) -> None:
        class Loose(Settings):
            orders: Annotated[frozenset[Annotated[Order, Strict(strict=False)]], Strict(strict=False)] = (
                frozenset()
            )

        assert Loose.model_validate({"orders": ["big", "little"]}).orders == {Order.BIG, Order.LITTLE}

    def test_describe_their_fields_by_docstrings(self) -> None:
        assert Site.model_fields["lab"].description == "Id of the laboratory."

    def test_never_repeat_a_value_in_an_exception(self) -> None:
        with pytest.raises(ValidationError) as caught:
            Site.model_validate({"lab": "hunter2 HUNTER2"})
        assert "hunter2" not in str(caught.value)


class TestCredential:
    REF = CredentialRef(credential="mqtt-password")

    def secret(self, folder: Path, raw: bytes = b"s3cret\n", mode: int = 0o600) -> Path:
        file = folder / "mqtt-password"
        file.write_bytes(raw)
        file.chmod(mode)
        return file

    def test_comes_from_the_service_manager_first(self, tmp_path: Path) -> None:
        granted, folder = tmp_path / "granted", tmp_path / "folder"
        granted.mkdir()
        folder.mkdir()
        self.secret(granted, b"first\n", 0o440)
        self.secret(folder, b"second\n")
        environment = {"CREDENTIALS_DIRECTORY": str(granted)}
        assert self.REF.resolve(folder, environment=environment) == b"first\n"
        assert self.REF.resolve_text(folder, environment=environment) == "first"

    def test_comes_from_a_private_file_otherwise(self, tmp_path: Path) -> None:
        self.secret(tmp_path)
        assert self.REF.resolve_text(tmp_path, environment={}) == "s3cret"
        missing = {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}
        assert self.REF.resolve_text(tmp_path, environment=missing) == "s3cret"

    def test_open_to_others_is_refused(self, tmp_path: Path) -> None:
        file = self.secret(tmp_path, mode=0o640)
        with pytest.raises(CredentialUnavailableError, match="mode 0640") as caught:
            self.REF.resolve(tmp_path, environment={})
        assert caught.value.hint == f"chmod 600 {file}"

    @pytest.mark.parametrize("raw", [b"", b"x" * (CREDENTIAL_BYTES_MAX + 1)])
    def test_empty_or_huge_is_refused(self, tmp_path: Path, raw: bytes) -> None:
        self.secret(tmp_path, raw)
        with pytest.raises(CredentialUnavailableError, match="empty or above 65536 bytes"):
            self.REF.resolve(tmp_path, environment={})

    def test_missing_says_where_to_write_it(self, tmp_path: Path) -> None:
        with pytest.raises(CredentialUnavailableError, match="write the secret to"):
            self.REF.resolve(tmp_path, environment={})

    def test_without_a_folder_says_how_to_pass_it(self) -> None:
        with pytest.raises(CredentialUnavailableError, match="LoadCredential=mqtt-password:FILE"):
            self.REF.resolve(environment={})

    def test_a_pipe_in_its_place_does_not_hang_the_start(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "mqtt-password", 0o600)
        with pytest.raises(CredentialUnavailableError, match="not a regular file"):
            self.REF.resolve(tmp_path, environment={})

    def test_bytes_are_not_taken_for_text(self, tmp_path: Path) -> None:
        self.secret(tmp_path, b"\xff\xfe")
        assert self.REF.resolve(tmp_path, environment={}) == b"\xff\xfe"
        with pytest.raises(CredentialUnavailableError, match="not UTF-8"):
            self.REF.resolve_text(tmp_path, environment={})

    @pytest.mark.parametrize("name", ["../shadow", "/etc/shadow", ".", "", "a/b", "a\n"])
    def test_a_name_never_leaves_its_folder(self, name: str) -> None:
        with pytest.raises(ValidationError):
            CredentialRef(credential=name)


def test_codes_of_the_catalogue_are_never_renamed_or_removed() -> None:
    published = {
        "E001": "file cannot be read",
        "E002": "file is not UTF-8",
        "E003": "not valid TOML",
        "E010": "missing key",
        "E011": "wrong type",
        "E012": "unknown key",
        "E013": "out of range",
        "E014": "malformed text",
        "E015": "not one of the allowed values",
        "E016": "wrong number of items",
        "E017": "date-time without offset",
        "E018": "secret in the file",
        "E019": "invalid value",
        "E020": "settings contradict one another",
        "E021": "duplicate name",
        "E022": "overlapping serial port or address",
        "E023": "impossible limits",
        "E024": "expired or impossible date",
        "E025": "reference to something unknown",
        "E026": "credential not available",
        "E027": "network port claimed twice",
        "E028": "file or device not found",
    }
    assert {code: CATALOGUE[code].title.en for code in published} == published
    assert list(CATALOGUE) == sorted(CATALOGUE)


def test_exit_codes_are_those_of_sysexits() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": os.EX_OK,
        "FINDINGS": 1,
        "USAGE": 2,
        "UNAVAILABLE": os.EX_UNAVAILABLE,
        "IO": os.EX_IOERR,
        "RETRY": os.EX_TEMPFAIL,
        "CONFIG": os.EX_CONFIG,
    }
