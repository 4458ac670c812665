"""Every mistake in a file becomes a finding with its place, its code and what to do next."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from config import ConfigInvalid, CredentialRef, Report, SettingError, Settings, load_toml
from config.catalogue import CATALOGUE
from config.loader import FILE_BYTES_MAX
from config.model import ChannelName, Day, FilePath, Identifier, Instant, Port, Seconds, Text


class Channel(Settings):
    name: ChannelName
    """Name of the channel. It is part of the record."""
    range: tuple[float, float] | None = None
    """Lowest and highest value."""

    @model_validator(mode="after")
    def limits_rise(self) -> "Channel":
        if self.range and self.range[0] >= self.range[1]:
            raise SettingError(
                "E023", "the lower limit is not below the upper", hint="swap them", key="range"
            )
        return self


class Line(Settings):
    port: FilePath
    baud: Literal[9600, 19200] = 9600
    parity: Literal["none", "even", "odd"] = "none"


class Modbus(Settings):
    driver: Literal["modbus"]
    id: Identifier
    poll_interval: Seconds = 1
    """How often to ask."""
    line: Line
    """The serial line of the instrument."""
    channels: Annotated[tuple[Channel, ...], Field(max_length=3)] = ()
    # Spelt like the tag of its own class on purpose: a label in a location is not a key.
    modbus: dict[Identifier, float] = Field(default_factory=dict)


class Balance(Settings):
    driver: Literal["mt-sics"]
    id: Identifier
    due: Day | None = None
    seen: Instant | None = None


class Broker(Settings):
    host: str = "localhost"
    port: Port = 1883
    password: CredentialRef | None = None
    retain: bool = True
    keep: int | bool = 60

    @model_validator(mode="after")
    def host_is_not_a_url(self) -> "Broker":
        if "://" in self.host:
            raise ValueError("host is a name or an address, not a URL")
        return self


class Site(Settings):
    lab: Identifier
    title: Text | None = None
    instrument: tuple[Annotated[Modbus | Balance, Field(discriminator="driver")], ...] = ()
    mqtt: Broker = Broker()
    spare: Annotated[Modbus | Balance, Field(discriminator="driver")] | None = None
    note: str | tuple[int, ...] = ""


Failing = Callable[[str], list[str]]


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failing:
    """Load a text as gateway.toml and give the lines that a person would see."""
    monkeypatch.chdir(tmp_path)

    def load(text: str) -> list[str]:
        Path("gateway.toml").write_text(text, encoding="utf-8", newline="")
        with pytest.raises(ConfigInvalid) as caught:
            load_toml(Path("gateway.toml"), Site)
        return str(caught.value).split("\n")

    return load


def read_cases() -> dict[str, tuple[str, list[str]]]:
    _, *blocks = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8").split("=== ")
    cases = {}
    for block in blocks:
        name, _, rest = block.partition("\n")
        text, _, expected = rest.partition("---\n")
        cases[name] = text, expected.splitlines()
    return cases


CASES = read_cases()


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_told_with_its_place_and_its_remedy(case: str, failing: Failing) -> None:
    text, expected = CASES[case]
    assert failing(text) == [f"gateway.toml:{line}" for line in expected]


def test_every_code_about_syntax_and_shape_has_a_failing_file() -> None:
    shown = {line.partition("error[")[2][:4] for _, expected in CASES.values() for line in expected}
    assert {code for code in CATALOGUE if "E003" <= code < "E020"} <= shown


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('a = "x\n', "a closing quotation mark is missing"),
        ("a = 1\na = 2\n", "it stands twice"),
        ("[a]\n[a]\n", "it stands twice"),
        ("[a\nb = 1\n", "a table is written [name]"),
        ('a = "C:\\Users"\n', "a backslash is written twice"),
        ("a = [1\nb = 2\n", "a closing bracket is missing"),
        ("a 1\n", "write: key = value"),
        ("a = 1,5\n", "a decimal number has a point"),
        ("a = {b = 1,}\n", "no comma stands before a }"),
        ("a = #\n", "a value is a number"),
        ('a = """x\n', "a closing quotation mark is missing"),
    ],
)
def test_what_is_no_toml_is_told_with_what_to_do(text: str, hint: str, failing: Failing) -> None:
    assert hint in failing(text)[0]


