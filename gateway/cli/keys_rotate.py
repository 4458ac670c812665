"""`keys rotate` and `keys succeed`: a new key, which the old one signs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from config import Exit
from gateway.cli.common import (
    DEFAULT_CONFIG,
    OUT,
    ConfigOption,
    JsonOption,
    RehearsalOption,
    example,
    fail,
    print_json,
    site_of,
)
from gateway.trust import TrustedKeys
from pipeline.journal.start import KEY_NAME
from pipeline.journal.succession import read_succession, succession_note
from pipeline.records.signing import SigningKey, key_id, next_key_path


def rotate(
    role: Annotated[str, typer.Argument(help="log, collector or witness.")],
    config: ConfigOption = DEFAULT_CONFIG,
    rehearsal: RehearsalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace the key of a role by a new one, which the old one signs.

    A running gateway changes its log's key by itself, in a record of the log. A collector or a witness does
    at its next start. A witness shows every gateway what its old key has signed, and the gateways record it;
    of a collector, take the note that is written here to every gateway before: yaosu keys succeed.
    """
    state = site_of(config, rehearsal=rehearsal).state
    known = {"log": state.journal / KEY_NAME, "collector": state.collector_key, "witness": state.witness_key}
    if role not in known:
        fail(Exit.USAGE, "a role is log, collector or witness")
    path = known[role]
    if not path.exists():
        fail(
            Exit.UNAVAILABLE,
            f"{path} is not here; the role's first start makes its key: yaosu keys gen --help",
        )
    try:
        old, new = SigningKey.load_or_create(path), SigningKey.load_or_create(next_key_path(path))
    except (ValueError, OSError) as error:
        fail(Exit.IO, str(error))
    made = {"role": role, "key": old.id, "next_key": new.id, "next_key_file": next_key_path(path)}
    if role == "collector":
        made["note"] = note = path.with_suffix(".succession")
        note.write_text(succession_note("yaosu-collector", old, new), encoding="utf-8")
    if as_json:
        print_json(made)
    else:
        _tell_rotated(made)


def _tell_rotated(made: dict[str, Any]) -> None:
    if made["role"] == "collector":
        OUT.print(
            f"wrote {made['note']}: take it to every gateway and run there: yaosu keys succeed FILE\n"
            f"then start the collector anew; it takes {made['next_key_file']} for its key",
            markup=False,
        )
        return
    when = "a running gateway" if made["role"] == "log" else "the witness, at its next start,"
    OUT.print(
        f"made {made['next_key_file']}; {when} changes to it; keep a backup of it\n"
        "see: yaosu keys show; on the gateway also: yaosu events",
        markup=False,
    )


def succeed(
    file: Annotated[Path, typer.Argument(help="Note of yaosu keys rotate collector.")],
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Pin the successor of a collector's key that is pinned here and has signed it; the old one stays."""
    state = site_of(config).state
    try:
        name, old, new = read_succession(file.read_text(encoding="utf-8"))
        keys = TrustedKeys(state.trusted_keys)
        collectors = keys.keys()
        if key_id(old) not in collectors:
            fail(Exit.FINDINGS, f"key {key_id(old)} of {name}, which signs its successor, is not pinned here")
        keys.trust(new)
    except ValueError as error:
        fail(Exit.FINDINGS, str(error))
    except OSError as error:
        fail(Exit.IO, str(error))
    OUT.print(
        f"key {key_id(new)} succeeds {key_id(old)} of {name}; when the old one is out of use:", markup=False
    )
    OUT.print(f"yaosu keys distrust {key_id(old)}", markup=False)


def add_commands(keys_app: typer.Typer) -> None:
    """Add the commands to their group."""
    lines = example("keys rotate log -c gateway.toml", "keys rotate collector -c c.toml")
    keys_app.command(epilog=lines)(rotate)
    keys_app.command(epilog=example("keys succeed collector.succession -c gateway.toml"))(succeed)
