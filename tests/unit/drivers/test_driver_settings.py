"""Settings: samples load, mistakes are found, instruments that cannot stand side by side are named."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import drivers
from drivers import DRIVERS, InstrumentSettings, find_conflicts, open_drivers
from drivers.errors import Fatal, NoAnswer
from drivers.modbus.channel import ModbusChannel
from drivers.modbus.line_settings import ModbusRtuSettings, ModbusTcpSettings
from drivers.mtsics.settings import MtsicsSettings
from tests.support.scripted import RealClock, seeded

FOLDER = Path(drivers.__file__).parent
SAMPLES = sorted(FOLDER.glob("*/sample.toml"))


def load(path: Path) -> list[InstrumentSettings]:
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["instrument"]
    return [DRIVERS[table["driver"]].settings.model_validate(table) for table in tables]


def test_every_driver_has_a_sample() -> None:
    shown = {settings.driver for sample in SAMPLES for settings in load(sample)}
    assert shown == set(DRIVERS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.parent.name)
def test_samples_load_and_their_drivers_can_be_made(sample: Path) -> None:
    settings = load(sample)
    made = open_drivers(settings, RealClock(), seeded())
    assert [driver.describe().instrument for driver in made] == [one.id for one in settings]
    for one, driver in zip(settings, made, strict=True):
        description = driver.describe()
        assert (description.driver, description.endpoint) == (one.driver, one.endpoint)
        assert description.identity is None
        assert description.layout.channels


def test_the_defaults_shown_in_samples_are_the_defaults() -> None:
    for sample in SAMPLES:
        text = sample.read_text(encoding="utf-8")
        shown = [
            line[2:].split("#")[0] for line in text.splitlines() if line.startswith("# ") and " = " in line
        ]
        fields = {
            name: field.default
            for settings in load(sample)
            for name, field in type(settings).model_fields.items()
            if not field.is_required()
        }
        for line in shown:
            ((name, default),) = tomllib.loads(line).items()
            assert fields[name] == default, line


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"type": "float64", "address": 65533}, "beyond the last address"),
        ({"type": "bool"}, "needs both"),
        ({"type": "uint16", "bit": 3}, "needs both"),
        ({"type": "uint16", "table": "coil"}, "one bit"),
        ({"type": "bool", "table": "coil", "bit": 1}, "one bit"),
        ({"type": "bool", "bit": 1, "scale": 2.0}, "no scale"),
        ({"type": "int16", "sentinels": [0x10000]}, "does not fit"),
        ({"low": 5.0, "high": 5.0}, "not below"),
        ({"order": "DABC"}, "order"),
        ({"adress": 3}, "adress"),
        ({"scale": float("nan")}, "finite"),
    ],
)
def test_mistakes_in_a_channel_are_found(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        ModbusChannel.model_validate({"name": "v", "address": 0, **table})


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({}, "serial port or at a host"),
        ({"serial_port": "/dev/tty", "host": "balance"}, "serial port or at a host"),
        ({"host": "balance", "channels": [{"name": "mass"}]}, "no channel 'mass'"),
        ({"host": "balance", "channels": [{"name": "weight"}, {"name": "weight"}]}, "defined twice"),
    ],
)
def test_mistakes_in_a_balance_are_found(table: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        MtsicsSettings.model_validate({"id": "b", **table})


def rtu(name: str, unit: int, **other: Any) -> ModbusRtuSettings:
    channels = [{"name": "v", "address": 0}]
    return ModbusRtuSettings.model_validate(
        {"id": name, "port": "/dev/bus", "unit": unit, "channels": channels, **other}
    )


def tcp(name: str, unit: int) -> ModbusTcpSettings:
    channels = [{"name": "v", "address": 0}]
    return ModbusTcpSettings.model_validate({"id": name, "host": "plc", "unit": unit, "channels": channels})


@pytest.mark.parametrize(
    ("instruments", "codes"),
    [
        ([rtu("a", 1), rtu("b", 2), tcp("c", 1), tcp("d", 2)], []),
        ([rtu("a", 1), rtu("a", 2)], ["E021"]),
        ([rtu("a", 1), rtu("b", 1)], ["E022"]),
        ([rtu("a", 1), rtu("b", 2, baudrate=19200)], ["E022"]),
        ([rtu("a", 1), rtu("b", 2, parity="E")], ["E022"]),
        ([tcp("a", 1), tcp("b", 1)], ["E022"]),
        ([rtu("a", 1), MtsicsSettings.model_validate({"id": "b", "serial_port": "/dev/bus"})], ["E022"]),
        ([MtsicsSettings.model_validate({"id": name, "host": "balance"}) for name in ("a", "b")], ["E022"]),
    ],
)
def test_conflicts_are_found_and_stop_a_start(
    instruments: list[InstrumentSettings], codes: list[str]
) -> None:
    conflicts = find_conflicts(instruments)
    assert [conflict.code for conflict in conflicts] == codes
    if codes:
        assert conflicts[0].position == 1
        with pytest.raises(Fatal):
            open_drivers(instruments, RealClock(), seeded())


def test_two_names_of_one_port_are_one_line(tmp_path: Path) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/null")
    assert rtu("a", 1, port=str(link)).endpoint == rtu("b", 2, port="/dev/null").endpoint


def test_an_error_names_its_place_and_what_to_do() -> None:
    error = NoAnswer("no answer in time", instrument="ph", endpoint="tcp:plc:502", hint="check power")
    assert str(error) == "ph at tcp:plc:502: no answer in time (check power)"