def test_a_list_is_not_called_too_short_for_its_wrong_items(tmp_path: Path) -> None:
    class Rack(Settings):
        slot: Annotated[tuple[Channel, ...], Field(min_length=1)]
        line: Line

    file = tmp_path / "g.toml"
    file.write_text("slot = [{}]\n")
    with pytest.raises(ConfigInvalid) as caught:
        load_toml(file, Rack)
    codes = [finding.code for finding in caught.value.findings]
    assert "E016" not in codes
    assert "add the table [line]" in str(caught.value)
    file.write_text("slot = []\n[line]\nport = 'x'\n")
    with pytest.raises(ConfigInvalid, match="at least 1 items, has 0"):
        load_toml(file, Rack)


def test_all_errors_are_told_at_once_in_the_order_of_the_file(failing: Failing) -> None:
    lines = failing(
        'lba = "l"\n\n[[instrument]]\ndriver = "modbus"\nid = "ph"\npol_interval = "1"\n\n'
        '[[instrument]]\ndriver = "x"\n\n[mqtt]\nport = 0\nretain = "yes"\n'
    )
    assert [line.split(" ")[0] + line.split(" ")[1] for line in lines] == [
        "gateway.toml:1:1:error[E010]:",
        "gateway.toml:1:1:error[E012]:",
        "gateway.toml:3:1:error[E010]:",
        "gateway.toml:6:1:error[E012]:",
        "gateway.toml:9:10:error[E015]:",
        "gateway.toml:12:8:error[E013]:",
        "gateway.toml:13:10:error[E011]:",
    ]


def test_values_that_break_the_terminal_are_not_printed_raw(failing: Failing) -> None:
    (line,) = failing('lab = "\\u001b[31m"\n')
    assert "\x1b" not in line


class TestFileThatCannotBeRead:
    def told(self, path: Path) -> str:
        with pytest.raises(ConfigInvalid) as caught:
            load_toml(path, Site)
        (finding,) = caught.value.findings
        return str(finding)

    def test_missing(self, tmp_path: Path) -> None:
        file = tmp_path / "no.toml"
        assert self.told(file) == (
            f"{file}: error[E001]: there is no such file — check the path; yaosu init makes a site file"
        )

    def test_folder(self, tmp_path: Path) -> None:
        assert self.told(tmp_path) == (
            f"{tmp_path}: error[E001]: this is a folder — name the file in it: {tmp_path / 'gateway.toml'}"
        )

    def test_permission(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        assert self.told(Path("g.toml")) == (
            "g.toml: error[E001]: this user may not read the file — see its owner: ls -l g.toml"
        )

    def test_a_path_through_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "f").write_text("")
        assert "E001]: cannot be read: Not a directory" in self.told(tmp_path / "f" / "gateway.toml")

    def test_a_path_with_a_zero_byte(self) -> None:
        assert "E001]: cannot be read: embedded null byte" in self.told(Path("a\0b"))

    def test_too_large(self, tmp_path: Path) -> None:
        file = tmp_path / "g.toml"
        file.write_bytes(b"#" * (FILE_BYTES_MAX + 1))
        assert "error[E001]: is larger than 32 MiB" in self.told(file)

    def test_gbk(self, tmp_path: Path) -> None:
        file = tmp_path / "g.toml"
        file.write_bytes('lab = "l"\n# é:'.encode() + "要素".encode("gbk"))
        assert self.told(file).removeprefix(str(file)) == (
            ":2:6: error[E002]: byte 0xCB is not UTF-8 — save the file as UTF-8 (was it GBK or UTF-16?)"
        )

    def test_nested_without_end(self, tmp_path: Path) -> None:
        file = tmp_path / "g.toml"
        file.write_text("a = " + "[" * 20000 + "]" * 20000)
        assert "1:1: error[E003]: values are nested too deeply" in self.told(file)

    def test_nested_to_any_depth(self, tmp_path: Path) -> None:
        file = tmp_path / "g.toml"
        for depth in range(100, 1000, 7):
            for text in ("a = " + "[" * depth + "]" * depth, "a" + ".b" * depth + " = 1"):
                file.write_text(text)
                with pytest.raises(ConfigInvalid):
                    load_toml(file, Site)

    def test_an_integer_of_many_digits(self, tmp_path: Path) -> None:
        file = tmp_path / "g.toml"
        file.write_text("a = " + "9" * 5000)
        assert "error[E003]" in self.told(file)


def test_a_code_that_is_not_in_the_catalogue_is_our_bug(tmp_path: Path) -> None:
    file = tmp_path / "g.toml"
    file.write_text('lab = "l"\n')

    def check(_: Site, report: Report) -> None:
        report.error("E999", (), "no such code")

    with pytest.raises(AssertionError, match="E999"):
        load_toml(file, Site, [check])
    with pytest.raises(AssertionError, match="E999"):
        SettingError("E999", "no such code")
