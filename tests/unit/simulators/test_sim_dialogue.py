"""MT-SICS, line for line, with the time in the test's hand."""

import pytest

from simulators import faults
from simulators.clock import to_ns
from simulators.fault_board import FaultBoard
from simulators.instruments.balance import Balance, BalanceSettings, LoadStep
from simulators.sics.dialogue import CHECK_NS, Dialogue
from simulators.sics.scale import Scale

LOADS = (LoadStep(at_s=3.0, load_g=100.0), LoadStep(at_s=10.0, load_g=0.0), LoadStep(at_s=20.0, load_g=300.0))


def scale_of(*wanted: faults.PhysicsFault, **settings: object) -> Scale:
    given = {"decimals": 2, "loads": LOADS, "noise_g": 0.0, **settings}
    balance = Balance(BalanceSettings.model_validate(given), "SIM-BAL-9", 1)
    board = FaultBoard("x", balance.quantities, 1)
    board.schedule(wanted)
    return Scale(balance, board)


def ask(scale: Scale, command: str, t_s: float) -> list[str]:
    """Ask at one instant; what has to wait gives nothing."""
    return [line.text for line in Dialogue(scale, to_ns(t_s)).receive(command, to_ns(t_s))]


def wait_for(dialogue: Dialogue, t_s: float) -> tuple[float, list[str]]:
    """Let time pass until lines come."""
    t_ns = to_ns(t_s)
    for _ in range(1000):
        next_ns = dialogue.next_ns
        assert next_ns is not None
        t_ns = max(t_ns, next_ns)
        lines = dialogue.advance(t_ns)
        if lines:
            return t_ns / 1e9, [line.text for line in lines]
    raise AssertionError("nothing came")


def test_stable_weight_as_published() -> None:
    assert ask(scale_of(), "S", 8.0) == ["S S     100.00 g"]


def test_immediate_weight_of_a_moving_pan_has_id_s_and_status_d() -> None:
    line = ask(scale_of(), "SI", 3.3)[0]
    assert line.startswith("S D      ")
    assert line.endswith(" g")
    assert len(line) == len("S D      99.87 g")


def test_s_waits_until_the_pan_rests() -> None:
    scale = scale_of()
    dialogue = Dialogue(scale, 0)
    assert dialogue.receive("S", to_ns(3.1)) == []
    at_s, lines = wait_for(dialogue, 3.1)
    assert lines == ["S S     100.00 g"]
    assert 4.0 < at_s < 7.0


def test_s_gives_up_when_the_pan_never_rests() -> None:
    scale = scale_of(faults.ExtraNoise(instrument="x", sigma=1.0), stability_timeout_s=4.0)
    dialogue = Dialogue(scale, 0)
    assert dialogue.receive("S", 0) == []
    at_s, lines = wait_for(dialogue, 0.0)
    assert lines == ["S I"]
    assert at_s == pytest.approx(4.0, abs=CHECK_NS / 1e9)


def test_a_second_waiting_command_is_told_that_the_balance_is_busy() -> None:
    dialogue = Dialogue(scale_of(), 0)
    assert dialogue.receive("S", to_ns(3.1)) == []
    assert [line.text for line in dialogue.receive("T", to_ns(3.2))] == ["T I"]


def test_overload_underload_and_no_value() -> None:
    assert ask(scale_of(), "S", 25.0) == ["S +"]
    assert ask(scale_of(loads=(LoadStep(at_s=0.0, load_g=-50.0),)), "SI", 9.0) == ["S -"]
    assert ask(scale_of(faults.Dropout(instrument="x")), "SI", 1.0) == ["S I"]


def test_tare_and_its_clearing() -> None:
    scale = scale_of()
    assert ask(scale, "T", 8.0) == ["T S     100.00 g"]
    assert ask(scale, "S", 8.5) == ["S S       0.00 g"]
    assert ask(scale, "SI", 19.0) == ["S S    -100.00 g"]
    assert ask(scale, "TAC", 19.0) == ["TAC A"]
    assert ask(scale, "S", 19.0) == ["S S       0.00 g"]


def test_zero_within_its_range_only() -> None:
    assert ask(scale_of(), "Z", 8.0) == ["Z +"]
    scale = scale_of(loads=(LoadStep(at_s=0.0, load_g=2.0),))
    assert ask(scale, "Z", 8.0) == ["Z A"]
    assert ask(scale, "S", 8.0) == ["S S       0.00 g"]
    assert ask(scale_of(), "Z", 25.0) == ["Z +"]


