"""What intake knows of one instrument, and where its records go."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.intake.onsets import Onsets
from pipeline.records import Gap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.intake.frames import LateFlags, OpenFrame
    from pipeline.records import Block, Record
    from pipeline.records.envelope import Body, By


class Sink(Protocol):
    """Where records go: the gateway's recorder."""

    def append(self, kind: str, body: Body, *, instrument: str | None = None, by: By | None = None) -> Record:
        """Append one record; `instrument` decides its source.

        Raises:
            JournalFullError: it was not taken.
        """
        ...

    async def room(self) -> None:
        """Wait until the journal can take more."""
        ...

    def stored_offsets(self, instrument: str, t_utc_ns: NDArray[Any]) -> NDArray[Any] | None:
        """Offsets that make the stored times of an instrument strictly increase; None when all are zero."""
        ...


@dataclass(slots=True)
class InstrumentState:
    """What intake knows of one instrument."""

    late: LateFlags
    onsets: Onsets = field(default_factory=Onsets)
    n_next: int = 0
    last_run_ns: int | None = None
    """Gateway time of the last row."""
    last_utc_ns: int | None = None
    gap: Gap | None = None
    """The gap that has begun and not ended."""
    accounted: tuple[int, int] | None = None
    """Gateway time and UTC up to which rows and ended gaps account for the instrument's polls."""
    frame: OpenFrame | None = None
    cause: tuple[int, int] = (-1, 0)
    """Seq of the last record that late flags can follow from, and how many have."""
    qc_error: str = ""
    recorded: tuple[int, int | None] = (0, None)
    """Rows in records that were appended, and UTC of the last of them."""

    def account(self, run_ns: int, utc_ns: int) -> None:
        """Rows or a gap reach up to here."""
        if self.accounted is None or run_ns > self.accounted[0]:
            self.accounted = run_ns, utc_ns

    def see_rows(self, block: Block) -> None:
        """Note the last row of a block."""
        self.last_run_ns, self.last_utc_ns = int(block.t_run_ns[-1]), int(block.t_utc_ns[-1])
        self.account(self.last_run_ns, self.last_utc_ns)

    def see_recorded(self, block: Block, n_first: int) -> None:
        """Note rows whose record was appended."""
        self.recorded = n_first + len(block), int(block.t_utc_ns[-1])

    def go_on_from(self, n_next: int) -> None:
        """Give no ordinal below this one."""
        if n_next > self.n_next:
            self.n_next, self.recorded = n_next, (n_next, self.recorded[1])

    def see_gap(self, gap: Gap) -> None:
        """Note a gap that has begun or ended."""
        self.gap = None if gap.ended else gap
        if gap.ended:
            self.account(gap.to_run_ns, gap.to_utc_ns)

    def save(self) -> list[Any]:
        """State for a snapshot; no frame is open then."""
        gap = None if self.gap is None else asdict(self.gap)
        return [self.n_next, self.last_run_ns, self.last_utc_ns, gap, self.accounted, self.late.save()]

    def load(self, saved: list[Any]) -> None:
        """Take up what `save` gave."""
        self.n_next, self.last_run_ns, self.last_utc_ns, gap, accounted, late = saved
        self.recorded = self.n_next, self.last_utc_ns
        self.gap = None if gap is None else Gap(**gap)
        self.accounted = None if accounted is None else (accounted[0], accounted[1])
        self.late.load(late)


def polls_between(from_ns: int, to_ns: int, period_ns: int) -> int:
    """Count the deadlines of a period in a span of time; none for an instrument that is not polled."""
    return round((to_ns - from_ns) / period_ns) if period_ns else 0


def ended_at_stop(gap: Gap, stopped_run_ns: int, stopped_utc_ns: int, period_ns: int, now_run_ns: int) -> Gap:
    """Return a gap that was open when acquisition stopped, as it ended then.

    It reaches to the deadline after the last one that it counts, which may lie after the last record.
    """
    counted_ns = min(gap.from_run_ns + gap.polls * period_ns, now_run_ns)
    to_run_ns = max(stopped_run_ns, gap.to_run_ns, counted_ns)
    to_utc_ns = stopped_utc_ns + to_run_ns - stopped_run_ns
    polls = max(gap.polls, polls_between(gap.from_run_ns, to_run_ns, period_ns))
    return replace(gap, to_run_ns=to_run_ns, to_utc_ns=to_utc_ns, polls=polls, ended=True)
