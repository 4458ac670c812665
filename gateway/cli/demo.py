"""`demo`: the whole product on one laptop, with simulated instruments."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from config import ConfigInvalid, Exit
from gateway.cli.common import ERR, ROLES, JsonOption, example, fail, leave_invalid, print_json
from gateway.demo.demo import DAY_S, Demo, Ends
from gateway.demo.plays import Play, choose
from gateway.demo.processes import RoleFailedError
from gateway.demo.site import free_port
from gateway.web import PortInUseError, require_free
from simulators import PortInUseError as SimulatedPortInUseError
from simulators import ScenarioError


def demo(
    scenario: Annotated[str, typer.Argument(help="Scenario of simulated instruments.")] = "two_benches",
    day: Annotated[
        str | None, typer.Option(help="One day of a scenario that has several (see: yaosu sim list).")
    ] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="The day's clean twin: the same without what is detected.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the pages; 0 takes any free one.")] = 8420,
    duration: Annotated[
        float | None,
        typer.Option(help="Seconds; without it until Ctrl-C. From 30 on, the day is played to its end."),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep everything in this new folder (journal, store, logs).")
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the pages in a browser when there is a terminal.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Show everything at once: simulators, broker, gateway, collector, store, pages, a day's work."""
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="yaosu-demo-")))
        elif keep.exists() and any(keep.iterdir()):
            fail(Exit.USAGE, f"{keep} is not empty; name a new folder")
        else:
            folder = keep.resolve()
            folder.mkdir(parents=True, exist_ok=True)
        play = _chosen(scenario, day, clean=clean)
        report = _run(play, folder, port, duration, open_browser=open_browser and not as_json)
    if as_json:
        print_json(report)
    else:
        _tell(report)
    if report["lost"] or report["duplicated"] or report["unexpected"]:
        raise typer.Exit(int(Exit.FINDINGS))


def _tell(report: dict[str, Any]) -> None:
    ERR.print(
        f"{report['readings_stored']} of {report['readings_acquired']} readings stored, "
        f"{report['lost']} lost, {report['duplicated']} duplicated; the full report: yaosu demo --json",
        markup=False,
    )
    for one in report["evidence"]:
        ERR.print(f"evidence: {one['code']}, case {one['case']}, task {one['task']}", markup=False)


def _chosen(scenario: str, day: str | None, *, clean: bool) -> Play:
    try:
        return choose(scenario, day, clean=clean)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    except ScenarioError as error:
        fail(Exit.USAGE, str(error))


def _run(
    play: Play, folder: Path, port: int, duration: float | None, *, open_browser: bool
) -> dict[str, Any]:  # fmt: skip
    try:
        require_free("127.0.0.1", port)
        demonstration = Demo(
            play, folder, port or free_port(), lambda text: ERR.print(f"  {text}", markup=False)
        )
        return uvloop.run(_demonstrate(demonstration, duration, open_browser=open_browser))
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    except (PortInUseError, SimulatedPortInUseError, RoleFailedError) as error:
        fail(Exit.UNAVAILABLE, str(error))
    except ScenarioError as error:
        fail(Exit.USAGE, str(error))


async def _demonstrate(demonstration: Demo, duration: float | None, *, open_browser: bool) -> dict[str, Any]:
    ends = Ends(asyncio.Event(), asyncio.Event())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ends.stop.set)

    def ready() -> None:
        _welcome(demonstration, duration)
        if open_browser and sys.stderr.isatty():
            webbrowser.open(demonstration.url)
        if duration is not None:
            # A day that has time to be played is played to its end, however slow the machine.
            loop.call_later(duration, (ends.enough if duration >= DAY_S else ends.stop).set)

    ERR.print("starting simulators, broker, collector, gateway and pages …", markup=False)
    return await demonstration.run(ends, ready)


def _welcome(demonstration: Demo, duration: float | None) -> None:
    ERR.print(f"\n[bold]The pages are at {demonstration.url}[/]  (instruments are simulated)")
    for person in demonstration.people.values():
        ERR.print(
            f"  {person.id}  {', '.join(person.roles):26} password {person.password}  PIN {person.pin}",
            markup=False,
        )
    ERR.print(
        "Ends by itself after " + f"{duration:g} s\n" if duration else "Ends with Ctrl-C\n", markup=False
    )


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        rich_help_panel=ROLES,
        epilog=example(
            "demo",
            "demo --duration 30 --json",
            "demo --port 0 --keep demo",
            "demo detectors --day sample-mass --duration 30",
        ),
    )(demo)
