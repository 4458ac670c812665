"""How tasks, holds and verdicts look on a terminal, eighty columns wide as well as two hundred."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from gateway.cli.common import OUT, local_time, table

WIDE = 120
"""Columns from which a table of tasks fits; below them each task is a short paragraph."""

SEQS_SHOWN = 8
"""Records of one reason that are named; --json has all."""


def with_query(path: str, given: dict[str, str]) -> str:
    """Add to a view's path what was asked for."""
    asked = {name: value for name, value in given.items() if value}
    return f"{path}?{urlencode(asked)}" if asked else path


def show_tasks(tasks: list[dict[str, Any]], nothing: str) -> None:
    """List tasks in brief."""
    if not tasks:
        OUT.print(nothing, markup=False)
        return
    if OUT.width < WIDE:
        for task in tasks:
            _paragraph(task)
        return
    shown = table("task", "started", "purpose", "sample", "method", "operators", "phase", "overall")
    for task in tasks:
        shown.add_row(
            task["task"], local_time(task["started_utc_ns"]), task["purpose"], task["sample"] or "",
            task["method"] or "", ", ".join(task["operators"]), task["phase"], task["overall"],
        )  # fmt: skip
    OUT.print(shown)


def _paragraph(task: dict[str, Any]) -> None:
    """Tell one task in lines that may be wrapped between words, never within one."""
    OUT.print(f"{task['task']}  {task['phase']}, {task['overall']}", markup=False)
    facts = [task["purpose"], task["sample"], task["item"], task["method"], ", ".join(task["operators"])]
    OUT.print(f"    {local_time(task['started_utc_ns'])}", markup=False)
    OUT.print(f"    {' · '.join(fact for fact in facts if fact)}", markup=False)


def show_holds(holds: list[dict[str, Any]]) -> None:
    """List what waits for a disposition, each with its reasons."""
    if not holds:
        OUT.print("nothing is held", markup=False)
    for hold in holds:
        _paragraph(hold)
        for reason in hold["reasons"]:
            OUT.print(f"    {reason['element']}: {reason['en']} {_seqs(reason['seqs'])}", markup=False)
    if holds:
        OUT.print("dispose of one: yaosu hold release TASK --reason … --as PERSON", markup=False)


def _seqs(seqs: list[int]) -> str:
    """Name the records of a reason; of many the first ones, as the whole list would bury the sentence."""
    if not seqs:
        return ""
    more = f" and {len(seqs) - SEQS_SHOWN} more" if len(seqs) > SEQS_SHOWN else ""
    return f"(record {', '.join(map(str, seqs[:SEQS_SHOWN]))}{more})"


def show_task(task: dict[str, Any]) -> None:
    """Tell one task in full."""
    _paragraph(task)
    for verdict in task["verdicts"]:
        late = " (late)" if verdict["late"] else ""
        where = f"record {verdict['seq']}"
        OUT.print(
            f"  {verdict['element']}: {verdict['status']}{late}, {verdict['finality']}, {where}", markup=False
        )
        for reason in verdict["reasons"]:
            OUT.print(f"      {reason['en']} {_seqs(reason['seqs'])}", markup=False)
    for result in task["results"]:
        OUT.print(
            f"  {result['quantity']} = {result['value']!r} {result['unit']} (record {result['seq']})",
            markup=False,
        )
    for one in task["entries"]:
        by_hand = f"{one['instrument']}.{one['channel']} = {one['text']} {one['unit']}".rstrip()
        after = "" if one["replaced_by"] is None else f", corrected by record {one['replaced_by']}"
        who = f"by hand, {one['actor']['person']}: {one['reason']}"
        OUT.print(f"  {by_hand} (record {one['seq']}{after}; {who})", markup=False)
    for one in task["amendments"]:
        was = ", ".join(f"{name} was {value or 'not given'}" for name, value in one["was"].items())
        OUT.print(f"  amended by {one['person']}: {was}; {one['reason']}", markup=False)
    for one in task["links"]:
        OUT.print(f"  {one['system']}: {one['external_id']}", markup=False)
    for review in task["reviews"]:
        who = review["actor"]["person"]
        OUT.print(
            f"  {review['disposition']} by {who}: {review['reason']} (record {review['seq']})", markup=False
        )
