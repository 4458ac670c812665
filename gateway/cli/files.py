"""`check`, `explain`, `config apply`: configuration files before anything starts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

import typer

from config import ConfigInvalid, Exit
from config.catalogue import CATALOGUE
from config.validation import did_you_mean
from gateway.cli.common import (
    DEFAULT_CONFIG,
    ERR,
    OUT,
    ConfigOption,
    JsonOption,
    PersonOption,
    command,
    fail,
    secret_for,
    site_of,
)
from gateway.names import name_conflicts
from gateway.site import load_site
from pipeline.elements import read_registry

config_app = typer.Typer(no_args_is_help=True, help="The configuration in force.")


def _is_registry(file: Path) -> bool:
    """A registry file has no `[site]`; a CSV file is always one."""
    if file.suffix == ".csv":
        return True
    try:
        return "site" not in tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def check(files: Annotated[list[Path], typer.Argument(help="Site files and registry files.")]) -> None:
    """Find every mistake in site and registry files, each with its line and column. Starts nothing."""
    wrong = False
    for conflict in name_conflicts():
        ERR.print(f"error: {conflict}", markup=False)
        wrong = True
    for file in files:
        try:
            warnings = read_registry(file).warnings if _is_registry(file) else load_site(file).warnings
        except ConfigInvalid as invalid:
            wrong = True
            for finding in invalid.findings:
                ERR.print(str(finding), markup=False)
        else:
            for warning in warnings:
                ERR.print(str(warning), markup=False)
            OUT.print(f"{file}: good" + (f", {len(warnings)} warnings" if warnings else ""), markup=False)
    if wrong:
        raise typer.Exit(int(Exit.CONFIG))


def explain(code: Annotated[str, typer.Argument(help="Code of a finding, such as E012.")]) -> None:
    """Say what a code of `yaosu check` means and how to put it right, in both languages."""
    entry = CATALOGUE.get(code.upper())
    if entry is None:
        advice = did_you_mean(code.upper(), list(CATALOGUE)) or "codes are E001 and up"
        fail(Exit.USAGE, f"no such code '{code}'; {advice}")
    for title, explanation, remedy in (
        (entry.title.en, entry.explanation.en, entry.remedy.en),
        (entry.title.zh, entry.explanation.zh, entry.remedy.zh),
    ):
        OUT.print(f"{entry.code}: {title}\n  {explanation}\n  {remedy}", markup=False)


@config_app.command("apply")
def apply(person: PersonOption, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Record that a person stands behind this configuration; restart the daemon to use it."""
    site = site_of(config)
    args = {"sha256": site.sha256, "path_name": config.name}
    command(config, "config.apply", args, secret_for(person), as_json=as_json)
    if not as_json:
        OUT.print(
            f"{config} ({site.sha256[:16]}…) is applied by {person}; "
            "it is in force after: systemctl restart yaosu",
            markup=False,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(check)
    app.command()(explain)
    app.add_typer(config_app, name="config")
