"""`sim`: instruments to test against, before touching an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import ConfigInvalid, Exit
from gateway.cli.common import (
    ERR,
    OUT,
    ROLES,
    JsonOption,
    example,
    fail,
    leave_invalid,
    print_json,
    run_role,
    table,
)
from simulators import (
    FolderInUseError,
    PortInUseError,
    ScenarioError,
    list_scenarios,
    load_scenario,
    run_scenario,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from simulators import Endpoint, Scenario

sim_app = typer.Typer(
    no_args_is_help=True, help="Instrument simulators: real protocols on real sockets and ptys."
)


@sim_app.command("list", epilog=example("sim list"))
def list_(as_json: JsonOption = False) -> None:
    """Show the scenarios that come with Yaosu, and the days of those that have several."""
    scenarios = {name: load_scenario(name) for name in list_scenarios()}
    if as_json:
        print_json([_content(name, scenario) for name, scenario in scenarios.items()])
        return
    shown = table("scenario", "title", "标题", "seed", "instruments")
    for name, scenario in scenarios.items():
        heading = scenario.scenario
        shown.add_row(
            name,
            heading.title_en,
            heading.title_zh,
            str(heading.seed),
            ", ".join(i.id for i in scenario.instrument),
        )
    OUT.print(shown)
    for name, scenario in scenarios.items():
        if scenario.day:
            _show_days(name, scenario)


def _content(name: str, scenario: Scenario) -> dict[str, Any]:
    """One scenario, as a script wants it."""
    return {
        "scenario": name,
        **scenario.scenario.model_dump(mode="json", include={"title_en", "title_zh", "seed"}),
        "instruments": [{"id": each.id, "type": each.type} for each in scenario.instrument],
        "days": [
            day.model_dump(mode="json", include={"id", "evidence", "case", "title_en", "title_zh"})
            for day in scenario.day
        ],
    }


def _show_days(name: str, scenario: Scenario) -> None:
    """What the days of a scenario lead to, and how to play one."""
    shown = table("day", "evidence", "case", "title", "标题")
    for day in scenario.day:
        shown.add_row(day.id, day.evidence, day.case, day.title_en, day.title_zh)
    OUT.print(shown)
    OUT.print(
        f"play one: yaosu demo {name} --day DAY; its twin that leads to nothing: --clean beside it",
        markup=False, soft_wrap=True,
    )  # fmt: skip


def _show_endpoints(endpoints: Mapping[str, Endpoint]) -> None:
    shown = table("instrument", "type", "serial", "address", "unit")
    for endpoint in endpoints.values():
        address = endpoint.path or f"{endpoint.host}:{endpoint.port}"
        shown.add_row(endpoint.instrument, endpoint.type, endpoint.serial, address, str(endpoint.unit or ""))
    ERR.print(shown)
    ERR.print("running; end with Ctrl-C", markup=False)


@sim_app.command("run", epilog=example("sim run single_tcp --dir simulated", "sim run my_rig.toml"))
def run(
    scenario: Annotated[
        str, typer.Argument(help="Name of a scenario (see: yaosu sim list) or a TOML file.")
    ] = "two_benches",
    run_dir: Annotated[
        Path, typer.Option("--dir", help="Folder for serial lines (symbolic links) and endpoints.json.")
    ] = Path("simulated"),
    answer_log: Annotated[Path | None, typer.Option(help="Append every answer to this JSONL file.")] = None,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="First TCP port of instruments that the scenario gives none; 0: any free ones.",
        ),
    ] = 5020,
    duration: Annotated[float | None, typer.Option(help="Seconds; without it until Ctrl-C.")] = None,
) -> None:
    """Start the simulated instruments of a scenario."""

    async def serve(stop: asyncio.Event) -> None:
        await run_scenario(scenario, run_dir, answer_log, duration, stop, _show_endpoints, first_port=port)

    try:
        run_role(serve)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    except (PortInUseError, FolderInUseError) as error:
        fail(Exit.UNAVAILABLE, str(error))
    except ScenarioError as error:
        fail(Exit.USAGE, str(error))


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(sim_app, name="sim", rich_help_panel=ROLES)
