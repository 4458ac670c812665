"""`sim`: instruments to test against, before touching an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from config import ConfigInvalid, Exit
from gateway.cli.common import ERR, OUT, fail, run_role
from simulators import PortInUseError, ScenarioError, list_scenarios, load_scenario, run_scenario

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from simulators import Endpoint

sim_app = typer.Typer(
    no_args_is_help=True, help="Instrument simulators: real protocols on real sockets and ptys."
)


@sim_app.command("list")
def list_() -> None:
    """Show the scenarios that come with Yaosu."""
    table = Table("scenario", "title", "标题", "seed", "instruments")
    for name in list_scenarios():
        scenario = load_scenario(name)
        heading = scenario.scenario
        table.add_row(
            name,
            heading.title_en,
            heading.title_zh,
            str(heading.seed),
            ", ".join(i.id for i in scenario.instrument),
        )
    OUT.print(table)


def _show_endpoints(endpoints: Mapping[str, Endpoint]) -> None:
    table = Table("instrument", "type", "serial", "address", "unit")
    for endpoint in endpoints.values():
        address = endpoint.path or f"{endpoint.host}:{endpoint.port}"
        table.add_row(endpoint.instrument, endpoint.type, endpoint.serial, address, str(endpoint.unit or ""))
    ERR.print(table)
    ERR.print("running; end with Ctrl-C", markup=False)


@sim_app.command("run")
def run(
    scenario: Annotated[
        str, typer.Argument(help="Name of a scenario (see: yaosu sim list) or a TOML file.")
    ] = "two_benches",
    run_dir: Annotated[
        Path, typer.Option("--dir", help="Folder for serial lines (symbolic links) and endpoints.json.")
    ] = Path("simulated"),
    answer_log: Annotated[Path | None, typer.Option(help="Append every answer to this JSONL file.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds; without it until Ctrl-C.")] = None,
) -> None:
    """Start the simulated instruments of a scenario."""

    async def serve(stop: asyncio.Event) -> None:
        await run_scenario(scenario, run_dir, answer_log, duration, stop, _show_endpoints)

    try:
        run_role(serve)
    except ConfigInvalid as invalid:
        for finding in invalid.findings:
            ERR.print(str(finding), markup=False)
        raise typer.Exit(int(Exit.CONFIG)) from None
    except PortInUseError as error:
        fail(Exit.UNAVAILABLE, str(error))
    except ScenarioError as error:
        fail(Exit.USAGE, str(error))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(sim_app, name="sim")
