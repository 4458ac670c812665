"""`bench`: the measurements of a source checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from config import Exit
from gateway.cli.common import LOOK, JsonOption, example, fail

CHECKOUT = Path(__file__).resolve().parents[2]


def bench(
    names: Annotated[
        list[str] | None, typer.Argument(help="Benchmarks, such as qc; all of them when left out.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short and once: is it grossly off?")] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure this machine, as `make bench` does; without names RESULTS.md is written.

    The benchmarks belong to the source code: an installed package has none.
    """
    folder = CHECKOUT / "benchmarks"
    if not (folder / "__main__.py").is_file():
        fail(
            Exit.UNAVAILABLE,
            f"there is no {folder}: benchmarks come with the source code; clone it and use: make bench",
        )
    known = sorted(path.stem for path in folder.glob("*.py") if "results_section" in path.read_text("utf-8"))
    for name in names or ():
        if name not in known:
            fail(Exit.USAGE, f"no benchmark '{name}'; there are: {', '.join(known)}")
    command = [sys.executable, "-m", "benchmarks", *(f"--only={name}" for name in names or ())]
    command += ["--quick"] * quick + ["--json"] * as_json
    done = subprocess.run(command, cwd=CHECKOUT, check=False)  # noqa: S603 - our own module, names checked
    raise typer.Exit(done.returncode)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=LOOK, epilog=example("bench qc --json"))(bench)
