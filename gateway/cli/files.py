"""`check`, `explain`, `config apply`: configuration files before anything starts."""

from __future__ import annotations

import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config import ConfigInvalid, Exit
from config.catalogue import CATALOGUE
from config.validation import did_you_mean
from drivers.compose import line_loads
from gateway.cli.common import (
    DEFAULT_CONFIG,
    LOOK,
    OUT,
    SET_UP,
    ConfigOption,
    JsonOption,
    KeyOption,
    PersonOption,
    command,
    example,
    fail,
    print_json,
    secret_for,
    show_findings,
    site_of,
    tell_error,
)
from gateway.names import name_conflicts
from gateway.site import SiteSettings, load_site
from gateway.site.ages import age_findings
from pipeline.elements import read_registry
from pipeline.elements.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from collections.abc import Collection

    from config import Finding
    from drivers.compose import LinePoll
    from gateway.site import LoadedSite
    from pipeline.elements import RegistryImport

REQUESTS_SHOWN = 8
"""Requests of one instrument that `check` prints; of more it says how many."""
config_app = typer.Typer(no_args_is_help=True, help="The configuration in force.")


def _is_registry(file: Path) -> bool:
    """Tell by the tables; what cannot be read or has neither kind's tables counts as a site file."""
    if file.suffix.lower() == ".csv":
        return True
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8-sig")).keys()
    except (OSError, ValueError, RecursionError):
        return False
    return (
        bool(tables & RegistrySettings.model_fields.keys()) and not tables & SiteSettings.model_fields.keys()
    )


NO_INSTRUMENTS = "; no instruments: a gateway with it reads nothing, see: yaosu scan, yaosu profile use"


@dataclass(slots=True)
class _Checked:
    """Everything that is wrong or doubtful in one file, and what is in it if it is a good one."""

    findings: tuple[Finding, ...]
    site: LoadedSite | None = None
    registry: RegistryImport | None = None

    @property
    def bad(self) -> bool:
        """Whether the file cannot be used."""
        return any(each.severity == "error" for each in self.findings)


def _checked(file: Path) -> _Checked:
    try:
        if _is_registry(file):
            registry = read_registry(file, time.time_ns())
            return _Checked(registry.warnings, registry=registry)
        site = load_site(file)
    except ConfigInvalid as invalid:
        return _Checked(invalid.findings)
    return _Checked(site.warnings, site)


def _check_ages(checked: Collection[_Checked]) -> None:
    """Hold every registry against the polls of every site: neither file alone can tell."""
    sites = [one.site for one in checked if one.site is not None]
    for one in checked:
        watched = () if one.registry is None else one.registry.watched
        for site in sites:
            one.findings += tuple(age_findings(watched, site.intervals_s()))


def _show_site(site: LoadedSite) -> None:
    """Print what a good site costs: memory of its rules, and the requests of each line."""
    OUT.print(f"  the rules keep up to {site.windows_bytes() / 2**20:.2f} MiB of readings", markup=False)
    for load in line_loads(site.settings.instrument):
        share = f"{load.share:.0%} of the time" if load.timed else "a network: its speed is not known"
        OUT.print(f"  {load.endpoint}: {share}", markup=False)
        for poll in load.polls:
            for every in sorted({request.every for request in poll.requests}):
                _show_requests(poll, every, timed=load.timed)
            if load.timed and any(request.every > 1 for request in poll.requests):
                OUT.print(
                    f"    {poll.id}: the busiest poll takes {poll.busiest_s * 1000:.1f} ms", markup=False
                )


def _show_requests(poll: LinePoll, every: int, *, timed: bool) -> None:
    """Print the requests of one instrument that have one interval."""
    requests = [request for request in poll.requests if request.every == every]
    times = f", {sum(request.line_s for request in requests) * 1000:.1f} ms" if timed else ""
    asked = "; ".join(request.text for request in requests[:REQUESTS_SHOWN])
    more = f"; {len(requests) - REQUESTS_SHOWN} more" if len(requests) > REQUESTS_SHOWN else ""
    OUT.print(
        f"    {poll.id} every {every * poll.interval_s:g} s{times}: {asked}{more}",
        markup=False,
        soft_wrap=True,
    )


def check(
    files: Annotated[list[Path], typer.Argument(help="Site files and registry files.")],
    as_json: JsonOption = False,
) -> None:
    """Find every mistake in site and registry files, each with its line and column. Starts nothing.

    Given both, it also holds the times in the registry against how often the site's channels are read.
    For a good site it prints which requests each line will carry, and how much of its time they take.

    Ends with 78 when a file cannot be used. Warnings, such as an overdue certificate, stop nothing.
    """
    conflicts = name_conflicts()
    for conflict in conflicts:
        tell_error(conflict)
    checked = {str(path): _checked(path) for path in files}
    _check_ages(checked.values())
    for file, one in checked.items():
        show_findings(one.findings)
        if not as_json and not one.bad:
            seen = f", {len(one.findings)} to look at" if one.findings else ""
            idle = "" if one.site is None or one.site.settings.instrument else NO_INSTRUMENTS
            OUT.print(f"{file}: good{seen}{idle}", markup=False)
            if one.site is not None:
                _show_site(one.site)
    if as_json:
        print_json({file: [asdict(each) for each in one.findings] for file, one in checked.items()})
    if conflicts or any(one.bad for one in checked.values()):
        raise typer.Exit(int(Exit.CONFIG))


def explain(code: Annotated[str, typer.Argument(help="Code of a finding, such as E012.")]) -> None:
    """Say what a code of `yaosu check` means and how to put it right, in both languages."""
    entry = CATALOGUE.get(code.upper())
    if entry is None:
        advice = did_you_mean(code.upper(), list(CATALOGUE)) or f"there are: {', '.join(CATALOGUE)}"
        fail(Exit.USAGE, f"no such code '{code}'; {advice}")
    for title, explanation, remedy in (
        (entry.title.en, entry.explanation.en, entry.remedy.en),
        (entry.title.zh, entry.explanation.zh, entry.remedy.zh),
    ):
        OUT.print(f"{entry.code}: {title}\n  {explanation}\n  {remedy}", markup=False)


@config_app.command("apply", epilog=example("config apply -c /etc/yaosu/gateway.toml --as p-0001"))
def apply(
    person: PersonOption,
    config: ConfigOption = DEFAULT_CONFIG,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Record that a person stands behind this configuration; restart the daemon to use it."""
    site = site_of(config)
    args = {"sha256": site.sha256, "path_name": config.name}
    command(config, "config.apply", args, secret_for(person), key=key, as_json=as_json)
    if not as_json:
        OUT.print(
            f"{config} ({site.sha256[:16]}…) is applied by {person}; "
            "it is in force after: systemctl restart yaosu",
            markup=False,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel=SET_UP, epilog=example("check gateway.toml registry.toml"))(check)
    app.command(rich_help_panel=LOOK, epilog=example("explain E022"))(explain)
    app.add_typer(config_app, name="config", rich_help_panel=SET_UP)
