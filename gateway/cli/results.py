"""`result`: computing results again from the records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    WORK,
    ConfigOption,
    JsonOption,
    example,
    fail,
    print_json,
    site_of,
)
from pipeline.archive import archived_records
from pipeline.elements.formulas.recompute import KINDS, recompute
from pipeline.journal.readonly import JournalReader

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from pipeline.elements.formulas.recompute import Recomputed
    from pipeline.records.envelope import Record

result_app = typer.Typer(no_args_is_help=True, help="Results: compute them again from the records.")


class _Records:
    """The records of one journal: from its own folder, or from the archive of a collector."""

    def __init__(self, journal: Path, archive: Path | None, prefix: str) -> None:
        self._journal, self._archive, self._prefix = journal, archive, prefix

    def of(self, kinds: Collection[str], through: int | None = None) -> Iterable[Record]:
        """Give records of some kinds in seq order, up to and with a seq."""
        if self._archive is not None:
            found = archived_records(self._archive, self._prefix, kinds)
            wanted = {one.seq: one for one in found if through is None or one.seq <= through}
            return [wanted[seq] for seq in sorted(wanted)]
        return self._forward(kinds, through)

    def _forward(self, kinds: Collection[str], through: int | None) -> Iterable[Record]:
        for record in JournalReader(self._journal).after(-1, kinds):
            if through is not None and record.seq > through:
                return
            yield record


def _wanted(records: Iterable[Record], name: str, quantity: str) -> list[Record]:
    """Find the last result of each quantity of a task, or the one of a seq."""
    newest: dict[str, Record] = {}
    for record in records:
        if name.isdigit() and record.seq == int(name):
            return [record]
        if record.body.get("task") == name and quantity in {"", record.body.get("quantity")}:
            newest[str(record.body.get("quantity"))] = record
    return list(newest.values())


@result_app.command(
    "recompute",
    epilog=example("result recompute 5b41ec3a-00001", "result recompute 5b41ec3a-00001 --archive archive"),
)
def recompute_result(
    name: Annotated[str, typer.Argument(metavar="ID", help="Id of the task, or seq of the result record.")],
    quantity: Annotated[str, typer.Option(help="One result of several.")] = "",
    archive: Annotated[
        Path | None, typer.Option(help="Folder of a collector's archive, in place of the own journal.")
    ] = None,
    journal: Annotated[str, typer.Option(help="First digits of the journal's id, for a seq.")] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Compute a result again from the records and compare it to the last bit. Ends with 1 when it differs."""
    site = site_of(config)
    prefix = journal or ("" if name.isdigit() else name.partition("-")[0])
    folder = archive if archive is not None else site.state.journal
    if not folder.is_dir():
        fail(Exit.UNAVAILABLE, f"there is no folder {folder}; name the archive with --archive")
    records = _Records(site.state.journal, archive, prefix)
    found = _wanted(records.of({"result"}), name, quantity)
    if not found:
        fail(Exit.UNAVAILABLE, f"no result of {name} in {folder}; yaosu task list shows the tasks")
    outcomes = [recompute(records.of(KINDS, one.seq), one, site.settings.elements) for one in found]
    if as_json:
        print_json([_as_map(one, outcome) for one, outcome in zip(found, outcomes, strict=True)])
    else:
        for one, outcome in zip(found, outcomes, strict=True):
            _show(one, outcome)
    if not all(outcome.agrees for outcome in outcomes):
        raise typer.Exit(int(Exit.FINDINGS))


def _as_map(record: Record, outcome: Recomputed) -> dict[str, Any]:
    difference = outcome.difference
    return {
        "seq": record.seq, "task": record.body["task"], "quantity": record.body["quantity"],
        "agrees": outcome.agrees, "recorded": outcome.recorded, "recomputed": outcome.recomputed,
        "difference": None if difference is None else {
            "path": difference.path, "recorded": difference.recorded, "recomputed": difference.recomputed,
        },
        "missing": list(outcome.missing), "records": outcome.records,
    }  # fmt: skip


def _show(record: Record, outcome: Recomputed) -> None:
    body, difference = record.body, outcome.difference
    OUT.print(f"{body['task']} {body['quantity']} = {body['value']!r} {body['unit']} (record {record.seq})")
    if difference is None:
        OUT.print(f"  recomputed from {outcome.records} records: equal to the last bit", markup=False)
    else:
        told = f"  differs first at {difference.path}: recorded {difference.recorded!r}, "
        OUT.print(f"{told}recomputed {difference.recomputed!r}", markup=False)
    for lack in outcome.missing:
        OUT.print(f"  {lack}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(result_app, name="result", rich_help_panel=WORK)
