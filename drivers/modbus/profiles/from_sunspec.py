"""SunSpec information models become profiles: scale factors stay linked, sentinels come from the types.

The JSON is that of the repository sunspec/models (Apache-2.0). The codes that say 'not implemented' are those
of the SunSpec Information Model specification, as in `sunspec2/mb.py` of the package pysunspec2 1.3.7.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from drivers.modbus.profiles.text import Imported

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

Json = dict[str, Any]
_TYPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "int16": ("int16", (0x8000,)), "int32": ("int32", (0x80000000,)), "int64": ("int64", (-(2**63),)),
    "uint16": ("uint16", (0xFFFF,)), "uint32": ("uint32", (0xFFFFFFFF,)), "uint64": ("uint64", (2**64 - 1,)),
    "count": ("uint16", (0xFFFF,)),
    "acc16": ("uint16", (0,)), "acc32": ("uint32", (0,)), "acc64": ("uint64", (0,)),
    "enum16": ("uint16", (0xFFFF,)), "enum32": ("uint32", (0xFFFFFFFF,)),
    "bitfield16": ("uint16", (0xFFFF,)), "bitfield32": ("uint32", (0xFFFFFFFF,)),
    "bitfield64": ("uint64", (2**64 - 1,)),
    "float32": ("float32", ()), "float64": ("float64", ()), "string": ("string", ()),
    "ipaddr": ("uint32", (0,)),
}  # fmt: skip
"""Type of the registers and codes for 'not implemented', by SunSpec type; others are told and left out."""
_SILENT = frozenset({"pad", "sunssf"})
"""Types that carry no value of their own."""
_UNITS = {"Pct": "%", "C": "degC", "Secs": "s"}
_MODEL_POINTS = frozenset({"ID", "L"})


class SunSpecError(Exception):
    """A file is no SunSpec model that can be imported; the text says what to do."""


def import_sunspec(file: Path, base: int) -> Imported:
    """Make a profile of one model.

    Args:
        file: `model_201.json` and the like.
        base: protocol address of the model's first register, the one that holds its number.

    Raises:
        SunSpecError: it is none, or does not fit at `base`.
        OSError: the file cannot be read.
    """
    try:
        model = json.loads(file.read_bytes())
        return _imported(int(model["id"]), model["group"], file.name, base)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SunSpecError(f"{file} is no SunSpec model in JSON (id, group, points): {error!r}") from None


def _imported(number: int, group: Json, source: str, base: int) -> Imported:
    placed = list(_placed(group, base))
    if placed and placed[-1][1] + int(placed[-1][0]["size"]) > 65536:
        raise SunSpecError(f"model {number} does not fit at address {base}")
    told = [
        f"group '{each['name']}' repeats as often as the device says and is left out"
        for each in group.get("groups", [])
    ]
    kept = list(_kept(placed, told))
    factors = {point["name"]: address for point, address in placed if point["type"] == "sunssf"}
    return Imported(
        name=f"sunspec-{number}",
        model=f"SunSpec model {number}: {group.get('label') or group['name']}",
        source=f"SunSpec model {number}, {source} of the repository sunspec/models",
        notes=[
            f"Its first register, which holds {number}, is at address {base}.",
            "On another device it may lie elsewhere: then import the model again with that --base.",
            "A point that the device does not have says so by its code and is reported as unavailable.",
        ],
        line={"driver": "modbus-tcp", "read_identity": False},
        channels=[_channel(point, address, factors) for point, address in kept],
        comments=[_comment(point) for point, _ in kept],
        told=told,
    )


def _kept(placed: Iterable[tuple[Json, int]], told: list[str]) -> Iterator[tuple[Json, int]]:
    """Yield the points that carry a value, and tell of those of a type that cannot be read."""
    for point, address in placed:
        if point["type"] in _SILENT or point["name"] in _MODEL_POINTS:
            continue
        if point["type"] in _TYPES:
            yield point, address
        else:
            told.append(f"'{point['name']}' of type {point['type']} is left out")


def _placed(group: Json, address: int) -> Iterator[tuple[Json, int]]:
    """Yield the points of a group with their addresses."""
    for point in group["points"]:
        yield point, address
        address += int(point["size"])


def _channel(point: Json, address: int, factors: dict[str, int]) -> Json:
    kind, sentinels = _TYPES[point["type"]]
    channel: Json = {"name": channel_name(point["name"]), "address": address, "type": kind}
    if kind == "string":
        channel["length"] = int(point["size"])
    if sentinels:
        channel["sentinels"] = list(sentinels)
    factor = point.get("sf")
    if isinstance(factor, int):
        # A float of the power's own text: 10 ** -1 may miss 0.1.
        channel["scale"] = float(f"1e{factor}")
    elif factor is not None:
        channel["scale_factor"] = factors[factor]
    if "units" in point:
        channel["unit"] = _UNITS.get(point["units"], point["units"])
    if point["type"].startswith("enum"):
        channel["labels"] = [[int(each["value"]), each["name"]] for each in point.get("symbols", [])]
    return channel


def _comment(point: Json) -> str:
    text = str(point.get("desc") or point.get("label") or point["name"])
    if point["type"].startswith("bitfield"):
        bits = ", ".join(f"{each['value']} {each['name']}" for each in point.get("symbols", []))
        text += f"; bits: {bits}" if bits else ""
    return " ".join(text.split())


def channel_name(name: str) -> str:
    """Return a name of SunSpec as a channel's: `TotWhImpPhA` is `tot_wh_imp_ph_a`."""
    parted = re.sub(r"([A-Z])(ph)(?=[A-Z])", r"\1_\2", name)
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", parted)
    plain = re.sub(r"[^a-z0-9]+", "_", parted.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"p_{plain}"
