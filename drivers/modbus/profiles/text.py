"""Profiles as text: the `[[instrument]]` table for a site file, and the files that imports write."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING, Any, NamedTuple

from config.errors import ConfigInvalid, Finding
from drivers.modbus.profiles.lint import instrument_of
from drivers.registry import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from drivers.modbus.profiles.file import LoadedProfile

_CHANNEL_HEADER = re.compile(r"\s*(\[\[?)\s*channels\b(.*)")
_HEADER = re.compile(r"\s*\[\[?\s*[A-Za-z\"']")


class Imported(NamedTuple):
    """A register list that became a profile, before it is text."""

    name: str
    model: str
    source: str
    notes: list[str]
    line: dict[str, Any]
    channels: list[dict[str, Any]]
    comments: list[str]
    """What to write behind each channel's header; empty for nothing."""
    told: list[str]
    """What was assumed on the way, for the person who imports."""


def instrument_text(loaded: LoadedProfile, given: Mapping[str, Any]) -> str:
    """Return a profile as the `[[instrument]]` table of a site file, with the comments of its channels.

    Args:
        loaded: the profile.
        given: `id` and what the site knows better than the profile: driver (the device stands behind a
            gateway), port, host, unit, poll_interval_s.

    Raises:
        ConfigInvalid: the channels are not written as tables one after another.
    """
    profile, path = loaded.value, loaded.path
    head = profile.profile
    lines = [f"# Copied from the profile '{head.name}', {head.vendor} {head.model}"]
    lines += [f"# (SHA-256 {loaded.sha256[:16]}). Registers from: {head.source}"]
    lines += [f"# {note}" for note in head.notes]
    lines += ["[[instrument]]", *(f"{key} = {value(each)}" for key, each in _settings(loaded, given).items())]
    text = "\n".join([*lines, "", *_channel_lines(path.read_text(encoding="utf-8-sig"))]) + "\n"
    made = tomllib.loads(text)["instrument"][0].get("channels")
    if made != json.loads(json.dumps(instrument_of(profile)["channels"])):
        raise ConfigInvalid([
            Finding(
                "E060", "error", str(path), None, None, "its channels cannot be copied",
                "write each as a [[channels]] table, one after another",
            )
        ])  # fmt: skip
    return text


def _settings(loaded: LoadedProfile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Put the site's settings before and over those of the profile, in the order of a site file."""
    ours = {"id": given["id"], **loaded.value.line.given()}
    first = {"id": ours["id"], "driver": given.get("driver") or ours["driver"]}
    # Behind a gateway the line's own settings are the gateway's business.
    known = DRIVERS[first["driver"]].settings.model_fields
    place = {key: given[key] for key in ("port", "host") if given.get(key) is not None}
    if "host" in place and "port" not in place and "port" in ours:
        place["port"] = ours["port"]
    rest = {key: each for key, each in ours.items() if key in known and key not in {*first, "port"}}
    return {**first, **place, **rest, **{key: each for key, each in given.items() if each is not None}}


def _channel_lines(text: str) -> list[str]:
    """Return the lines of the channel tables with their comments, moved under the instrument."""
    kept: list[str] = []
    waiting: list[str] = []
    inside = False
    for line in text.splitlines():
        header = _CHANNEL_HEADER.match(line)
        if header:
            inside = True
            kept += [*waiting, f"{header[1]}instrument.channels{header[2]}"]
            waiting = []
        elif _HEADER.match(line):
            inside, waiting = False, []
        elif line.strip() and not line.lstrip().startswith("#"):
            kept += [*waiting, line] if inside else []
            waiting = []
        else:
            # A comment belongs to what follows it: to the next channel, or to another table.
            waiting.append(line)
    return kept


def profile_text(imported: Imported) -> str:
    """Return an import as a profile file."""
    lines = ["[profile]", f"name = {value(imported.name)}"]
    lines += [f"model = {value(imported.model)}"] if imported.model else []
    lines += [f"source = {value(imported.source)}"]
    if imported.notes:
        lines += ["notes = [", *(f"    {value(note)}," for note in imported.notes), "]"]
    lines += ["", "[line]", *(f"{key} = {value(each)}" for key, each in imported.line.items())]
    for channel, comment in zip(imported.channels, imported.comments, strict=True):
        lines += ["", "[[channels]]" + (f"  # {_printable(comment)}" if comment else "")]
        lines += [f"{key} = {value(each)}" for key, each in channel.items()]
    return "\n".join(lines) + "\n"


def _printable(comment: str) -> str:
    """Escape what TOML allows in no comment: a name of the list may hold control characters."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in comment)


def value(each: Any) -> str:
    """Write a value in TOML."""
    if isinstance(each, bool):
        return "true" if each else "false"
    if isinstance(each, int | float):
        return repr(each)
    if isinstance(each, list | tuple):
        return f"[{', '.join(_listed(each))}]"
    return json.dumps(str(each), ensure_ascii=False).replace("\x7f", "\\u007f")


def _listed(each: Sequence[Any]) -> list[str]:
    return [value(one) for one in each]
