"""One unit on a wire: an exchange, from request to good or spoilt answer; the session does the waiting."""

from __future__ import annotations

from simulators import faults
from simulators.exchange import Exchange
from simulators.fault_board import ArmedFault, FaultBoard
from simulators.modbus.device import ModbusDevice, ModbusInstrument, exception_pdu, unread
from simulators.modbus.framing import Framing, Request
from simulators.noise import noise_bytes


class Station:
    """An instrument at its unit number, with its faults."""

    def __init__(
        self, instrument_id: str, unit: int, instrument: ModbusInstrument, board: FaultBoard
    ) -> None:
        self.instrument_id = instrument_id
        self.unit = unit
        self.board = board
        self.device = ModbusDevice(instrument, board)

    def exchange(self, request: Request, framing: Framing, t_ns: int) -> Exchange:
        """Work out what happens to a request that arrives at scenario time `t_ns`."""
        if self.board.is_disconnected(t_ns):
            return self._spoilt(request, None, "disconnect")
        hit = self.board.wire_fault(t_ns)
        if hit is not None and isinstance(hit[0], faults.ExceptionAnswer):
            pdu = exception_pdu(request.pdu[0], hit[0].code)
            return self._spoilt(request, framing.wrap(request, pdu), "exception")
        outcome = self.device.execute(request.pdu, t_ns)
        answer = framing.wrap(request, outcome.pdu)
        if hit is None or isinstance(hit[0], faults.LateAnswer):
            return Exchange(
                instrument=self.instrument_id,
                unit=request.unit,
                request=request.adu,
                answer=answer,
                values=outcome.values,
                fault=outcome.effects.name() if hit is None else "late",
                delay_s=hit[0].delay_s if hit is not None and isinstance(hit[0], faults.LateAnswer) else 0.0,
            )
        return self._spoilt(request, spoil(answer, framing, *hit), hit[0].kind)

    def broadcast(self, request: Request, t_ns: int) -> Exchange:
        """Obey a request to all units; nobody answers it (serial line specification, section 2.1)."""
        self.device.execute(request.pdu, t_ns)
        return self._spoilt(request, None, None)

    def _spoilt(self, request: Request, answer: bytes | None, fault: str | None) -> Exchange:
        values = unread(self.device.channels_asked(request.pdu))
        return Exchange(self.instrument_id, request.unit, request.adu, answer, values, fault)


def spoil(answer: bytes, framing: Framing, fault: faults.WireFault, armed: ArmedFault) -> bytes | None:
    """Return what is left of a good answer, None when nothing leaves the instrument."""
    match fault:
        case faults.BadCrc():
            return framing.spoil_check(answer)
        case faults.TruncatedAnswer():
            return answer[: len(answer) // 2]
        case faults.GarbageAnswer():
            # The third byte is the protocol id of TCP and the byte count of RTU: FFh is neither.
            noise = noise_bytes(armed.key, armed.ordinal, len(answer))
            return noise[:2] + b"\xff" + noise[3:]
    return None
