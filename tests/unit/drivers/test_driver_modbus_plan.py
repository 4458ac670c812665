"""Channels become blocks."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.channel import REGISTERS, ModbusChannel
from drivers.modbus.cost import LineCost, ascii_cost, rtu_cost, silence_s
from drivers.modbus.plan import BITS_MAX, Limits, ReadBlock, plan_blocks


def channel(address: int, kind: str = "uint16", table: str = "holding") -> ModbusChannel:
    bit = 0 if kind == "bool" and table in {"holding", "input"} else None
    byte = "low" if kind in {"int8", "uint8"} else None
    return ModbusChannel.model_validate(
        {"name": f"c{address}", "address": address, "type": kind, "table": table, "bit": bit, "byte": byte}
    )


def plan(channels: list[ModbusChannel], longest: int = 125, gap: int = 0) -> tuple[ReadBlock, ...]:
    return plan_blocks(channels, limits=Limits(longest, gap))


def test_adjacent_registers_are_one_block() -> None:
    assert plan([channel(2), channel(0, "float32")]) == (ReadBlock(3, 0, 3, (1, 0)),)


def test_a_hole_is_read_along_only_when_allowed() -> None:
    channels = [channel(0), channel(3)]
    assert len(plan(channels)) == 2
    assert plan(channels, gap=2) == (ReadBlock(3, 0, 4, (0, 1)),)


def test_a_value_is_never_split_by_the_limit_of_a_block() -> None:
    blocks = plan([channel(2 * number, "float32") for number in range(63)])
    assert [(block.address, block.count) for block in blocks] == [(0, 124), (124, 2)]


def test_tables_are_read_by_their_functions_and_never_mixed() -> None:
    channels = [
        channel(0, "bool", "coil"),
        channel(0, "bool", "discrete"),
        channel(0),
        channel(0, table="input"),
    ]
    assert [(block.function, block.channels) for block in plan(channels)] == [
        (1, (0,)),
        (2, (1,)),
        (3, (2,)),
        (4, (3,)),
    ]


def test_values_may_share_registers() -> None:
    channels = [channel(0, "float32"), channel(1), channel(0, "bool")]
    assert plan(channels) == (ReadBlock(3, 0, 2, (2, 0, 1)),)


def test_bits_are_counted_in_whole_bytes() -> None:
    blocks = plan([channel(number, "bool", "coil") for number in range(BITS_MAX + 1)])
    assert [(block.count, block.byte_count) for block in blocks] == [(2000, 250), (1, 1)]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 400), st.sampled_from(sorted(REGISTERS)), st.sampled_from(["input", "holding"])
        ),
        min_size=1,
        max_size=60,
    ),
    st.integers(4, 125),
    st.integers(0, 20),
)
def test_every_value_lies_whole_in_exactly_one_block(
    values: list[tuple[int, str, str]], longest: int, gap: int
) -> None:
    channels = [channel(*value) for value in values]
    blocks = plan(channels, longest, gap)
    assert sorted(position for block in blocks for position in block.channels) == list(range(len(channels)))
    for block in blocks:
        assert block.count <= longest
        used: set[int] = set()
        for position in block.channels:
            span = range(
                channels[position].address, channels[position].address + channels[position].registers
            )
            assert block.address <= span[0]
            assert span[-1] < block.address + block.count
            used.update(span)
        unused = [
            address for address in range(block.address, block.address + block.count) if address not in used
        ]
        for start in unused:
            assert not set(range(start, start + gap + 1)) <= set(unused)


@pytest.mark.parametrize("count", [1, 2, 124, 125])
def test_byte_counts_of_registers(count: int) -> None:
    assert ReadBlock(3, 0, count, ()).byte_count == 2 * count


def test_no_request_reaches_into_a_hole_that_the_device_forbids() -> None:
    channels = [channel(0), channel(2), channel(6)]
    blocks = plan_blocks(channels, limits=Limits(holes=((4, 5),)))
    assert [(block.address, block.count) for block in blocks] == [(0, 3), (6, 1)]


def serial(baudrate: int) -> LineCost:
    """Return the cost at 11 bits a character and 5 ms of delay."""
    character_s = 11 / baudrate
    return rtu_cost(character_s, silence_s(baudrate, character_s))


def line_s(blocks: tuple[ReadBlock, ...], cost: LineCost) -> float:
    return sum(cost.block_s(block.function, block.count) for block in blocks)


def test_what_62_floats_cost_at_9600_baud() -> None:
    channels = [channel(2 * at, "float32") for at in range(62)]
    cost = serial(9600)
    one_by_one = plan_blocks(channels, limits=Limits(block_registers_max=4), cost=cost)
    assert line_s(plan_blocks(channels, cost=cost), cost) == pytest.approx(0.312, abs=0.001)
    assert 62 * cost.block_s(4, 2) == pytest.approx(2.02, abs=0.01)
    assert len(one_by_one) == 31
    assert cost.register_s == pytest.approx(2.29e-3, abs=1e-5)
    assert cost.request_s == pytest.approx(27.9e-3, abs=1e-4)


@pytest.mark.parametrize(("baudrate", "pays"), [(9600, 12), (19200, 14), (115200, 51)])
def test_a_gap_is_read_along_as_long_as_it_pays(baudrate: int, pays: int) -> None:
    cost = serial(baudrate)
    assert len(plan_blocks([channel(0), channel(1 + pays)], cost=cost)) == 1
    assert len(plan_blocks([channel(0), channel(2 + pays)], cost=cost)) == 2


def test_ascii_costs_twice_the_characters() -> None:
    character_s = 10 / 9600
    assert ascii_cost(character_s, 0.0, 0.0).register_s == 2 * rtu_cost(character_s, 0.0, 0.0).register_s


@given(
    st.lists(
        st.tuples(st.integers(0, 80), st.sampled_from(["uint16", "float32", "int64"])), min_size=1, max_size=9
    ),
    st.integers(4, 30),
    st.sampled_from([9600, 115200]),
)
def test_no_other_split_of_the_values_is_cheaper(
    values: list[tuple[int, str]], longest: int, baudrate: int
) -> None:
    channels = [channel(address, kind) for address, kind in values]
    cost = serial(baudrate)
    found = line_s(plan_blocks(channels, limits=Limits(longest), cost=cost), cost)
    spans = sorted(one.span for one in channels)
    cheapest = math.inf
    for cuts in itertools.product([False, True], repeat=len(spans) - 1):
        groups = [[spans[0]]]
        for cut, span in zip(cuts, spans[1:], strict=True):
            groups = [*groups, [span]] if cut else [*groups[:-1], [*groups[-1], span]]
        counts = [max(stop for _, stop in group) - group[0][0] for group in groups]
        if max(counts) <= longest:
            cheapest = min(cheapest, sum(cost.block_s(3, count) for count in counts))
    assert found == pytest.approx(cheapest, abs=1e-7)
