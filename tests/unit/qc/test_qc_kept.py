"""What rules keep: laid out without overlap, saved as of one moment while blocks go on, taken up exactly."""

import numpy as np
import pytest

from pipeline.qc import ChannelQc, QcEngine
from pipeline.qc.settings import FlatLineQc, RangeQc, RateQc, SpikeQc
from pipeline.qc.settings_charts import LevelShiftQc
from pipeline.qc.settings_windows import NoiseQc
from pipeline.qc.table import window_bytes
from pipeline.records import Block, Channel, Layout
from tests.unit.qc.blocks import SECOND, block_of, engine_of, layout_of

SITE = ChannelQc(
    range=RangeQc(fail_low=0, fail_high=100), rate=RateQc(suspect=50), flat_line=FlatLineQc(suspect_s=5)
)
"""The rules of each channel of the load that the gateway is measured with."""
CHANNELS = 500
SITE_BYTES_MAX = 150
"""Of each of its channels: 30 MB at 100,000 would be twice as much."""
MIXED = {
    "c0": ChannelQc(rate=RateQc(fail=1), spike=SpikeQc(fail=1)),
    "c1": ChannelQc(
        flat_line=FlatLineQc(tolerance=0.5, suspect_s=3), level_shift=LevelShiftQc(fail=2, readings=3)
    ),
    "c2": ChannelQc(noise=NoiseQc(suspect_high=1, window_s=2)),
}


def second(k: int, channels: int = 3, layout: Layout | None = None) -> Block:
    """Row k of a stream of seeded noise."""
    values = np.random.default_rng(k).normal(20, 1, (channels, 1)).round(1)
    return block_of(values, [k * SECOND], layout=layout)


def mixed_engine() -> QcEngine:
    """Five rows old, one instrument."""
    engine = engine_of(MIXED, 1.0)
    for k in range(5):
        engine.process(second(k), k)
    return engine


@pytest.mark.parametrize("seconds", [(5.0, 600.0), (600.0, 5.0), (5.0, 600.0, 5.0, 60.0)])
def test_neighbours_with_windows_of_different_length_do_not_share_their_memory(
    seconds: tuple[float, ...],
) -> None:
    rules = {
        f"c{k}": ChannelQc(flat_line=FlatLineQc(tolerance=0.4, suspect_s=duration_s))
        for k, duration_s in enumerate(seconds)
    }
    # Falling values stay in the window one and all: it fills as far as it can.
    rows = 700
    values = np.linspace(0.3, 0, rows)
    times = [k * SECOND for k in range(rows)]
    together = engine_of(rules, 1.0)
    found = together.process(block_of(np.tile(values, (len(seconds), 1)), times), 0)
    assert together.memory_bytes() >= sum(window_bytes(qc, 1.0) for qc in rules.values())
    for k, qc in enumerate(rules.values()):
        alone = engine_of({"c0": qc}, 1.0).process(block_of(values.reshape(1, -1), times), 0)
        assert np.array_equal(found.flag[k], alone.flag[0])
        assert found.flag[k, -1] == 3


def test_channels_of_the_load_keep_little_and_their_limits_once() -> None:
    engine = engine_of({f"c{k}": SITE for k in range(CHANNELS)}, 1.0)
    engine.process(second(0, CHANNELS), 0)
    assert engine.memory_bytes() <= SITE_BYTES_MAX * CHANNELS
    assert engine.snapshot().nbytes <= SITE_BYTES_MAX * CHANNELS


def test_equal_values_need_no_window_however_long_the_flat_line() -> None:
    year = ChannelQc(flat_line=FlatLineQc(suspect_s=365 * 86400.0))
    assert window_bytes(year, 0.1) == 32


def test_a_duration_below_a_nanosecond_is_one() -> None:
    for tolerance in (0.0, 0.5):
        qc = ChannelQc(flat_line=FlatLineQc(tolerance=tolerance, fail_s=1e-11))
        result = engine_of({"c0": qc}).process(block_of([[1, 1, 1, 9]], [0, 0, 1, 2]), 0)
        assert result.flag.tolist() == [[1, 1, 4, 1]]