def test_reset_tells_the_serial_number_and_ends_everything() -> None:
    dialogue = Dialogue(scale_of(), 0)
    dialogue.receive("SIR", 0)
    dialogue.receive("S", to_ns(3.1))
    assert [line.text for line in dialogue.receive("@", to_ns(3.2))] == ['I4 A "SIM-BAL-9"']
    assert dialogue.next_ns is None


def test_identification() -> None:
    scale = scale_of()
    assert ask(scale, "I4", 0.0) == ['I4 A "SIM-BAL-9"']
    assert ask(scale, "I2", 0.0) == ['I2 A "Yaosu Simulator SIM-XS204 220.00 g"']
    assert ask(scale, "I3", 0.0) == ['I3 A "1.0"']
    assert ask(scale, "I1", 0.0)[0].startswith('I1 A "01"')
    commands = ask(scale, "I0", 0.0)
    assert all(line.startswith("I0 B") for line in commands[:-1])
    assert commands[-1] == 'I0 A 1 "TAC"'


@pytest.mark.parametrize(
    ("command", "answer"),
    [("HELLO", "ES"), ("s", "ES"), ("S 1", "S L"), ("I4 1", "I4 L"), (" S", "ES"), ("SIX", "ES")],
)
def test_bad_commands(command: str, answer: str) -> None:
    assert ask(scale_of(), command, 0.0) == [answer]


def test_sir_streams_until_another_weight_is_asked_for() -> None:
    dialogue = Dialogue(scale_of(stream_period_s=0.2), 0)
    assert [line.text for line in dialogue.receive("SIR", 0)] == ["S S       0.00 g"]
    at_s, lines = wait_for(dialogue, 0.0)
    assert (at_s, lines) == (0.2, ["S S       0.00 g"])
    dialogue.receive("SI", to_ns(0.3))
    assert dialogue.next_ns is None


def test_a_stream_that_was_held_up_does_not_send_what_it_missed() -> None:
    dialogue = Dialogue(scale_of(stream_period_s=0.2), 0)
    dialogue.receive("SIR", 0)
    assert len(dialogue.advance(to_ns(5.0))) == 1
    assert dialogue.next_ns is not None
    assert dialogue.next_ns > to_ns(5.0)


def test_the_print_key_sends_a_stable_weight_unasked() -> None:
    dialogue = Dialogue(scale_of(print_key_s=(3.5,)), 0)
    at_s, lines = wait_for(dialogue, 0.0)
    assert lines == ["S S     100.00 g"]
    assert at_s > 4.0
    pressed = dialogue.press_print_key(to_ns(9.0))
    assert [(line.text, line.command) for line in pressed] == [("S S     100.00 g", None)]


def test_the_print_key_on_an_unstable_pan_sends_nothing_after_a_while() -> None:
    scale = scale_of(faults.ExtraNoise(instrument="x", sigma=1.0), stability_timeout_s=1.0)
    dialogue = Dialogue(scale, 0)
    assert dialogue.press_print_key(0) == []
    while dialogue.next_ns is not None:
        assert dialogue.advance(dialogue.next_ns) == []


def test_the_number_in_the_log_is_the_number_in_the_line() -> None:
    scale = scale_of(decimals=4, loads=(LoadStep(at_s=0.0, load_g=100.00005),))
    for t in range(5, 30):
        (line,) = Dialogue(scale, to_ns(t)).receive("SI", to_ns(t))
        assert line.values == {"weight": float(line.text[4:14])}


def test_zero_has_no_minus_sign() -> None:
    assert ask(scale_of(loads=(LoadStep(at_s=0.0, load_g=-0.001),)), "SI", 9.0) == ["S S       0.00 g"]
    assert ask(scale_of(loads=(LoadStep(at_s=0.0, load_g=-0.02),)), "SI", 9.0) == ["S S      -0.02 g"]


def test_a_rewind_ends_every_wait() -> None:
    dialogue = Dialogue(scale_of(), 0)
    dialogue.receive("S", to_ns(3.1))
    dialogue.rewind(0)
    assert dialogue.next_ns is None
