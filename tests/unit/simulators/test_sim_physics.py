"""The simulated world is a pure function of seed and time."""

import math
import statistics
from collections.abc import Sequence
from itertools import pairwise

import pytest

from simulators import noise
from simulators.clock import to_ns
from simulators.fault_board import UNDISTURBED
from simulators.instruments.balance import Balance, BalanceSettings, LoadStep
from simulators.instruments.energy_meter import EnergyMeter, EnergyMeterSettings
from simulators.instruments.pressure import PressureSettings, PressureTransmitter
from simulators.instruments.temperature_humidity import TemperatureHumidity, TemperatureHumiditySettings
from simulators.instruments.vessel import Vessel, VesselSettings
from simulators.modbus.device import ModbusInstrument

VESSEL = Vessel(VesselSettings(id="v"))
LOADS = (LoadStep(at_s=3.0, load_g=100.00005), LoadStep(at_s=9.0, load_g=0.0))


def instruments(seed: int) -> list[ModbusInstrument]:
    return [
        TemperatureHumidity(TemperatureHumiditySettings(), "SIM-A", seed),
        EnergyMeter(EnergyMeterSettings(), "SIM-B", seed),
        PressureTransmitter(PressureSettings(vessel="v"), VESSEL, "SIM-C", seed),
    ]


def test_same_seed_same_world_in_any_order_of_asking() -> None:
    times = [to_ns(0.02 * i) for i in range(500)]
    for one, two in zip(instruments(5), instruments(5), strict=True):
        forward = [one.measure(t, UNDISTURBED, one.defaults) for t in times]
        backward = [two.measure(t, UNDISTURBED, two.defaults) for t in reversed(times)]
        assert forward == backward[::-1]


def test_another_seed_is_another_world() -> None:
    for one, two in zip(instruments(5), instruments(6), strict=True):
        assert one.measure(0, UNDISTURBED, one.defaults) != two.measure(0, UNDISTURBED, two.defaults)


def test_noise_is_standard_normal_and_uniform() -> None:
    normal = [noise.gauss(42, i) for i in range(20_000)]
    assert statistics.fmean(normal) == pytest.approx(0.0, abs=0.03)
    assert statistics.pstdev(normal) == pytest.approx(1.0, abs=0.03)
    even = [noise.uniform(42, i) for i in range(20_000)]
    assert min(even) >= 0.0
    assert max(even) < 1.0
    assert statistics.fmean(even) == pytest.approx(0.5, abs=0.02)
    assert len(noise.noise_bytes(42, 0, 13)) == 13


def test_two_gauges_on_one_vessel_see_the_same_pressure() -> None:
    one = PressureTransmitter(PressureSettings(vessel="v", noise_mpa=0.0), VESSEL, "SIM-1", 1)
    two = PressureTransmitter(PressureSettings(vessel="v", noise_mpa=0.0), VESSEL, "SIM-2", 1)
    for t_ns in (0, to_ns(10.0), to_ns(3600.0)):
        assert one.pressure_mpa(t_ns) == two.pressure_mpa(t_ns)


def test_the_hold_curve_falls_with_the_leak() -> None:
    vessel = Vessel(VesselSettings(id="v", leak_mpa_per_h=0.05, settling_mpa=0.0))
    fall = vessel.pressure_mpa(0) - vessel.pressure_mpa(to_ns(3600.0))
    assert fall == pytest.approx(0.05, rel=1e-2)


def test_raw_codes_at_50_hz_never_repeat_for_long() -> None:
    gauge = PressureTransmitter(PressureSettings(vessel="v"), VESSEL, "SIM-1", 1)
    codes = [gauge.measure(to_ns(0.02 * i), UNDISTURBED, gauge.defaults)["raw_code"] for i in range(3000)]
    assert max(_runs(codes)) <= 2


def _runs(codes: Sequence[object]) -> list[int]:
    runs = [1]
    for before, after in pairwise(codes):
        if before == after:
            runs[-1] += 1
        else:
            runs.append(1)
    return runs


