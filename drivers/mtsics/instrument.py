"""A balance as its poller sees it: question and answer, and what its print key says in between."""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING, NamedTuple

from drivers.door import Description, Identity, what_is_found
from drivers.errors import BadFrame, LineBusy, LinkDown, NoAnswer
from drivers.mtsics.lines import ErrorLine, StatusLine, cut_line, parse_line
from drivers.mtsics.rows import Rows, status_of
from drivers.news import News
from drivers.poller import Outcome, Poller
from drivers.schedule import NS_PER_S
from drivers.transport import Line, open_serial, open_tcp
from drivers.transport.wire import Stamp
from pipeline.records import Status

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from drivers.door import Driver
    from drivers.mtsics import lines
    from drivers.mtsics.settings import MtsicsSettings
    from drivers.transport import Inbox, Wire
    from drivers.transport.line import Wires
    from drivers.transport.recording import Kept
    from pipeline.records import Clock, Item

_IDENTITY_COMMANDS = ("I4", "I2", "I3")
"""Serial number, balance data, software version."""
_IDENTITY_SILENCES_MAX = 2
_RESYNC = "I4"
"""A question whose answer is no weight: once it is there, no late weight can follow."""
_FRAMES = "lines"
_ERRORS = "errors"
_ANSWER_CHARACTERS = 64
"""Room for command and answer on a serial line, added to the time-out."""


class _Heard(NamedTuple):
    """One line, with when its first and its last byte came."""

    line: lines.Line | BadFrame
    raw: bytes
    first: Stamp
    last: Stamp


