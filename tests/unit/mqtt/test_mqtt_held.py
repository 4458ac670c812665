"""What is held of a connection: acknowledged in order of arrival, bounded."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.mqtt.held import Held


@given(st.permutations(range(12)))
def test_acknowledgements_go_out_in_order_of_arrival(order: list[int]) -> None:
    acknowledged: list[int] = []
    held = Held(10_000, acknowledged.append)
    for identifier in range(12):
        assert held.take(identifier, 10)
    for count, identifier in enumerate(order, start=1):
        held.done(identifier)
        done = set(order[:count])
        assert acknowledged == [n for n in range(12) if all(before in done for before in range(n + 1))]
        assert held.bytes == 10 * (12 - count)


def test_what_finds_no_room_is_dropped_and_acknowledged_in_its_turn() -> None:
    acknowledged: list[int] = []
    held = Held(100, acknowledged.append)
    assert held.take(1, 500)  # alone it may be larger
    assert not held.take(2, 1)
    assert acknowledged == []
    held.done(1)
    assert acknowledged == [1, 2]
    assert (held.dropped, held.bytes) == (1, 0)
    assert held.take(1, 100)  # identifiers come again
    held.done(1)
    assert acknowledged == [1, 2, 1]
