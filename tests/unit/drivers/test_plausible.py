"""A number under all orders and at the neighbouring addresses."""

from drivers.modbus.plausible import Candidate, channel_of, interpret


def plausible(candidates: list[Candidate]) -> list[tuple[int, str, float | int | None]]:
    return [(each.address, each.order, each.value) for each in candidates if not each.doubt]


def test_of_the_four_orders_of_a_voltage_one_is_plausible() -> None:
    registers = {0: 0x4366, 1: 0x8000}
    assert plausible(interpret(channel_of("float32"), registers, [0])) == [(0, "ABCD", 230.5)]
    swapped = {0: 0x8000, 1: 0x4366}
    assert plausible(interpret(channel_of("float32"), swapped, [0])) == [(0, "CDAB", 230.5)]


def test_voltages_one_register_off_with_swapped_words_still_look_plausible() -> None:
    # Three phases of 230.5, 231.25 and 229.75 V (telegraf #8151: off by one and wrong word order together).
    registers = dict(enumerate([0x4366, 0x8000, 0x4367, 0x4000, 0x4365, 0xC000]))
    found = plausible(interpret(channel_of("float32", low=180, high=260), registers, [1, 2, 3]))
    assert (2, "ABCD", 231.25) in found
    assert [(address, order) for address, order, _ in found if address != 2] == [(1, "CDAB"), (3, "CDAB")]


def test_each_doubt_is_named() -> None:
    def doubt(word: int, **limits: float) -> str:
        registers = {0: word >> 16, 1: word & 0xFFFF}
        return interpret(channel_of("float32", **limits), registers, [0])[0].doubt

    assert doubt(0x00000001).startswith("denormal")
    assert doubt(0x7F800000) == "not finite"
    assert doubt(0x7FC00000) == "unavailable"
    assert doubt(0x42C80000, high=50) == "above 50"
    assert doubt(0xC2C80000, low=0) == "below 0"
    assert doubt(0x7E000000) == "an unusual magnitude"
    assert not doubt(0)


def test_a_register_that_is_not_there_gives_no_candidate_and_sixteen_bits_have_two_orders() -> None:
    found = interpret(channel_of("uint16"), {5: 0x0102}, [4, 5, 6])
    assert [(each.address, each.order, each.value) for each in found] == [(5, "ABCD", 258), (5, "BADC", 513)]
