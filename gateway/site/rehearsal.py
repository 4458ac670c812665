"""The site as the rehearsal journal beside a production one has it: a gateway of its own, all simulated."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.site.model import REHEARSAL_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.site.load import LoadedSite


def rehearsal_site(site: LoadedSite, instruments: Collection[str] | None = None) -> LoadedSite:
    """Give the site that the rehearsal journal is of.

    Its gateway has another name, so that its topics, its receipts and its series in a store are its own; its
    state folder lies inside that of the production gateway; its store is the same.

    Args:
        site: a production gateway's.
        instruments: ids of those that are found to be simulated; None for all.
    """
    settings = site.settings
    place = settings.site.model_copy(
        update={
            "gateway": f"{settings.site.gateway}{REHEARSAL_SUFFIX}",
            "purpose": "rehearsal",
            "state_dir": site.state.beside.root,
        }
    )
    simulated = tuple(
        each.model_copy(update={"source": "simulated"})
        for each in settings.instrument
        if instruments is None or each.id in instruments
    )
    # Both sets of pages can be served beside each other.
    web = settings.web.model_copy(update={"port": settings.web.port + 1})
    update = {"site": place, "instrument": simulated, "store": site.store, "web": web}
    return replace(site, settings=settings.model_copy(update=update))
