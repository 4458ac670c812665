"""Can I trust this page? Freshness, completeness, control, backlog, clock, seal, each with its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pipeline.records.flags import Flag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dashboard.language import Messages
    from dashboard.watch import View
    from pipeline.store.door import LedgerRow

State = Literal["good", "attention", "bad", "unknown"]
Json = dict[str, Any]

COMPLETE_MIN = 0.95
"""Below this share of expected readings the page asks for attention; a task's checks have limits too."""
SEAL_AGE_S_MAX = 60.0
"""A checkpoint comes at least every 10 s while records come; an older one than this asks for attention."""
CLOCK_ERROR_NS_MAX = 100_000_000
BACKLOG_AGE_S_MAX = 30.0
SECOND_NS = 1_000_000_000


def trust_items(view: View, text: Messages) -> list[Json]:
    """Build the six answers in the order in which they are shown."""
    return [
        _freshness(view, text), _completeness(view, text), _passed(view, text), _backlog(view, text),
        _clock(view, text), _seal(view, text),
    ]  # fmt: skip


def _item(name: str, state: State, value: str, detail: str, text: Messages, **more: object) -> Json:
    return {
        "id": name,
        "state": state,
        "title": text(f"trust.{name}"),
        "value": value,
        "detail": detail,
        **more,
    }


def _freshness(view: View, text: Messages) -> Json:
    known = sorted({*view.site.instruments, *view.latest})
    if not known:
        return _item("freshness", "unknown", "–", text("trust.no_data"), text)
    stale = [
        name
        for name in known
        if name not in view.latest
        or view.at_utc_ns - view.latest[name].t_utc_ns > view.site.instrument(name).stale_after_s * SECOND_NS
    ]
    value = text("trust.fresh_of", fresh=len(known) - len(stale), all=len(known))
    detail = text("trust.stale_names", names=", ".join(stale)) if stale else text("trust.all_fresh")
    state: State = "bad" if len(stale) == len(known) else "attention" if stale else "good"
    return _item("freshness", state, value, detail, text)


def gap_polls(gaps: Iterable[LedgerRow], since_ns: int, until_ns: int) -> dict[str, float]:
    """Count the polls not sent in a span, by instrument; of a gap across its edge the share inside."""
    whole: dict[tuple[bytes, str, int], dict[str, Any]] = {}
    for row in gaps:
        key = (row.journal, row.body["instrument"], row.body["from_run_ns"])
        if key not in whole or row.body["polls"] >= whole[key]["polls"]:
            whole[key] = row.body
    polls: dict[str, float] = {}
    for gap in whole.values():
        start_ns, end_ns = gap["from_utc_ns"], max(gap["to_utc_ns"], gap["from_utc_ns"] + 1)
        inside_ns = min(end_ns, until_ns) - max(start_ns, since_ns)
        if inside_ns > 0:
            share = gap["polls"] * inside_ns / (end_ns - start_ns)
            polls[gap["instrument"]] = polls.get(gap["instrument"], 0.0) + share
    return polls


def completeness(view: View) -> tuple[float, int, int] | None:
    """Return (share of expected readings that were good, readings missing, polls not sent), or None."""
    polls = gap_polls(view.ledger.get("gap", ()), view.counts_from_utc_ns, view.counts_to_utc_ns)
    good = missing = 0
    expected = 0.0
    for name, counts in view.counts.items():
        good += counts.readings - counts.flags.get(Flag.MISSING, 0)
        missing += counts.flags.get(Flag.MISSING, 0)
        channels = counts.readings / counts.rows if counts.rows else 1.0
        expected += counts.readings + polls.get(name, 0.0) * channels
    # An instrument that sent nothing in the span has gaps only.
    for name in polls.keys() - view.counts.keys():
        expected += polls[name] * max(len(view.site.instrument(name).channels), 1)
    return None if expected == 0 else (good / expected, missing, round(sum(polls.values())))