class MtsicsInstrument:
    """A balance alone on its line."""

    def __init__(self, settings: MtsicsSettings, line: Line, *, character_s: float = 0.0) -> None:
        self._settings = settings
        self._line = line
        self._timeout_ns = int((settings.timeout_s + _ANSWER_CHARACTERS * character_s) * NS_PER_S)
        self._rows = Rows(settings)
        self._news = News(settings.id, line.clock)
        self._identity: Identity | None = None
        self._identified_connection = 0
        # An answer is owed after a time-out: the next weight may be it, and nothing in the line would tell.
        self._owed = False
        self._identity_silences = 0

    def describe(self) -> Description:
        """Tell what is known of the balance now."""
        settings = self._settings
        return Description(
            settings.id, settings.driver, settings.source, settings.endpoint, self._rows.layout,
            self._identity, settings.poll_interval_s,
            what_is_found(self._identity, pseudo_terminal=self._line.pseudo_terminal),
        )  # fmt: skip

    @property
    def line(self) -> Line:
        """The line that it hangs on."""
        return self._line

    def owns(self, request: bytes) -> bool:  # noqa: ARG002 - a balance has its line alone
        """Tell whether a request was for this balance."""
        return True

    def kept(self) -> Kept:
        """Return what earlier polls have shown, for `restore`."""
        return {
            "owed": self._owed, "rows": self._rows.kept(), "news": self._news.kept(),
            "identity": None if self._identity is None else astuple(self._identity),
            "identified": [self._identified_connection, self._identity_silences],
        }  # fmt: skip

    def restore(self, kept: Kept) -> None:
        """Know what another one of the same settings knew."""
        self._owed = kept["owed"]
        self._rows.restore(kept["rows"])
        self._news.restore(kept["news"])
        self._identity = None if kept["identity"] is None else Identity(*kept["identity"])
        self._identified_connection, self._identity_silences = kept["identified"]

    async def open(self, wake: Callable[[], None]) -> None:
        """Claim the line."""
        self._line.on_data = wake
        self._line.join()

    async def close(self) -> None:
        """Give the line back."""
        self._line.leave()

    def unsolicited(self) -> Sequence[Item]:
        """Take the lines that nobody asked for: the print key, a restart, noise."""
        items: list[Item] = []
        if self._line.inbox is not None:
            while (heard := _next_line(self._line.inbox)) is not None:
                items += self._tell(heard, late=self._owed)
        return items

    async def poll(self, until_run_ns: int) -> Outcome:
        """Ask for the weight, unless there is no connection."""
        try:
            async with self._line.lease(until_run_ns) as wire:
                return await self._poll(wire)
        except LineBusy as error:
            return Outcome(cause="line-busy", error=error)
        except LinkDown as error:
            return Outcome(cause="disconnected", error=error)

    async def _poll(self, wire: Wire) -> Outcome:
        if not await self._line.settle(wire):
            raise LineBusy(
                "the balance does not stop talking", endpoint=self._line.endpoint, hint="end SIR with @"
            )
        items = list(self.unsolicited())
        if self._line.dirty:
            # After the quarantine the beginning of a line has no end to wait for.
            wire.inbox.clear()
        resync = self._owed
        request = self._send(wire, _RESYNC if resync else self._settings.command)
        try:
            if resync:
                await self._answer(wire, _RESYNC, request, items, late=True)
                request = self._send(wire, self._settings.command)
            heard = await self._answer(wire, self._settings.command, request, items)
            if isinstance(heard.line, BadFrame):
                raise heard.line
        except (NoAnswer, BadFrame, LinkDown) as failure:
            self._line.abandon()
            self._identified_connection = 0
            items += self._news.exchange(_FRAMES, failure)
            raw = failure.raw if isinstance(failure, BadFrame) else b""
            items.append(
                self._rows.row(
                    None, failure.status, raw, request, self._given_up(wire.inbox, request, failure)
                )
            )
            return Outcome(items, error=failure)
        self._news.fine(_FRAMES)
        items += self._complaint(heard.line)
        # Made before the identity is read, handed out after it: its stamps are its own exchange's.
        row = self._rows.row(heard.line, status_of(heard.line), heard.raw, request, heard.last)
        if self._wants_identity():
            items += await self._identify(wire)
        return Outcome([*items, row])

    def _given_up(self, inbox: Inbox, request: Stamp, failure: Exception | None) -> Stamp:
        """Return when waiting was over: by what happened, not by when it was noticed."""
        run_ns = request.run_ns + self._timeout_ns
        if isinstance(failure, LinkDown):
            run_ns = inbox.lost_at.run_ns or run_ns
        return Stamp(request.utc_ns + run_ns - request.run_ns, run_ns)

    def _send(self, wire: Wire, command: str) -> Stamp:
        """Write a command; return when. Raises LinkDown, and then nothing was sent."""
        # Noted before sending and not after failing: the caller may be cancelled in between.
        self._owed = True
        return self._line.begin(wire, f"{command}\r\n".encode())

    async def _answer(
        self, wire: Wire, command: str, request: Stamp, items: list[Item], *, late: bool = False
    ) -> _Heard:
        """Wait for the answer to `command`; what else is said meanwhile goes to `items`.

        With `late` a weight that comes meanwhile may be the answer to an earlier question.

        Raises:
            NoAnswer: nothing came in time.
            LinkDown: the connection ended.
        """
        until_ns = request.run_ns + self._timeout_ns
        while True:
            heard = _next_line(wire.inbox)
            if heard is None:
                if wire.inbox.lost is not None:
                    raise wire.inbox.lost
                if not await wire.inbox.wait(until_ns):
                    break
            elif _answers(heard.line, command):
                if not isinstance(heard.line, BadFrame):
                    self._owed = False
                    self._line.done()
                return heard
            else:
                items += self._tell(heard, late=late)
        if not wire.inbox.data:
            raise NoAnswer(
                "no answer in time", endpoint=self._line.endpoint, hint="check power and line settings"
            )
        raw = wire.inbox.take(len(wire.inbox.data))
        damage = BadFrame(f"the line broke off after {len(raw)} bytes", raw=raw, endpoint=self._line.endpoint)
        return _Heard(damage, raw, request, self._given_up(wire.inbox, request, None))

    def _tell(self, heard: _Heard, *, late: bool) -> list[Item]:
        """Return what a line means that is no answer.

        With `late` it may be the answer to an earlier question: its value has then no certain time, and is
        reported as text only.
        """
        line = heard.line
        if isinstance(line, BadFrame):
            return list(self._news.exchange(_FRAMES, line))
        weighs = _is_weight(line)
        if weighs and not late:
            return [
                *self._complaint(line),
                self._rows.row(line, status_of(line), heard.raw, heard.first, heard.first),
            ]
        if isinstance(line, ErrorLine) and not late:
            return list(self._complaint(line))
        if isinstance(line, StatusLine) and line.command == "I4":
            # A balance that starts says its serial number: it may be another one.
            self._identified_connection = 0
        text = heard.raw.decode("ascii", "replace")
        return [self._news.event("device-message", text=f"{text} (late)" if late else text)]

    def _complaint(self, line: lines.Line) -> list[Item]:
        """Return the news of an answer by which the balance refuses."""
        if status_of(line) != Status.DEVICE_ERROR:
            self._news.fine(_ERRORS)
            return []
        if isinstance(line, ErrorLine):
            code, meaning = line.code, line.meaning
        else:
            code, meaning = "S L", "parameter not allowed"
        return list(self._news.change("device-error", _ERRORS, code, code=code, meaning=meaning))

    def _wants_identity(self) -> bool:
        return (
            self._settings.read_identity
            and self._identity_silences < _IDENTITY_SILENCES_MAX
            and self._identified_connection != self._line.connections
        )

    async def _identify(self, wire: Wire) -> list[Item]:
        """Ask the balance who it is; questions that it does not know stay empty."""
        self._identified_connection = self._line.connections
        items: list[Item] = []
        texts: list[str] = []
        for command in _IDENTITY_COMMANDS:
            try:
                request = self._send(wire, command)
                heard = await self._answer(wire, command, request, items)
            except (NoAnswer, LinkDown):
                self._line.abandon()
                self._identity_silences += 1
                return items
            known = isinstance(heard.line, StatusLine) and heard.line.status == "A"
            texts.append(" ".join(heard.line.texts) if known and isinstance(heard.line, StatusLine) else "")
        self._identity_silences = 0
        self._identity = Identity(model=texts[1], serial=texts[0], revision=texts[2])
        return [*items, self._news.identity(self._identity)]


