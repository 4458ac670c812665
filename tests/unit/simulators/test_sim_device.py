"""Function codes and register maps, byte for byte."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.exchange import ChannelValue
from simulators.fault_board import UNDISTURBED, FaultBoard
from simulators.instruments.energy_meter import FIELDS, EnergyMeter, EnergyMeterSettings
from simulators.instruments.pressure import PressureSettings, PressureTransmitter
from simulators.instruments.temperature_humidity import TemperatureHumidity, TemperatureHumiditySettings
from simulators.instruments.vessel import Vessel, VesselSettings
from simulators.modbus.device import ModbusDevice, ModbusInstrument
from simulators.modbus.framing import rtu_frame
from simulators.modbus.registers import ByteOrder, Field, Kind, RegisterMap, decode, encode
from tests.support.simulated import STILL_AIR

ORDERS: tuple[ByteOrder, ...] = ("ABCD", "BADC", "CDAB", "DCBA")


def device_of(instrument: ModbusInstrument) -> ModbusDevice:
    return ModbusDevice(instrument, FaultBoard("x", instrument.quantities, 1))


def room(**settings: float) -> ModbusDevice:
    return device_of(TemperatureHumidity(TemperatureHumiditySettings(**(STILL_AIR | settings)), "SIM-1", 1))


def gauge(byte_order: ByteOrder = "ABCD") -> ModbusDevice:
    settings = PressureSettings(vessel="v", byte_order=byte_order)
    return device_of(PressureTransmitter(settings, Vessel(VesselSettings(id="v")), "SIM-2", 1))


def meter(**settings: float) -> ModbusDevice:
    return device_of(EnergyMeter(EnergyMeterSettings(**settings), "SIM-3", 1))


def ask(device: ModbusDevice, pdu: str, t_ns: int = 0) -> bytes:
    return device.execute(bytes.fromhex(pdu), t_ns).pdu


def test_temperature_and_humidity_as_published_for_the_xy_md02() -> None:
    outcome = room().execute(bytes.fromhex("0400010002"), 0)
    assert rtu_frame(1, outcome.pdu) == bytes.fromhex("01 04 04 01 31 02 22 2A CE")
    assert outcome.values == {"temperature": 30.5, "humidity": 54.6}


def test_negative_temperature_as_published_for_the_xy_md02() -> None:
    assert ask(room(temperature_c=-20.5), "0400010001") == bytes.fromhex("0402ff33")


def test_address_zero_of_the_xy_md02_is_refused_as_published() -> None:
    assert rtu_frame(1, ask(room(), "0400000001")) == bytes.fromhex("01 84 02 C2 C1")


def test_voltage_as_published_for_the_sdm630() -> None:
    outcome = meter(voltage_v=230.5, voltage_noise_v=0.0).execute(bytes.fromhex("0400000002"), 0)
    assert rtu_frame(1, outcome.pdu) == bytes.fromhex("01 04 04 43 66 80 00 6F DF")
    assert outcome.values == {"voltage_l1": 230.5}


def test_sdm630_answers_80_registers_and_refuses_81() -> None:
    assert len(ask(meter(), "0400000050")) == 2 + 160
    assert ask(meter(), "0400000051") == bytes.fromhex("8403")


def test_sdm630_parameters_are_where_the_manual_has_them() -> None:
    places = {field.channel: field.address for field in FIELDS}
    assert len(places) == len(FIELDS)
    assert places["power_l3"] == 0x10
    assert places["power_total"] == 0x34
    assert places["frequency"] == 0x46
    assert places["energy_import"] == 0x48
    assert places["voltage_l1_l2"] == 0xC8
    assert places["energy_total"] == 0x156


def test_sdm630_totals_agree_with_their_phases() -> None:
    values = meter().instrument.measure(10_000_000_000, UNDISTURBED, {})
    powers = [values[f"power_l{i}"] for i in (1, 2, 3)]
    assert sum(p for p in powers if p is not None) == pytest.approx(values["power_total"])


def test_pressure_and_raw_code_agree_in_every_byte_order() -> None:
    for order in ORDERS:
        outcome = gauge(order).execute(bytes.fromhex("0400000005"), 7_000_000)
        data = outcome.pdu[2:]
        index = ["ABCD".index(letter) for letter in order]
        pressure = struct.unpack(">f", bytes(data[i] for i in index))[0]
        code = struct.unpack(">i", bytes(data[4 + i] for i in index))[0]
        assert outcome.values == {"pressure": pressure, "raw_code": code, "status": 0}
        assert pressure == pytest.approx(code * 70.0 / 2**23, rel=1e-7)


def test_half_a_float_is_sent_but_not_noted_as_a_value() -> None:
    outcome = gauge().execute(bytes.fromhex("0400010001"), 0)
    assert len(outcome.pdu) == 4
    assert outcome.values == {}


@pytest.mark.parametrize(
    ("pdu", "answer"),
    [
        ("0700", "8701"),
        ("0400000000", "8403"),
        ("040000007e", "8403"),
        ("04ffff0002", "8402"),
        ("0400", "8403"),
        ("2b0e0500", "ab03"),
        ("2b0d0100", "ab01"),
        ("2b0e0477", "ab02"),
    ],
)
def test_impossible_requests_are_refused_with_the_right_exception(pdu: str, answer: str) -> None:
    assert ask(gauge(), pdu) == bytes.fromhex(answer)


def test_tables_that_a_product_lacks_are_an_illegal_function() -> None:
    assert ask(meter(), "0100000001") == bytes.fromhex("8101")


def test_coils_and_registers_can_be_written_and_read_back() -> None:
    device = gauge()
    assert ask(device, "050000ff00") == bytes.fromhex("050000ff00")
    assert ask(device, "0100000001") == bytes.fromhex("010101")
    assert ask(device, "0f000000010100") == bytes.fromhex("0f00000001")
    assert ask(device, "0100000001") == bytes.fromhex("010100")
    assert ask(device, "0600000064") == bytes.fromhex("0600000064")
    assert ask(device, "1000000001020065") == bytes.fromhex("1000000001")
    assert ask(device, "0300000001") == bytes.fromhex("03020065")
    assert ask(device, "0200000003") == bytes.fromhex("020100")


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("050000ff01", 3),
        ("0500010000", 2),
        ("060000ffff", 3),
        ("0f000000020100", 2),
        ("0f00000001020000", 3),
        ("1000000001030065aa", 3),
        ("10000000000000", 3),
    ],
)
def test_impossible_writes_are_refused_and_change_nothing(pdu: str, code: int) -> None:
    device = gauge()
    before = dict(device.written)
    assert ask(device, pdu) == bytes((int(pdu[:2], 16) | 0x80, code))
    assert device.written == before


def test_a_write_of_several_cells_is_all_or_nothing() -> None:
    device = room()
    assert ask(device, "10010300020400647fff") == bytes.fromhex("9003")
    assert device.written["temperature_correction"] == 0


def test_a_written_correction_shifts_the_reading() -> None:
    device = room()
    assert ask(device, "060103fff6") == bytes.fromhex("060103fff6")
    assert device.execute(bytes.fromhex("0400010001"), 0).values == {"temperature": 29.5}


def test_device_identification_says_that_it_is_simulated() -> None:
    answer = ask(gauge(), "2b0e0300")
    assert answer[:7] == bytes((0x2B, 0x0E, 3, 0x83, 0, 0, 6))
    rest, objects = answer[7:], {}
    while rest:
        objects[rest[0]] = rest[2 : 2 + rest[1]].decode("ascii")
        rest = rest[2 + rest[1] :]
    assert objects == {
        0: "Yaosu Simulator",
        1: "Pressure transmitter",
        2: "1.0",
        4: "Pressure transmitter",
        5: "SIM-P70",
        0x80: "SIM-2",
    }
    assert ask(gauge(), "2b0e0480")[-5:] == b"SIM-2"
    assert ask(gauge(), "2b0e0100")[6] == 3


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.sampled_from(ORDERS))
def test_float32_is_carried_bit_for_bit(value: float, order: ByteOrder) -> None:
    field = Field("x", "input", 0, "float32")
    assert decode(field, encode(field, value, order), order) == value


@given(st.integers(-(2**40), 2**40))
def test_integers_saturate_clear_of_their_sentinels(value: int) -> None:
    kinds: tuple[Kind, ...] = ("int16", "uint16", "int32")
    for kind in kinds:
        field = Field("x", "input", 0, kind)
        carried = decode(field, encode(field, value))
        assert carried is not None
        assert encode(field, carried) == encode(field, value)


@pytest.mark.parametrize(
    ("kind", "raw"), [("int16", "8000"), ("uint16", "ffff"), ("int32", "80000000"), ("float32", "7fc00000")]
)
def test_no_value_is_a_sentinel_on_the_wire_and_nothing_in_the_log(kind: Kind, raw: str) -> None:
    field = Field("x", "input", 0, kind)
    assert encode(field, None) == bytes.fromhex(raw)
    assert decode(field, bytes.fromhex(raw)) is None


def test_any_cut_of_a_map_equals_the_cut_of_the_whole() -> None:
    fields = [
        Field("a", "input", 0, "float32"),
        Field("b", "input", 2, "int16"),
        Field("c", "input", 3, "int32"),
    ]
    registers = RegisterMap(fields)
    values: dict[str, ChannelValue] = {"a": 1.5, "b": -7, "c": 123456}
    whole = registers.read(registers.span("input", 0, 5), values)[0]
    for begin, end in itertools.combinations(range(6), 2):
        cut, _ = registers.read(registers.span("input", begin, end - begin), values)
        assert cut == whole[2 * begin : 2 * end]
