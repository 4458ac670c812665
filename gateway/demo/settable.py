"""The gateway of a day that sets the clock: `yaosu run` on a UTC clock that can be set.

The clock of the machine is left alone. What is set is the clock that this one process reads, through the same
door by which it reads any clock; everything behind that is the product's. Only a rehearsal is run so.
"""

from __future__ import annotations

import typer

from config import Exit
from gateway.cli.common import ConfigOption, fail, site_of
from gateway.cli.roles import serve
from gateway.demo.clock import CLOCK_FILE, SettableClock
from gateway.edge.daemon import EdgeDaemon
from gateway.edge.world import World

app = typer.Typer(add_completion=False)


@app.callback()
def _program() -> None:
    """Stand for the program, so that the role is named as it is at `yaosu`."""


@app.command()
def run(config: ConfigOption) -> None:
    """Run the gateway of a rehearsal on a clock that can be set."""
    site = site_of(config)
    if site.settings.site.purpose != "rehearsal":
        fail(Exit.USAGE, f"{config} is no rehearsal; a gateway that is none is run by: yaosu run -c {config}")
    clock = SettableClock(config.with_name(CLOCK_FILE))
    serve(EdgeDaemon(site, World(clock=clock)).run, f"rehearsing on the clock in {CLOCK_FILE}")