def _next_line(inbox: Inbox) -> _Heard | None:
    """Take the next line that is not empty; None while it is incomplete."""
    while (cut := cut_line(inbox.data)) is not None:
        raw, used = cut
        first, last = inbox.stamp(0), inbox.stamp(used - 1)
        inbox.take(used)
        if raw:
            try:
                return _Heard(parse_line(raw), raw, first, last)
            except BadFrame as damage:
                return _Heard(damage, raw, first, last)
    return None


def _is_weight(line: lines.Line) -> bool:
    """Tell whether a line answers S or SI, or is what the print key sends: the id is S for all of them."""
    return not isinstance(line, ErrorLine) and line.command in {"S", "SI"}


def _answers(line: lines.Line | BadFrame, command: str) -> bool:
    """Tell whether a line can answer `command`; errors and damage carry no id and count as answers."""
    if isinstance(line, BadFrame | ErrorLine):
        return True
    if command in {"S", "SI"}:
        return _is_weight(line)
    return isinstance(line, StatusLine) and line.command == command and line.status != "B"


def build_mtsics(
    instruments: Sequence[MtsicsSettings], clock: Clock, rng: random.Random, wires: Wires
) -> list[Driver]:
    """Make the drivers of balances; each has its line alone."""
    return [_build(settings, clock, rng, wires) for settings in instruments]


def _build(settings: MtsicsSettings, clock: Clock, rng: random.Random, wires: Wires) -> Driver:
    parameters = settings.serial()

    async def connect() -> Wire:
        if parameters is not None:
            return open_serial(parameters, clock=clock)
        return await open_tcp(
            settings.host or "", settings.port, timeout_s=settings.connect_timeout_s, clock=clock
        )

    line = Line(settings.endpoint, wires(connect), clock, rng, quarantine=True)
    character_s = 0.0 if parameters is None else parameters.character_s
    return Poller(MtsicsInstrument(settings, line, character_s=character_s), clock, rng)
