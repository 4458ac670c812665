"""Batches of `data` records to columns by the forms that are remembered, without decoding each record."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.store import schema
from pipeline.store.influx.lines import Columns, RowTags
from pipeline.store.influx.outline import ABSENT, FLAG, NO_FORM, PLACES, REASON, STATUS, Formless, form_of
from pipeline.store.plans import measured, plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from pipeline.records import Record
    from pipeline.store.door import Origin
    from pipeline.store.influx.outline import Form

FORMS_KEPT = 1024
FORM_BYTES_KEPT = 8 * 1024 * 1024
"""Forms that are remembered, by number and by bytes; those that no record had for longest go first. Two for
each of 200 instruments with 500 channels have room; in memory a form takes four times its bytes."""
FORM_BYTES_MAX = 256 * 1024
"""Larger records are decoded: their parts are few beside their values."""
FORMS_A_BATCH = 16
"""Records that a batch may have looked at for their form; others without one are decoded one by one."""
FORMLESS_KEPT = 4096
"""Records without a form that are remembered, so that the next ones of their kind are not looked at."""
VAIN_MAX = 8
"""Forms of an instrument that were found and have not come again, less those that have: from here on it is
decoded. Where the instrument's own lines are kept, and differ in length, hardly a form comes twice."""
VAIN_BATCHES = 1024
"""After so many batches every instrument gets another chance: its configuration may have changed."""

_KNOWN_FLAGS = np.zeros(256, dtype=np.uint8)
_KNOWN_FLAGS[list(schema.FLAG_VALUES)] = 1

_Owner = tuple[str, str]
"""Era and instrument."""
_Key = tuple[int, _Owner]
"""Records that are likely to have the same form: their length, and whose they are."""


@dataclass(slots=True)
class _Known:
    """A form, the batch in which it was found, and the one that had a record of it last."""

    form: Form
    found: int
    used: int

    @property
    def owner(self) -> _Owner:
        return self.form.era, self.form.instrument


def _ends_of(parts: Sequence[bytes]) -> NDArray[np.int64]:
    ends = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, parts), dtype=np.int64, count=len(parts)), out=ends[1:])
    return ends


class Kernels(NamedTuple):
    """See `gathering`."""

    match: Callable[..., None]
    gather: Callable[..., None]


@cache
def load_kernels() -> Kernels:
    """Load the kernels, or have them compiled where they are not in the cache; once a process."""
    # Only here: who reads a store needs no compiler, which takes a second and 110 MB.
    from pipeline.store.influx.gathering import gatherer, matcher  # noqa: PLC0415

    return Kernels(matcher(), gatherer())


class _Pile(NamedTuple):
    """Records end to end."""

    records: Sequence[Record]
    data: NDArray[np.uint8]
    ends: NDArray[np.int64]

    def pick(self, places: NDArray[np.int64]) -> Sequence[Record]:
        if len(places) == len(self.records):
            return self.records
        return [self.records[place] for place in places.tolist()]


class _Tables:
    """The forms as the kernels take them."""

    def __init__(self, forms: Sequence[Form]) -> None:
        patterns = [form.pattern for form in forms]
        self.patterns = np.frombuffer(b"".join(patterns), dtype=np.uint8)
        self.masks = np.frombuffer(b"".join([form.mask for form in forms]), dtype=np.uint8)
        self.ends = _ends_of(patterns)
        self.tells = np.array([form.tell for form in forms], dtype=np.int64)
        self.followers = (np.arange(len(forms), dtype=np.int64) + 1) % max(1, len(forms))
        self.places = np.array([form.places for form in forms], dtype=np.int64).reshape(-1, PLACES)
        numbers: dict[tuple[Any, ...], int] = {}
        self.groups = np.array(
            [numbers.setdefault(_group(form), len(numbers)) for form in forms], dtype=np.int64
        )


def _group(form: Form) -> tuple[Any, ...]:
    """Return what records must share to be taken apart together; the same object is the same layout."""
    return id(form.layout), form.rows, *form.corrected


def _key_of(record: Record) -> _Key | None:
    """Return what is remembered of a record that has no form; None: it need not be looked at."""
    instrument = record.body.get("instrument")
    if record.kind != "data" or type(instrument) is not str:
        return None
    # What is remembered must be short. No store takes a longer name.
    if len(record.data) > FORM_BYTES_MAX or len(instrument) > schema.TAG_LENGTH_MAX:
        return None
    return len(record.data), (record.era, instrument)


