"""`qc`: the rules on a file of readings, and why a recorded reading has its flag."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from config import ConfigInvalid, Exit, Report
from config.validation import did_you_mean
from gateway.cli.batches import qc_due
from gateway.cli.common import (
    ERR,
    LOOK,
    OUT,
    JsonOption,
    example,
    fail,
    leave_invalid,
    print_json,
    table,
)
from gateway.cli.qc_explain import explain
from pipeline.qc.files import (
    ALL_RULES,
    FileUnusableError,
    Wanted,
    columns_of,
    judge,
    load_rules,
    proposal_toml,
    propose,
    read_readings,
    write_flagged,
)
from pipeline.qc.files.stamps import TIME_FORMATS, parse_offset

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from config import Loaded
    from pipeline.qc.files import FileRules, Judged, Proposal, Readings
    from pipeline.qc.files.stamps import TimeFormat
    from pipeline.qc.files.suggest import Stretch

qc_app = typer.Typer(no_args_is_help=True, help="Rules on files of readings; why a reading has its flag.")

PROBLEMS_SHOWN = 20
_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

DataArgument = Annotated[Path, typer.Argument(help="Readings: CSV with a header line, or Parquet.")]
TimeOption = Annotated[str, typer.Option("--time", help="Column of the time stamps; found by its heading.")]
FormatOption = Annotated[
    str, typer.Option("--time-format", help="iso, s, ms, us or ns (since 1970); found by looking.")
]
OffsetOption = Annotated[str, typer.Option(help="Offset from UTC of time stamps that state none.")]
EncodingOption = Annotated[str, typer.Option(help="Of a CSV file, such as gb18030.")]
DecimalOption = Annotated[str, typer.Option(help="Decimal sign of the numbers in a CSV file: . or ,")]


def _wanted(
    channels: tuple[str, ...] | None, column: str, form: str, offset: str, encoding: str, decimal: str
) -> Wanted:
    """Check the options that say how a file is to be read."""
    formats: dict[str, TimeFormat] = {one: one for one in TIME_FORMATS}
    if form and form not in formats:
        fail(Exit.USAGE, f"no time format '{form}'; there are: {', '.join(formats)}")
    try:
        offset_s = parse_offset(offset)
    except ValueError as error:
        fail(Exit.USAGE, str(error))
    if decimal not in {".", ","}:
        fail(Exit.USAGE, f"--decimal {decimal}: a number has a point (.) or a comma (,)")
    return Wanted(
        channels, column or None, formats.get(form), offset_s, encoding, "," if decimal == "," else "."
    )


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how far a file is read, on standard error and on a terminal only."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=ERR, transient=True, disable=not ERR.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=max(done, total))


def _read(data: Path, wanted: Wanted) -> Readings:
    """Read a file, say how its time stamps were understood and what could not be read."""
    try:
        with _progress(f"reading {data.name}") as progress:
            readings = read_readings(data, wanted, progress)
    except FileUnusableError as error:
        _leave_unusable(error)
    form, zone = readings.form, "UTC" if wanted.offset_s == 0 else f"UTC {wanted.offset_s / 3600:+g} h"
    understood = (
        f"ISO 8601; stamps without an offset count as {zone}"
        if form.format == "iso"
        else f"{_UNITS[form.format]} since 1970"
    )
    ERR.print(f"time: column '{readings.time}', {understood}", markup=False)
    for line in readings.problems.first[:PROBLEMS_SHOWN]:
        ERR.print(line, markup=False)
    more = readings.problems.count - PROBLEMS_SHOWN
    if more > 0:
        ERR.print(f"… and {more} more that could not be read (--json lists up to 1000)", markup=False)
    return readings


def _leave_unusable(error: Exception) -> NoReturn:
    fail(Exit.IO, str(error))


def _check_columns(loaded: Loaded[FileRules], data: Path, encoding: str) -> None:
    """Report rules for columns that the file does not have, at their place in the file of rules."""
    try:
        there = columns_of(data, encoding)
    except FileUnusableError as error:
        _leave_unusable(error)
    report = Report(str(loaded.path), loaded.positions)
    for name in loaded.value.channel:
        if name not in there:
            advice = did_you_mean(name, list(there)) or f"there are: {', '.join(there)}"
            report.error_at_key("E025", ("channel", name), f"{data.name} has no column '{name}'", advice)
    for name, tables in loaded.value.channel.items():
        for table_name, settings in tables:
            partner = getattr(settings, "partner", None)
            if partner is not None and partner not in loaded.value.channel:
                report.error(
                    "E025",
                    ("channel", name, table_name, "partner"),
                    f"partner '{partner}' is not among the columns that are read",
                    f"add [channel.{partner}]; an empty table asks for missing values only",
                )
    if report.findings:
        leave_invalid(ConfigInvalid(report.findings))


@qc_app.command(
    "run",
    epilog=example(
        "qc run data.csv --rules rules.toml", "qc run data.csv --rules rules.toml --out flagged.csv --json"
    ),
)
def run_rules(
    data: DataArgument,
    rules: Annotated[Path, typer.Option("--rules", help="TOML: \\[channel.COLUMN.range] and so on.")],
    out: Annotated[Path | None, typer.Option("--out", help="Write rows and flags: .csv or .parquet.")] = None,
    time_column: TimeOption = "",
    time_format: FormatOption = "",
    offset: OffsetOption = "Z",
    encoding: EncodingOption = "utf-8-sig",
    decimal: DecimalOption = ".",
    interval: Annotated[
        float | None, typer.Option(help="Seconds between readings; found by looking.", min=1e-9)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a file of readings by the rules of a site file; the flags are those of the gateway.

    Ends with 1 when a reading is suspect, failed or missing, or when something could not be read.
    """
    _check_out(out, data)
    try:
        loaded = load_rules(rules)
    except ConfigInvalid as invalid:
        leave_invalid(invalid)
    _check_columns(loaded, data, encoding)
    began = time.perf_counter()
    wanted = _wanted(tuple(loaded.value.channel), time_column, time_format, offset, encoding, decimal)
    readings = _read(data, wanted)
    try:
        judged = judge(readings, loaded.value.channel, interval)
    except ValueError as error:
        fail(Exit.CONFIG, f"{rules}: {error}")
    if out is not None:
        try:
            write_flagged(out, readings, judged, encoding)
        except FileUnusableError as error:
            _leave_unusable(error)
    _show_judged(readings, judged, time.perf_counter() - began, out, as_json=as_json)
    if judged.findings or readings.problems.count:
        raise typer.Exit(int(Exit.FINDINGS))


