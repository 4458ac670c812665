"""Exchanges on one Modbus line, made safe: every answer is told apart from a late one.

TCP numbers its answers. RTU does not, so a late answer could be taken for that of the next request. Against
that stand, in this order: the line is drained and must be quiet for 0.15 s after every failed exchange;
answers that a unit still *owes* are recognised by function and length and thrown away; and while an owed
answer would look like the one wanted, the unit is first asked for another number of registers, whose answer
cannot be confused. Answers come in the order of the requests: once that one is there, nothing is owed any
more.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from drivers.errors import BadFrame, DeviceException, DriverError, LineBusy, LinkDown, NoAnswer, WrongAnswer
from drivers.modbus.frames import Signature, answer_signature, check_answer, read_request
from drivers.modbus.plan import data_bytes
from drivers.schedule import NS_PER_S

if TYPE_CHECKING:
    from drivers.modbus.frames import Frame, Request
    from drivers.modbus.framing import Framing
    from drivers.transport import Inbox, Line, Stamp, Wire

OWED_MAX_S = 60.0
"""An answer that is later than this is not expected any more."""
AFTER_DAMAGE_S = 0.1
"""Longest wait for the answer behind bytes that are none, counted from the last byte."""
SILENT_EXCHANGES_MAX = 3
"""Time-outs in a row after which a TCP connection is taken for dead and made anew."""
_LATE_TRANSACTIONS_MAX = 64
_ANSWER_OVERHEAD_BYTES = 5


class Exchange(NamedTuple):
    """One request and what came of it."""

    request: Stamp | None
    """Just before the request was written; None when it was not."""
    response_ns: int
    """Gateway time when the answer was complete, or its time was up."""
    data: bytes = b""
    error: DriverError | None = None


class ModbusBus:
    """The exchanges of all units on one line. Callers hold the line's lease.

    Args:
        character_s: time of one character on the line, 0 for TCP.
    """

    def __init__(self, line: Line, framing: Framing, *, character_s: float = 0.0) -> None:
        self.line = line
        self._framing = framing
        self._character_s = character_s
        self._transaction = 0
        self._late_transactions: deque[int] = deque(maxlen=_LATE_TRANSACTIONS_MAX)
        self._owed: dict[int, dict[Signature, int]] = {}
        self._silent = 0

    def unit_of(self, request: bytes) -> int:
        """Return the unit that a written frame is for."""
        return self._framing.unit_of(request)

    def kept(self) -> list[Any]:
        """Return what it knows of earlier exchanges, for `restore`."""
        owed = [
            [unit, *signature, until_ns]
            for unit, answers in self._owed.items()
            for signature, until_ns in answers.items()
        ]
        return [self._transaction, list(self._late_transactions), owed, self._silent]

    def restore(self, kept: list[Any]) -> None:
        """Know what another bus knew."""
        self._transaction, late, owed, self._silent = kept
        self._late_transactions = deque(late, maxlen=_LATE_TRANSACTIONS_MAX)
        self._owed = {}
        for unit, function, byte_count, until_ns in owed:
            self._owed.setdefault(unit, {})[Signature(function, byte_count)] = until_ns

    async def exchange(self, wire: Wire, request: Request, timeout_s: float) -> Exchange:
        """Ask once. Never raises what the world does: the exchange says it."""
        if not self._framing.numbered and request.signature in self._owed_by(request.unit):
            probe = self._probe(request)
            if probe is not None:
                first = await self._exchange_once(wire, probe, timeout_s)
                if first.error is not None and not isinstance(first.error, DeviceException):
                    return first
                # Everything asked before was answered, or never will be. A refusal may itself be late: then
                # the probe's answer is still to come, and is told apart by its length.
                self._owed[request.unit] = (
                    {} if first.error is None else {probe.signature: self._owed_until()}
                )
        return await self._exchange_once(wire, request, timeout_s)

    async def _exchange_once(self, wire: Wire, request: Request, timeout_s: float) -> Exchange:
        line = self.line
        if not await line.settle(wire):
            error: DriverError = LineBusy(
                "the line does not become quiet",
                endpoint=line.endpoint,
                hint="is there another master on the line?",
            )
            return Exchange(None, wire.inbox.known_run_ns, error=error)
        wire.inbox.clear()
        self._transaction = self._transaction % 65535 + 1
        # Noted before sending and not after failing: the caller may be cancelled in between.
        if self._framing.numbered:
            self._late_transactions.append(self._transaction)
        else:
            self._owed_by(request.unit)[request.signature] = self._owed_until()
        data = self._framing.encode(request, self._transaction)
        line_s = len(data) * self._character_s
        asked: Stamp | None = None
        until_ns = wire.inbox.known_run_ns
        try:
            asked = line.begin(wire, data, line_s)
            answer_bytes = _ANSWER_OVERHEAD_BYTES + (request.byte_count or 0)
            answer_s = answer_bytes * self._framing.characters_per_byte * self._character_s
            until_ns = asked.run_ns + int((line_s + timeout_s + answer_s) * NS_PER_S)
            answer = await self._answer(wire, request, until_ns)
        except DeviceException as refusal:
            self._succeeded(request)
            return Exchange(asked, wire.inbox.last_run_ns, error=self._placed(refusal))
        except DriverError as failure:
            self._failed(failure)
            return Exchange(asked, _ended_ns(wire.inbox, failure, until_ns), error=self._placed(failure))
        self._succeeded(request)
        return Exchange(asked, wire.inbox.last_run_ns, answer)

    async def _answer(self, wire: Wire, request: Request, until_ns: int) -> bytes:
        inbox = wire.inbox
        while True:
            frame, damage = self._take(inbox, request)
            if frame is None:
                if damage is not None and self._framing.numbered:
                    raise damage
                await self._more(inbox, until_ns, damage)
            elif not self._is_late(request, frame):
                return check_answer(request, frame)

    def _take(self, inbox: Inbox, request: Request) -> tuple[Frame | None, BadFrame | None]:
        """Take the next frame, behind noise too; or say what is wrong with the bytes so far, or neither."""
        while True:
            damage = None
            try:
                frame = self._framing.take(bytes(inbox.data))
                if frame is not None:
                    inbox.take(frame.used)
                    return frame, None
            except BadFrame as error:
                damage = error
            noise = self._framing.resync(bytes(inbox.data), request)
            if not noise:
                return None, damage
            inbox.take(noise)

    async def _more(self, inbox: Inbox, until_ns: int, damage: BadFrame | None) -> None:
        """Wait for more bytes; raises what has become of the answer when none come."""
        if inbox.lost is not None:
            raise inbox.lost
        # What follows damage follows at once, or nothing does.
        quiet_ns = inbox.last_run_ns + int(AFTER_DAMAGE_S * NS_PER_S)
        if await inbox.wait(until_ns if damage is None else min(until_ns, quiet_ns)):
            return
        if damage is not None:
            raise damage
        if inbox.data:
            raise BadFrame(f"the answer broke off after {len(inbox.data)} bytes", hint="check the wiring")
        raise NoAnswer("no answer in time", hint="check power, unit number and line settings")

    def _is_late(self, request: Request, frame: Frame) -> bool:
        """Tell whether a frame answers an earlier request. Raises WrongAnswer for a number never given."""
        if frame.transaction is not None:
            if frame.transaction == self._transaction:
                return False
            if frame.transaction in self._late_transactions:
                return True
            raise WrongAnswer(
                f"the answer carries number {frame.transaction} in place of {self._transaction}"
            )
        signature = answer_signature(frame)
        if frame.unit == request.unit and signature == request.signature:
            return False
        return self._owed_by(frame.unit).pop(signature, None) is not None

    def _succeeded(self, request: Request) -> None:
        self.line.done()
        self._silent = 0
        if not self._framing.numbered:
            self._owed_by(request.unit).pop(request.signature, None)

    def _failed(self, failure: DriverError) -> None:
        self.line.abandon()
        if isinstance(failure, LinkDown):
            self._owed.clear()
        elif self._framing.numbered:
            self._silent += isinstance(failure, NoAnswer)
            # Damage in a stream has no end that could be found; silence may be a peer that is no more.
            if isinstance(failure, BadFrame) or self._silent >= SILENT_EXCHANGES_MAX:
                self._silent = 0
                self.line.drop()

    def _owed_until(self) -> int:
        return self.line.leased_run_ns + int(OWED_MAX_S * NS_PER_S)

    def _owed_by(self, unit: int) -> dict[Signature, int]:
        now_ns = self.line.leased_run_ns
        owed = {signature: until for signature, until in self._owed.get(unit, {}).items() if until > now_ns}
        self._owed[unit] = owed
        return owed

    def _probe(self, request: Request) -> Request | None:
        """Return a request whose answer looks like no other; None when the request cannot be varied."""
        if request.byte_count is None:
            return None
        address, asked = int.from_bytes(request.pdu[1:3], "big"), int.from_bytes(request.pdu[3:5], "big")
        owed = self._owed_by(request.unit)
        # Fewer than asked is always allowed; more is a last resort.
        for count in (*range(1, asked), *range(asked + 1, min(125, 65536 - address) + 1)):
            signature = Signature(request.function, data_bytes(request.function, count))
            if signature != request.signature and signature not in owed:
                return read_request(request.unit, request.function, address, count, signature.byte_count or 0)
        return None

    def _placed(self, error: DriverError) -> DriverError:
        error.endpoint = error.endpoint or self.line.endpoint
        return error


def _ended_ns(inbox: Inbox, failure: DriverError, until_ns: int) -> int:
    """Return when an exchange was over that failed: by what happened, not by when it was noticed."""
    if isinstance(failure, LinkDown):
        return inbox.lost_at.run_ns or until_ns
    return until_ns if isinstance(failure, NoAnswer) else inbox.last_run_ns