def _completeness(view: View, text: Messages) -> Json:
    found = completeness(view)
    if found is None:
        return _item("completeness", "unknown", "–", text("trust.no_data"), text)
    share, missing, polls = found
    detail = text("trust.missing_and_gaps", missing=missing, polls=polls)
    state: State = "good" if share >= COMPLETE_MIN else "attention"
    return _item("completeness", state, _percent(share), detail, text, share=share)


def _passed(view: View, text: Messages) -> Json:
    flags: dict[int, int] = {}
    for counts in view.counts.values():
        for flag, number in counts.flags.items():
            flags[flag] = flags.get(flag, 0) + number
    received = sum(number for flag, number in flags.items() if flag != Flag.MISSING)
    if not received:
        return _item("passed", "unknown", "–", text("trust.no_data"), text)
    failed, suspect = flags.get(Flag.FAIL, 0), flags.get(Flag.SUSPECT, 0)
    detail = text(
        "trust.flag_counts", suspect=suspect, fail=failed, not_evaluated=flags.get(Flag.NOT_EVALUATED, 0)
    )
    state: State = "attention" if failed or suspect else "good"
    share = flags.get(Flag.PASS, 0) / received
    return _item("passed", state, _percent(share), detail, text, share=share)


def _percent(share: float) -> str:
    # Rounded down: 99.99 % is not shown as 100.0 %.
    return f"{int(share * 1000) / 10:.1f} %"


def _backlog(view: View, text: Messages) -> Json:
    if view.status is None:
        detail = text("trust.door_away") if view.door_error else text("trust.no_door")
        return _item("backlog", "bad" if view.door_error else "unknown", "–", detail, text)
    journal = view.status.get("journal") or {}
    records = int(journal.get("backlog_records") or 0)
    since_ns = journal.get("backlog_since_utc_ns")
    waits_s = (view.at_utc_ns - since_ns) / SECOND_NS if records and since_ns else 0.0
    detail = text("trust.backlog_since", seconds=round(waits_s)) if waits_s else text("trust.backlog_none")
    state: State = "attention" if waits_s > BACKLOG_AGE_S_MAX else "good"
    return _item("backlog", state, text("trust.records", number=records), detail, text)


def _clock(view: View, text: Messages) -> Json:
    clock = (view.status or {}).get("clock")
    if not clock:
        return _item("clock", "unknown", "–", text("trust.clock_unknown"), text)
    if not clock.get("synchronised"):
        return _item("clock", "attention", text("trust.unsynchronised"), text("trust.clock_flags"), text)
    error_ns = int(clock.get("error_ns", -1))
    value = text("trust.synchronised")
    if error_ns < 0:
        return _item("clock", "good", value, text("trust.clock_no_error"), text)
    state: State = "good" if error_ns <= CLOCK_ERROR_NS_MAX else "attention"
    return _item("clock", state, value, text("trust.clock_error", milliseconds=f"{error_ns / 1e6:.3g}"), text)


def _seal(view: View, text: Messages) -> Json:
    rows = view.ledger.get("checkpoint") or []
    if not rows:
        return _item("seal", "unknown", text("trust.unsealed"), text("trust.no_checkpoint"), text)
    newest = rows[0]
    age_s = (view.at_utc_ns - newest.t_utc_ns) / SECOND_NS
    state: State = "good" if age_s <= SEAL_AGE_S_MAX else "attention"
    size = int(newest.body.get("size", 0))
    return _item(
        "seal", state, text("trust.sealed_through", size=size), _witnessed(view, size, text), text,
        t_ms=newest.t_utc_ns / 1e6,
    )  # fmt: skip


def _witnessed(view: View, size: int, text: Messages) -> str:
    """Say how much of a seal somebody outside has seen: by the witness that has seen most."""
    witnesses = (view.status or {}).get("witnesses") or {}
    seen = max(witnesses.values(), key=lambda one: one["size"], default=None)
    if seen is None or not seen["size"]:
        return text("trust.not_witnessed")
    left = max(0, size - seen["size"])
    key = "trust.witnessed_partly" if left else "trust.witnessed"
    return text(key, operator=seen["operator"], size=seen["size"], left=left)