def test_energy_is_the_integral_of_the_power() -> None:
    meter = EnergyMeter(EnergyMeterSettings(energy_start_kwh=0.0), "SIM-1", 1)
    step_s = 0.01
    total_ws = sum(meter.load_w(to_ns((i + 0.5) * step_s)) * step_s for i in range(6000))
    assert meter.energy_kwh(to_ns(60.0)) == pytest.approx(total_ws / 3.6e6, rel=1e-8)


def test_the_pan_settles_to_the_load_and_back_and_repeats() -> None:
    balance = Balance(BalanceSettings(loads=LOADS, repeat_s=30.0, noise_g=0.0), "SIM-1", 1)
    for cycle in (0, 1, 2, 5, 100_000):
        begin = to_ns(30.0) * cycle
        assert balance.pan_g(begin + to_ns(2.9)) == pytest.approx(0.0, abs=1e-9)
        assert balance.pan_g(begin + to_ns(8.9)) == pytest.approx(100.00005, abs=1e-9)
        assert not balance.is_at_rest(begin + to_ns(3.5))
        assert balance.is_at_rest(begin + to_ns(6.5))
        assert not balance.is_at_rest(begin + to_ns(9.5))
        assert balance.is_at_rest(begin + to_ns(13.0))


def test_the_pan_moves_without_a_jump() -> None:
    balance = Balance(BalanceSettings(loads=LOADS, repeat_s=10.0, noise_g=0.0), "SIM-1", 1)
    weights = [balance.pan_g(to_ns(0.01 * i)) for i in range(3500)]
    steps = [abs(b - a) for a, b in pairwise(weights)]
    assert max(steps) < 5.0


def test_an_empty_timeline_is_an_empty_pan() -> None:
    balance = Balance(BalanceSettings(noise_g=0.0, repeat_s=5.0), "SIM-1", 1)
    assert balance.pan_g(to_ns(12.0)) == 0.0
    assert balance.next_print_ns(0) is None


def test_print_key_times_repeat_with_the_timeline() -> None:
    balance = Balance(BalanceSettings(print_key_s=(2.0, 4.0), repeat_s=10.0), "SIM-1", 1)
    assert balance.next_print_ns(0) == to_ns(2.0)
    assert balance.next_print_ns(to_ns(2.0)) == to_ns(4.0)
    assert balance.next_print_ns(to_ns(4.0)) == to_ns(12.0)
    once = Balance(BalanceSettings(print_key_s=(2.0,)), "SIM-1", 1)
    assert once.next_print_ns(to_ns(2.0)) is None


def test_humidity_stays_within_its_scale() -> None:
    wet = TemperatureHumidity(
        TemperatureHumiditySettings(humidity_pct=100.0, humidity_noise_pct=5.0), "SIM-1", 1
    )
    assert all(0.0 <= wet.humidity_pct(to_ns(float(i))) <= 100.0 for i in range(200))
    assert not math.isnan(wet.temperature_c(0))


def test_a_load_put_on_by_hand_takes_the_place_of_the_timeline_until_the_balance_is_rewound() -> None:
    balance = Balance(BalanceSettings(loads=LOADS, noise_g=0.0, repeat_s=30.0), "SIM-B", 1)
    scheduled = [balance.pan_g(to_ns(t_s)) for t_s in (5.0, 20.0, 40.0)]
    balance.put(to_ns(6.0), 20.0)
    assert balance.pan_g(to_ns(5.0)) == scheduled[0]
    assert not balance.is_at_rest(to_ns(6.2))
    assert balance.is_at_rest(to_ns(12.0))
    assert balance.pan_g(to_ns(12.0)) == pytest.approx(20.0, abs=1e-9)
    assert balance.pan_g(to_ns(40.0)) == pytest.approx(20.0, abs=1e-9)
    for number in range(200):
        balance.put(to_ns(50.0 + number), 1.0 + number % 2)
    assert balance.pan_g(to_ns(260.0)) == pytest.approx(2.0, abs=1e-9)
    balance.rewind()
    assert [balance.pan_g(to_ns(t_s)) for t_s in (5.0, 20.0, 40.0)] == scheduled