def _check_out(out: Path | None, data: Path) -> None:
    if out is None:
        return
    if out.suffix.lower() not in {".csv", ".parquet"}:
        fail(Exit.USAGE, f"--out {out}: name a .csv or .parquet file")
    if not out.parent.is_dir():
        fail(Exit.IO, f"--out {out}: there is no folder {out.parent}; make it, or name another")
    if out.resolve() == data.resolve():
        fail(Exit.USAGE, "--out names the file that is read; name another one")


def _show_judged(
    readings: Readings, judged: Judged, seconds: float, out: Path | None, *, as_json: bool
) -> None:
    counts = judged.counts()
    if as_json:
        print_json({
            "file": str(readings.path),
            "rows": len(readings.timed),
            "rows_without_time": int((~readings.timed).sum()),
            "time": {"column": readings.time, "format": readings.form.format},
            "channels": counts,
            "problems": {"count": readings.problems.count, "first": readings.problems.first},
            "out": None if out is None else str(out),
            "seconds": seconds,
        })  # fmt: skip
        return
    rows = table("channel", "rule", "suspect", "fail", "missing", "not evaluated", "pass")
    for channel, rules in counts.items():
        for rule, found in rules.items():
            cells = (found[name] for name in ("suspect", "fail", "missing", "not_evaluated", "pass"))
            rows.add_row(channel, rule, *(f"{cell:,}" if cell else "-" for cell in cells))
            if rule == ALL_RULES:
                rows.add_section()
    OUT.print(rows)
    OUT.print(f"{len(readings.timed):,} rows, {judged.findings:,} findings, {seconds:.1f} s", markup=False)
    if out is not None:
        OUT.print(f"written: {out}", markup=False)


@qc_app.command("suggest", epilog=example("qc suggest data.csv", "qc suggest data.csv --column temperature"))
def suggest(
    data: DataArgument,
    column: Annotated[list[str] | None, typer.Option(help="Only this one; may be given again.")] = None,
    time_column: TimeOption = "",
    time_format: FormatOption = "",
    offset: OffsetOption = "Z",
    encoding: EncodingOption = "utf-8-sig",
    decimal: DecimalOption = ".",
    as_json: JsonOption = False,
) -> None:
    """Propose limits from the clean stretch of a file, as commented TOML with what each would have flagged.

    It proposes; a person decides.
    """
    wanted = _wanted(tuple(column) if column else None, time_column, time_format, offset, encoding, decimal)
    readings = _read(data, wanted)
    if not readings.channels:
        advice = "name the decimal sign (--decimal ,) or the columns (--column NAME)"
        fail(Exit.FINDINGS, f"{data} has no column of numbers beside '{readings.time}'; {advice}")
    proposals = list(propose(readings))
    ERR.print("A proposal, no decision: look at every limit before it is used.", style="bold")
    if as_json:
        print_json({"file": str(data), "channels": {one.channel: _as_json(one) for one in proposals}})
    else:
        typer.echo(proposal_toml(data.name, proposals), nl=False)


def _stretch(stretch: Stretch) -> dict[str, Any]:
    learnt = None if stretch.learnt is None else stretch.learnt._asdict()
    return {**stretch._asdict(), "learnt": learnt}


def _as_json(proposal: Proposal) -> dict[str, Any]:
    return {
        "stretch": None if proposal.stretch is None else _stretch(proposal.stretch),
        "rules": proposal.rules.model_dump(exclude_none=True),
        "would_have_flagged": proposal.flagged,
    }


def register(app: typer.Typer) -> None:
    """Add the command group."""
    qc_app.command("explain", epilog=example("qc explain 1234", "qc explain 1234 --lang zh"))(explain)
    qc_app.command("due", epilog=example("qc due"))(qc_due)
    app.add_typer(qc_app, name="qc", rich_help_panel=LOOK)