class Forms:
    """The forms of the records that a store gets; for one batch at a time."""

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._formless: dict[_Key, None] = {}
        self._vain: dict[_Owner, int] = {}
        self._tables = _Tables([])
        self._batches = 0

    def gather(self, origin: Origin, records: Sequence[Record]) -> tuple[list[Columns], Sequence[Record]]:
        """Take the records that have a form apart: return their columns, and the records that are left.

        Those left are also the ones with numbers or flags that no store takes: decoding them says which.
        """
        try:
            schema.check_origin(origin)
        except schema.Unstorable:
            return [], records
        self._batches += 1
        parts = [record.data for record in records]
        pile = _Pile(records, np.frombuffer(b"".join(parts), dtype=np.uint8), _ends_of(parts))
        found = self._match(pile)
        strange = np.flatnonzero(found < 0).tolist()
        if strange and self._learn([records[place] for place in strange]):
            found = self._match(pile)
        columns = list[Columns]()
        for places in self._stacks(found):
            fine = self._take(pile, places, found[places], columns)
            found[places[~fine]] = NO_FORM
        return columns, [records[place] for place in np.flatnonzero(found == NO_FORM).tolist()]

    def _match(self, pile: _Pile) -> NDArray[np.int64]:
        """int64[k]: the form of each record, or NO_FORM."""
        found = np.full(len(pile.records), NO_FORM, dtype=np.int64)
        tables = self._tables
        if self._known:
            load_kernels().match(
                found, tables.followers, pile.data, pile.ends, tables.patterns, tables.masks, tables.ends,
                tables.tells,
            )  # fmt: skip
        return found

    def _learn(self, records: Sequence[Record]) -> bool:
        """Look for the forms of records that have none that is known; tell whether there are new ones."""
        strange: dict[_Key, Record] = {}
        for record in records:
            key = _key_of(record)
            if key is not None and key not in self._formless and self._vain.get(key[1], 0) < VAIN_MAX:
                strange.setdefault(key, record)
        known = len(self._known)
        for key, record in list(strange.items())[:FORMS_A_BATCH]:
            try:
                self._known.append(_Known(form_of(record), self._batches, self._batches))
            except Formless:
                self._formless[key] = None
            else:
                self._vain[key[1]] = self._vain.get(key[1], 0) + 1
        while len(self._formless) > FORMLESS_KEPT:
            self._formless.pop(next(iter(self._formless)))
        if len(self._known) == known:
            return False
        self._forget()
        self._tables = _Tables([each.form for each in self._known])
        return True

    def _note_use(self, numbers: NDArray[np.int64]) -> None:
        """Note of which forms this batch has records; one that has come again was not found in vain."""
        for known in (self._known[number] for number in numbers.tolist()):
            if known.found < self._batches and (vain := self._vain.get(known.owner, 0)):
                self._vain[known.owner] = vain - 1
            known.used = self._batches
        if self._batches % VAIN_BATCHES == 0 or len(self._vain) > FORMLESS_KEPT:
            self._vain.clear()

    def _forget(self) -> None:
        """Let go of the forms that were unused longest until there is room."""
        self._known.sort(key=lambda each: each.used)
        size = sum(len(each.form.pattern) for each in self._known)
        gone = 0
        while size > FORM_BYTES_KEPT or len(self._known) - gone > FORMS_KEPT:
            size -= len(self._known[gone].form.pattern)
            gone += 1
        del self._known[:gone]

    def _stacks(self, found: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Find the places of records that are taken apart together."""
        with_form = np.flatnonzero(found != NO_FORM)
        self._note_use(np.unique(found[with_form]))
        groups = self._tables.groups[found[with_form]]
        for group in np.unique(groups).tolist():
            yield with_form[groups == group]

    def _take(
        self, pile: _Pile, places: NDArray[np.int64], found: NDArray[np.int64], columns: list[Columns]
    ) -> NDArray[np.bool_]:
        """Take records of one layout and length apart; bool[k]: all but those that no store takes."""
        tables, some = self._tables, np.unique(found).tolist()
        forms = [self._known[number].form for number in some]
        room = _Room(len(places), forms[0], tables.places[some])
        heads: dict[RowTags, int] = {}
        numbers = np.zeros(len(tables.tells), dtype=np.int64)
        corrected = np.zeros((len(tables.tells), len(forms[0].corrected)), dtype=np.int64)
        for number, form in zip(some, forms, strict=True):
            tags = RowTags(form.era, form.source, form.instrument, form.service)
            numbers[number] = heads.setdefault(tags, len(heads))
            corrected[number] = list(form.corrected.values())
        load_kernels().gather(
            room.fine, room.frames, room.t_store_ns, room.f8, room.corrected, room.i8, room.u8, room.status,
            room.flag, room.reason, pile.data, pile.ends[places], found, numbers, tables.places, corrected,
            schema.LEDGER_TIME_MAX_NS, schema.TIME_MAX_NS, _KNOWN_FLAGS,
        )  # fmt: skip
        fine = room.fine.view(np.bool_)
        if fine.all():
            columns.append(room.columns(pile.pick(places), forms[0], list(heads)))
        elif fine.any():
            self._take(pile, places[fine], found[fine], columns)
        return fine


class _Room:
    """What records of one layout and length are copied into; see `gathering.GATHERER`."""

    def __init__(self, count: int, form: Form, places: NDArray[np.int64]) -> None:
        channels, rows, counts = len(form.layout.channels), form.rows, form.layout.counts

        def bits(*shape: int) -> NDArray[np.uint64]:
            return np.empty((count, *shape), dtype=np.uint64)

        def sparse(place: int, dtype: str) -> NDArray[Any]:
            there = bool((places[:, place] != ABSENT).any())
            return np.empty((count if there else 0, channels, rows), dtype=dtype)

        self.fine = np.empty(count, dtype=np.uint8)
        self.frames = np.empty((count, 3), dtype=np.int64)
        self.t_store_ns = np.empty((count, rows), dtype=np.int64)
        self.f8, self.corrected = bits(rows, counts["f8"]), bits(rows, len(form.corrected))
        self.i8, self.u8 = bits(counts["i8"], rows), bits(counts["u8"], rows)
        self.status, self.flag = sparse(STATUS, "u1"), sparse(FLAG, "u1")
        self.reason = sparse(REASON, "u8")

    def columns(self, records: Sequence[Record], form: Form, heads: Sequence[RowTags]) -> Columns:
        """Hand over what was copied."""
        plan, f8 = plan_of(form.layout), self.f8.view(np.float64)
        status = self.status if len(self.status) else None
        return Columns(
            plan=plan, records=records, heads=heads, frames=self.frames, t_store_ns=self.t_store_ns,
            f8=f8, i8=self.i8.view(np.int64), u8=self.u8, texts=(), corrected=list(form.corrected),
            corrected_f8=self.corrected.view(np.float64),
            there=measured(plan, f8.transpose(0, 2, 1), status),
            flag=self.flag if len(self.flag) else None,
            reason=self.reason.view(np.int64) if len(self.reason) else None,
        )  # fmt: skip
