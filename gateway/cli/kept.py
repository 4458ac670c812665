"""Views where no gateway answers, as at a centre: told from the records that the site's store keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from dashboard.kept import NAMES, Kept
from pipeline.store import Origin, StoreMisconfigured, StoreUnavailable, open_store

if TYPE_CHECKING:
    from gateway.site import LoadedSite


class Told(NamedTuple):
    """A view, and the record through which it goes."""

    content: Any
    through_seq: int


async def told_from_store(site: LoadedSite, path: str) -> Told | None:
    """Answer a view of the door from the stored records; None where they cannot tell it.

    Args:
        site: whose store is read; its laboratory and gateway say whose records.
        path: the view as it is asked for at the door.
    """
    split = urlsplit(path)
    name, _, argument = split.path.partition("/")
    if name not in NAMES:
        return None
    wanted = unquote(argument) or parse_qs(split.query).get("subject", [None])[0]
    origin = Origin(site.settings.site.lab, site.settings.site.gateway)
    try:
        async with open_store(site.store, credentials=site.path.parent) as store:
            kept = Kept(store, origin, time.time_ns)
            content = await _whole(kept, name, wanted)
    except (StoreUnavailable, StoreMisconfigured):
        return None
    return Told(content, kept.through_seq) if kept.through_seq >= 0 else None


async def _whole(kept: Kept, name: str, argument: str | None) -> Any:
    """Read until all that is stored has been taken in; what nobody has heard of is refused as at the door."""
    while True:
        try:
            content = await kept.view(name, argument)
        except KeyError:
            content = _NOT_FOUND
        if kept.whole:
            return content


_NOT_FOUND = {
    "ok": False, "code": "not-found", "en": "no stored record tells of it", "zh": "所保存的记录中没有此项",
    "hint": "the id as the list of all shows it; records on their way from the gateway come later",
}  # fmt: skip
