"""The outbox under any order of additions, time, receipts, refusals: limits, nothing lost, back-off."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.mqtt.outbox import LIVE_SHARE, ROOM_SHARE, Lane, Message, Outbox, group
from pipeline.records.ranges import RangeSet
from tests.support.journal_fake import make_record

SECOND_NS = 1_000_000_000
FIRST_NS, MAX_NS = 10 * SECOND_NS, 300 * SECOND_NS
WINDOW_BYTES = 4096

lanes = st.sampled_from(["live", "backlog"])
actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), lanes, st.integers(1, 600), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(0, 40 * SECOND_NS)),
        st.tuples(st.just("receipt"), st.integers(0, 200), st.integers(0, 20)),
        st.tuples(st.just("refuse"), st.integers(0, 3)),
        st.tuples(st.just("silence"), st.integers(0, 200)),
    ),
    max_size=120,
)


@dataclass
class Model:
    """What must be true of the outbox, kept in the plainest way."""

    outbox: Outbox = field(default_factory=lambda: Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS))
    now_ns: int = 0
    next_seq: int = 0
    messages: dict[int, Message] = field(default_factory=dict)
    aside: set[int] = field(default_factory=set)
    stored: RangeSet = field(default_factory=RangeSet)
    sent_ns: dict[int, int] = field(default_factory=dict)

    def add(self, lane: Lane, size: int, topic: int) -> None:
        if self.outbox.room(lane, self.now_ns) == 0:
            return
        seq, self.next_seq = self.next_seq, self.next_seq + 1
        message = Message(f"topic/{topic}", RangeSet([(seq, seq)]), bytes(size), lane)
        self.messages[seq] = message
        if message.topic in {topic for topic, _ in self.outbox._refusals}:
            self.aside.add(seq)
        self.outbox.add(message)

    def wait(self, time_ns: int) -> None:
        self.now_ns += time_ns
        for message in self.outbox.due(self.now_ns):
            (seq, _) = message.span
            full = self.outbox.room("live", self.now_ns) == 0
            assert full or self.now_ns - self.sent_ns.get(seq, -MAX_NS) >= FIRST_NS
            self.sent_ns[seq] = self.now_ns
        for span in self.outbox.retry(self.now_ns):
            again = {s for s in self.aside if self.messages[s].topic == span.topic}
            assert all(span.first <= s <= span.last for s in again)
            self.aside -= again
            for seq in again:
                self.outbox.add(self.messages[seq])

    def receipt(self, first: int, count: int) -> None:
        last = min(first + count, self.next_seq - 1)
        if first <= last:
            self.stored.add(first, last)
        self.outbox.receipted(self.stored, self.now_ns)

    def refuse(self, topic: int) -> None:
        name = f"topic/{topic}"
        waiting = [s for s in self.in_window() if self.messages[s].topic == name]
        if waiting:
            self.outbox.refused(self.messages[waiting[0]], self.now_ns)
            self.aside.update(waiting)

    def silence(self, seq: int) -> None:
        if seq in self.in_window():
            self.outbox.nobody_listens(self.messages[seq], self.now_ns)
            self.sent_ns.pop(seq, None)
            assert self.outbox.due(self.now_ns) == []
            assert self.outbox.room("live", self.now_ns) == 0

    def in_window(self) -> set[int]:
        return {seq for first, last in self.outbox.seqs() for seq in range(first, last + 1)}

    def check(self) -> None:
        waiting = {seq for seq in self.messages if seq not in self.stored}
        assert self.in_window() | self.aside >= waiting
        assert not self.in_window() & self.aside
        for lane, limit in (("live", 1024), ("backlog", 3072)):
            held = sum(
                len(self.messages[s].payload) for s in self.in_window() if self.messages[s].lane == lane
            )
            assert held < limit + 600
        assert self.outbox.contents()[1] == sum(len(self.messages[s].payload) for s in self.in_window())


@given(actions)
def test_limits_hold_and_nothing_is_forgotten(steps: list[tuple]) -> None:  # type: ignore[type-arg]
    model = Model()
    for name, *args in steps:
        getattr(model, name)(*args)
        model.check()


@given(st.integers(1, 10_000))
def test_a_full_backlog_leaves_the_live_lane_its_share(size: int) -> None:
    outbox = Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS)
    while outbox.room("backlog", 0):
        outbox.add(Message("t", RangeSet([(0, 0)]), bytes(size), "backlog"))
    assert outbox.room("live", 0) == WINDOW_BYTES // LIVE_SHARE


def test_without_a_receipt_the_waiting_doubles_up_to_its_limit() -> None:
    outbox = Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS)
    outbox.add(Message("t", RangeSet([(0, 0)]), b"x", "live"))
    sent = [second for second in range(2000) if outbox.due(second * SECOND_NS)]
    assert [b - a for a, b in pairwise(sent)][:8] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_a_full_window_is_probed_and_wakes_with_the_first_receipt() -> None:
    outbox = Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS)
    for seq in range(4):
        outbox.add(Message(f"t{seq}", RangeSet([(seq, seq)]), bytes(300), "live"))
    outbox.receipted(RangeSet(), 0)
    sent = [(second, [m.span[0] for m in outbox.due(second * SECOND_NS)]) for second in range(200)]
    times = [second for second, seqs in sent if seqs]
    assert max(b - a for a, b in pairwise(times)) == 10
    outbox.receipted(RangeSet([(0, 0)]), 200 * SECOND_NS)
    woken = {m.span[0] for second in range(200, 211) for m in outbox.due(second * SECOND_NS)}
    assert woken == {1, 2, 3}


def test_silence_doubles_and_ends_with_a_receipt() -> None:
    outbox = Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS)
    outbox.add(Message("t", RangeSet([(0, 0)]), b"x", "live"))
    now_ns, waits = 0, []
    for _ in range(7):
        (message,) = outbox.due(now_ns)
        outbox.nobody_listens(message, now_ns)
        start_ns = now_ns
        while not outbox.room("live", now_ns):
            now_ns += SECOND_NS // 2
        waits.append((now_ns - start_ns) // SECOND_NS)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert outbox.silent
    outbox.receipted(RangeSet(), now_ns)
    assert not outbox.silent


def test_a_message_too_large_waits_alone() -> None:
    outbox = Outbox(WINDOW_BYTES, FIRST_NS, MAX_NS)
    large = Message("t", RangeSet([(5, 5)]), bytes(900), "backlog")
    small = Message("t", RangeSet([(6, 6)]), b"x", "backlog")
    outbox.add(large)
    outbox.add(small)
    outbox.due(0)
    outbox.refused(large, 0, alone=True)
    assert list(outbox.seqs()) == [(6, 6)]
    assert outbox.retry(FIRST_NS - 1) == []
    assert outbox.retry(FIRST_NS) == [("t", 5, 5)]


@given(
    st.lists(
        st.tuples(st.sampled_from(["event", "data"]), st.sampled_from(["", "a", "b"]), st.integers(0, 200))
    ),
    st.integers(64, 1000),
)
def test_grouping_keeps_all_bytes_in_order_by_topic(
    parts: list[tuple[str, str, int]], bytes_max: int
) -> None:
    records = [
        make_record(seq, kind, {"instrument": name or None, "fill": bytes(fill)})
        for seq, (kind, name, fill) in enumerate(parts)
    ]
    keys = {f"{kind}/{name}": f"{kind}-{name}" for kind in ("event", "data") for name in ("", "a", "b")}
    messages = group(records, keys, "live", bytes_max)
    for topic in set(keys.values()):
        expected = [r for r in records if keys[f"{r.kind}/{r.body['instrument'] or ''}"] == topic]
        sent = [m for m in messages if m.topic == topic]
        assert b"".join(m.payload for m in sent) == b"".join(r.data for r in expected)
        assert [s for m in sent for a, b in m.seqs for s in range(a, b + 1)] == [r.seq for r in expected]
        assert all(len(m.payload) <= bytes_max or len(m.seqs) == 1 for m in sent)


def test_the_shares_are_what_the_tests_above_count_with() -> None:
    assert (LIVE_SHARE, ROOM_SHARE) == (4, 8)