def test_arrays_that_are_not_dense_are_refused_and_nothing_has_changed() -> None:
    engine = engine_of({"c0": ChannelQc(rate=RateQc(fail=1))}, 1.0)
    whole = block_of([[0.0, 5.0, 0.0, 5.0]], [k * SECOND for k in range(4)])
    step = slice(None, None, 2)
    times = np.ascontiguousarray(whole.t_run_ns[step])
    sparse = Block(
        "dut", whole.layout, times, times, times, times, np.zeros((1, 2), np.uint8), whole.f8[:, step],
        np.zeros((0, 2), np.int64), np.zeros((0, 2), np.uint64),
    )  # fmt: skip
    engine.process(whole.rows(0, 1), 0)
    before = bytes(engine.snapshot())
    with pytest.raises(ValueError, match="'dut' has arrays that are not C-contiguous"):
        engine.process(sparse, 1)
    assert bytes(engine.snapshot()) == before


@pytest.mark.parametrize("taken_after", [0, 1, 2])
@pytest.mark.parametrize("change", ["block", "gap", "unknown gap", "layout", "flush"])
def test_a_snapshot_tells_of_its_moment_whatever_comes_before_its_pieces_are_taken(
    change: str, taken_after: int
) -> None:
    engine = mixed_engine()
    expected = bytes(engine.snapshot())
    taken = iter(engine.snapshot())
    pieces = [next(taken) for _ in range(taken_after)]
    match change:
        case "block":
            engine.process(second(5), 5)
        case "gap":
            engine.gap("dut")
        case "unknown gap":
            engine.gap("dut", duration_known=False)
        case "flush":
            engine.flush("dut")
        case _:
            renamed = Layout(tuple(Channel(f"c{k}", unit="K") for k in range(3)))
            engine.process(second(5, layout=renamed), 5)
    assert b"".join([*pieces, *taken]) == expected
    if change != "flush":  # it closes what was closed already
        assert bytes(engine.snapshot()) != expected


def test_two_snapshots_at_a_time_each_tell_of_their_own_moment() -> None:
    engine = mixed_engine()
    whole = [bytes(engine.snapshot())]
    first = engine.snapshot()
    engine.process(second(5), 5)
    whole.append(bytes(engine.snapshot()))
    then = engine.snapshot()
    engine.process(second(6), 6)
    assert [bytes(then), bytes(first)] == whole[::-1]
    assert first.nbytes == len(whole[0])


def test_state_that_waits_for_its_first_block_is_saved_as_of_the_moment_too() -> None:
    state = bytes(mixed_engine().snapshot())
    engine = engine_of(MIXED, 1.0)
    assert engine.restore(state)
    pieces = engine.snapshot()
    engine.gap("dut", duration_known=False)
    assert bytes(pieces) == state != bytes(engine.snapshot())


def test_a_restart_goes_on_bit_for_bit_and_a_changed_channel_starts_anew_alone() -> None:
    engine = mixed_engine()
    state = bytes(engine.snapshot())
    same = engine_of(MIXED, 1.0)
    other = engine_of(MIXED | {"c2": ChannelQc(noise=NoiseQc(suspect_high=2, window_s=2))}, 1.0)
    assert same.restore(state)
    assert other.restore(state)
    for k in range(5, 9):
        expected, found, changed = (one.process(second(k), k) for one in (engine, same, other))
        assert np.array_equal(expected.flag, found.flag)
        assert np.array_equal(expected.unevaluated, found.unevaluated)
        assert np.array_equal(expected.flag[:2], changed.flag[:2])
        assert changed.unevaluated[2] == (1 << 9 if k < 7 else 0)
    assert bytes(engine.snapshot()) == bytes(same.snapshot())


def test_a_channel_that_moves_in_the_layout_takes_its_state_with_it() -> None:
    engine = mixed_engine()
    state = bytes(engine.snapshot())
    turned = Layout(layout_of(3).channels[::-1])
    again = engine_of(MIXED, 1.0)
    assert again.restore(state)
    block = second(5)
    mirrored = Block(
        "dut", turned, block.t_utc_ns, block.t_run_ns, block.t_run_ns, block.t_run_ns, block.status,
        np.ascontiguousarray(block.f8[::-1]), block.i8, block.u8,
    )  # fmt: skip
    assert np.array_equal(again.process(mirrored, 5).flag[::-1], engine.process(block, 5).flag)
