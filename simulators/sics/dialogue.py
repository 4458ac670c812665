"""MT-SICS commands as a pure state machine: lines and time in, lines out.

Source: MT-SICS reference manual, levels 0 and 1. A command that waits for stability (`S`, `T`, `Z`)
keeps the interface until it is answered; another such command meanwhile is answered `x I`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.clock import to_ns
from simulators.exchange import ChannelValue
from simulators.sics.scale import Scale, Weighing

CHECK_NS = 50_000_000
"""Interval at which a waiting command looks for stability."""
LEVELS = '"01" "2.30" "2.30" "" ""'
COMMANDS = (
    (0, "I0"),
    (0, "I1"),
    (0, "I2"),
    (0, "I3"),
    (0, "I4"),
    (0, "S"),
    (0, "SI"),
    (0, "SIR"),
    (0, "Z"),
    (0, "@"),
    (1, "T"),
    (1, "TAC"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One answer line without its CR LF, and the command that asked for it (None: unsolicited)."""

    text: str
    command: str | None
    values: dict[str, ChannelValue] = field(default_factory=dict)
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A command, or the print key (None), that waits for stability."""

    command: str | None
    deadline_ns: int
    next_ns: int


class Dialogue:
    """The conversation over one interface. Memory: one waiting command, one print, one stream."""

    def __init__(self, scale: Scale, t_ns: int) -> None:
        self._scale = scale
        self._waiting: _Waiting | None = None
        self._print: _Waiting | None = None
        self._stream_ns: int | None = None
        self._next_print_ns = scale.balance.next_print_ns(t_ns)
        self._immediate: dict[str, Callable[[str, int], list[Line]]] = {
            "SI": self._send_immediate,
            "SIR": self._start_stream,
            "TAC": self._clear_tare,
            "@": self._reset,
            "I0": self._list_commands,
            "I1": self._identify,
            "I2": self._identify,
            "I3": self._identify,
            "I4": self._identify,
        }

    @property
    def next_ns(self) -> int | None:
        """Return when `advance` has to be called next, in scenario time; None: not before a command."""
        times = [self._stream_ns, self._next_print_ns]
        times += [w.next_ns for w in (self._waiting, self._print) if w is not None]
        return min((t for t in times if t is not None), default=None)

    def receive(self, command: str, t_ns: int) -> list[Line]:
        """Answer a command line (without its line end)."""
        name, _, parameter = command.partition(" ")
        if name in self._immediate:
            return [Line(f"{name} L", command)] if parameter else self._immediate[name](command, t_ns)
        if name not in {"S", "T", "Z"}:
            return [Line("ES", command)]
        if parameter:
            return [Line(f"{name} L", command)]
        if self._waiting is not None:
            return [Line(f"{name} I", command)]
        self._stream_ns = None
        self._waiting = self._wait(command, t_ns)
        return self.advance(t_ns)

    def press_print_key(self, t_ns: int) -> list[Line]:
        """Send the weight unasked as soon as it is stable."""
        self._print = self._wait(None, t_ns)
        return self.advance(t_ns)

    def advance(self, t_ns: int) -> list[Line]:
        """Return the lines that the passing of time brings."""
        lines: list[Line] = []
        if self._next_print_ns is not None and t_ns >= self._next_print_ns:
            self._print = self._wait(None, t_ns)
            self._next_print_ns = self._scale.balance.next_print_ns(t_ns)
        if self._waiting is not None and t_ns >= self._waiting.next_ns:
            self._waiting = self._check(self._waiting, t_ns, lines)
        if self._print is not None and t_ns >= self._print.next_ns:
            self._print = self._check(self._print, t_ns, lines)
        if self._stream_ns is not None and t_ns >= self._stream_ns:
            lines.append(self._weight(self._scale.look(t_ns), "SIR", t_ns))
            period_ns = to_ns(self._scale.balance.settings.stream_period_s)
            # A balance that was held up goes on from now; it does not send what it missed.
            self._stream_ns = max(self._stream_ns + period_ns, t_ns + period_ns // 2)
        return lines

    def rewind(self, t_ns: int) -> None:
        """Forget every wait: the scenario begins again."""
        self._waiting = self._print = None
        self._stream_ns = None if self._stream_ns is None else t_ns
        self._next_print_ns = self._scale.balance.next_print_ns(t_ns)

    def _wait(self, command: str | None, t_ns: int) -> _Waiting:
        return _Waiting(command, t_ns + to_ns(self._scale.balance.settings.stability_timeout_s), t_ns)

    def _check(self, waiting: _Waiting, t_ns: int, lines: list[Line]) -> _Waiting | None:
        """Answer a waiting command if it can be; return it when it has to wait on."""
        weighing = self._scale.look(t_ns)
        if not weighing.is_final and t_ns < waiting.deadline_ns:
            return _Waiting(waiting.command, waiting.deadline_ns, t_ns + CHECK_NS)
        if waiting.command is None:
            if weighing.is_final:
                lines.append(self._weight(weighing, None, t_ns))
        elif not weighing.is_final or weighing.net_g is None:
            status = weighing.status if weighing.is_final else "I"
            values: dict[str, ChannelValue] = {"weight": None} if waiting.command == "S" else {}
            lines.append(Line(f"{waiting.command} {status}", waiting.command, values, weighing.fault))
        else:
            lines.append(self._finish(waiting.command, weighing, weighing.net_g, t_ns))
        return None

    def _finish(self, command: str, weighing: Weighing, net_g: float, t_ns: int) -> Line:
        """Carry out `S`, `T` or `Z` on a stable weight."""
        if command == "S":
            return self._weight(weighing, command, t_ns)
        if command == "T":
            self._scale.set_tare(net_g)
            return Line(f"T S {self._scale.format(self._scale.tare_g)}", command)
        if self._scale.set_zero(net_g):
            return Line("Z A", command)
        return Line("Z +" if net_g > 0 else "Z -", command)

    def _weight(self, weighing: Weighing, command: str | None, t_ns: int) -> Line:
        """Return a weight line; its id is S whatever the command was."""
        self._scale.count_reading(t_ns)
        if weighing.net_g is None:
            return Line(f"S {weighing.status}", command, {"weight": None}, weighing.fault)
        shown = self._scale.format(weighing.net_g)
        carried = float(shown.split()[0])
        return Line(f"S {weighing.status} {shown}", command, {"weight": carried}, weighing.fault)

    def _send_immediate(self, command: str, t_ns: int) -> list[Line]:
        self._stream_ns = None
        return [self._weight(self._scale.look(t_ns), command, t_ns)]

    def _start_stream(self, command: str, t_ns: int) -> list[Line]:
        del command
        self._stream_ns = t_ns
        return self.advance(t_ns)

    def _clear_tare(self, command: str, t_ns: int) -> list[Line]:
        del t_ns
        self._scale.tare_g = 0.0
        return [Line("TAC A", command)]

    def _reset(self, command: str, t_ns: int) -> list[Line]:
        """Cancel everything as after switching on, without a zero setting, and say who is there."""
        del t_ns
        self._waiting = self._print = self._stream_ns = None
        self._scale.tare_g = 0.0
        return [Line(f'I4 A "{self._scale.balance.identity.serial}"', command)]

    def _list_commands(self, command: str, t_ns: int) -> list[Line]:
        del t_ns
        last = len(COMMANDS) - 1
        return [
            Line(f'I0 {"A" if i == last else "B"} {level} "{name}"', command)
            for i, (level, name) in enumerate(COMMANDS)
        ]

    def _identify(self, command: str, t_ns: int) -> list[Line]:
        del t_ns
        balance = self._scale.balance
        who = balance.identity
        capacity = f"{balance.settings.capacity_g:.{balance.settings.decimals}f} g"
        texts = {
            "I1": LEVELS,
            "I2": f'"{who.vendor} {who.model} {capacity}"',
            "I3": f'"{who.revision}"',
            "I4": f'"{who.serial}"',
        }
        return [Line(f"{command} A {texts[command]}", command)]
