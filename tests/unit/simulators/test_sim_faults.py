"""The schedule of faults, and what each physics fault does to a value."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from simulators import faults
from simulators.clock import to_ns
from simulators.errors import ScenarioError
from simulators.fault_board import INJECTED_MAX, Effects, FaultBoard

QUANTITIES = ("pressure", "temperature")


def board_of(*wanted: faults.WireFault | faults.PhysicsFault, seed: int = 1) -> FaultBoard:
    board = FaultBoard("x", QUANTITIES, seed)
    board.schedule(wanted)
    return board


def read(board: FaultBoard, t_s: float, quantities: Sequence[str] = ("pressure",)) -> Effects:
    effects = board.effects(to_ns(t_s), quantities)
    board.count_reading(effects, quantities)
    return effects


def value(board: FaultBoard, t_s: float, quantity: str = "pressure") -> float | None:
    return read(board, t_s, (quantity,)).apply(quantity, to_ns(t_s), lambda t: t / 1e9)


def test_a_window_opens_closes_and_comes_again() -> None:
    board = board_of(faults.NoAnswer(instrument="x", from_s=5.0, to_s=7.0, every_s=60.0))
    hit = [t for t in range(130) if board.wire_fault(to_ns(t)) is not None]
    assert hit == [5, 6, 65, 66, 125, 126]


def test_faults_of_another_instrument_do_nothing() -> None:
    assert board_of(faults.NoAnswer(instrument="y")).wire_fault(0) is None


def test_count_limits_the_hits_of_each_window() -> None:
    board = board_of(faults.Spike(instrument="x", from_s=1.0, to_s=2.0, every_s=10.0, magnitude=5.0))
    values = [value(board, 0.02 * i) for i in range(1000)]
    spikes = [i for i, v in enumerate(values) if v is not None and v > 0.02 * i + 1.0]
    assert spikes == [50, 550]


def test_a_reading_of_another_quantity_does_not_use_a_spike_up() -> None:
    board = board_of(faults.Spike(instrument="x", magnitude=5.0))
    assert value(board, 1.0, "temperature") == 1.0
    assert value(board, 2.0) == 7.0
    assert value(board, 3.0) == 3.0


def test_looking_without_counting_does_not_change_the_outcome() -> None:
    board = board_of(faults.Spike(instrument="x", probability=0.5, count=None, magnitude=5.0))
    for t in range(50):
        looked = board.effects(to_ns(t), ("pressure",))
        assert looked == board.effects(to_ns(t), ("pressure",))
        assert looked == read(board, t)


@pytest.mark.parametrize("kind", ["wire", "physics"])
def test_probability_is_met_and_depends_on_the_seed_alone(kind: str) -> None:
    def hits(seed: int) -> list[bool]:
        if kind == "wire":
            wire = board_of(faults.NoAnswer(instrument="x", probability=0.2), seed=seed)
            return [wire.wire_fault(to_ns(t)) is not None for t in range(2000)]
        physics = board_of(faults.Offset(instrument="x", probability=0.2, step=1.0), seed=seed)
        return [bool(read(physics, t).active) for t in range(2000)]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert sum(hits(1)) == pytest.approx(400, abs=80)


def test_stuck_repeats_the_value_of_its_begin() -> None:
    board = board_of(faults.Stuck(instrument="x", from_s=3.0, to_s=6.0))
    assert [value(board, t) for t in (2.0, 3.0, 4.5, 5.9, 6.0)] == [2.0, 3.0, 3.0, 3.0, 6.0]


def test_drift_offset_and_dropout() -> None:
    assert value(board_of(faults.Drift(instrument="x", from_s=2.0, rate_per_s=10.0)), 4.0) == 24.0
    assert value(board_of(faults.Offset(instrument="x", step=-1.0)), 4.0) == 3.0
    assert value(board_of(faults.Dropout(instrument="x")), 4.0) is None


def test_an_excursion_rises_to_its_peak_and_returns() -> None:
    board = board_of(faults.Excursion(instrument="x", from_s=10.0, to_s=20.0, every_s=60.0, peak=7.0))
    for begin in (10.0, 70.0):
        assert value(board, begin) == begin
        assert value(board, begin + 5.0) == pytest.approx(begin + 12.0)
        assert value(board, begin + 10.0) == begin + 10.0


def test_noise_scatters_and_keeps_a_balance_unstable() -> None:
    board = board_of(faults.ExtraNoise(instrument="x", sigma=0.5))
    shifts = {value(board, t) - t for t in (1.0, 2.0, 3.0) if value(board, t) is not None}  # type: ignore[operator]
    assert len(shifts) == 3
    assert read(board, 1.0).moves()
    assert read(board, 1.0).name() == "noise"


def test_the_default_channel_is_the_first_quantity() -> None:
    board = board_of(
        faults.Offset(instrument="x", step=1.0), faults.Dropout(instrument="x", channel="temperature")
    )
    assert value(board, 1.0) == 2.0
    assert value(board, 1.0, "temperature") is None


def test_disconnection_is_drawn_once_for_a_window() -> None:
    board = board_of(faults.Disconnect(instrument="x", from_s=1.0, to_s=3.0, every_s=10.0, probability=0.5))
    windows = [[board.is_disconnected(to_ns(10 * k + t)) for t in (1.0, 1.7, 2.9)] for k in range(40)]
    assert all(len(set(window)) == 1 for window in windows)
    assert {window[0] for window in windows} == {True, False}
    assert not board.is_disconnected(to_ns(0.5))


def test_the_next_change_of_the_connection_is_known() -> None:
    board = board_of(faults.Disconnect(instrument="x", from_s=1.0, to_s=3.0, every_s=10.0))
    changes = [board.next_disconnect_change_ns(to_ns(t)) for t in (0.0, 1.0, 3.0, 12.0)]
    assert changes == [to_ns(t) for t in (1.0, 3.0, 11.0, 13.0)]
    assert board_of(faults.Disconnect(instrument="x")).next_disconnect_change_ns(0) is None
    once = board_of(faults.Disconnect(instrument="x", from_s=1.0, to_s=2.0))
    assert once.next_disconnect_change_ns(to_ns(2.0)) is None


def test_an_injected_fault_acts_from_now_on_and_ends() -> None:
    board = board_of()
    board.inject(faults.Offset(instrument="x", from_s=99.0, step=1.0), to_ns(10.0), 2.0)
    assert [value(board, t) for t in (9.0, 10.0, 11.9, 12.0)] == [9.0, 11.0, 12.9, 12.0]


def test_injected_faults_are_bounded_and_forgotten_at_the_rewind() -> None:
    board = board_of()
    for i in range(3 * INJECTED_MAX):
        board.inject(faults.Offset(instrument="x", step=1.0), i, 1e6)
    assert len(board.injected) == INJECTED_MAX
    board.rewind()
    assert not board.injected


def test_after_a_rewind_the_same_readings_are_hit() -> None:
    board = board_of(faults.Spike(instrument="x", probability=0.3, count=5, magnitude=9.0))
    first = [bool(read(board, 0.1 * i).active) for i in range(100)]
    board.rewind()
    assert [bool(read(board, 0.1 * i).active) for i in range(100)] == first


@pytest.mark.parametrize(
    "window",
    [{"from_s": 5.0, "to_s": 4.0}, {"every_s": 10.0}, {"to_s": 20.0, "every_s": 10.0}, {"probability": 1.5}],
)
def test_impossible_windows_are_refused(window: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        faults.NoAnswer(instrument="x", **window)  # type: ignore[arg-type]


def test_an_excursion_without_an_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="to_s"):
        faults.Excursion(instrument="x", peak=1.0)


def test_a_fault_by_name_says_what_is_wrong_with_it() -> None:
    assert faults.parse_fault("late", "x", {"delay_s": 1.0}) == faults.LateAnswer(instrument="x", delay_s=1.0)
    with pytest.raises(ScenarioError, match="fault 'late' on 'x' is not possible"):
        faults.parse_fault("late", "x", {"delay": 1.0})


def test_a_repeat_measures_again_what_was_measured_then() -> None:
    board = board_of(faults.Repeat(instrument="x", from_s=30.0, to_s=40.0, ago_s=20.0))
    assert [value(board, t) for t in (29.0, 30.0, 35.5, 40.0)] == [29.0, 10.0, 15.5, 40.0]
