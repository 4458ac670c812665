"""Register lists as vendors publish them become profiles.

Columns are known by many names, English and Chinese; whatever had to be assumed is told. Nothing is guessed
in silence: a row that cannot be read is named with its line.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from drivers.modbus.channel import REGISTERS
from drivers.modbus.profiles.text import Imported

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from drivers.modbus.channel import Table, ValueType

Numbering = Literal["auto", "0", "1", "entity"]
"""How the list counts: from 0, from 1, or 30001 and 40001; `auto` finds out and says so."""
BYTES_MAX = 4 * 1024 * 1024
_COLUMNS: dict[str, tuple[str, ...]] = {
    "address": (
        "address", "addr", "register", "reg", "registeraddress", "modbusaddress", "startaddress", "offset",
        "registernumber", "addressdec", "addresshex", "地址", "寄存器地址", "起始地址", "寄存器",
        "寄存器编号", "modbus地址", "偏移",
    ),
    "name": (
        "name", "parameter", "variable", "signal", "tag", "point", "label", "quantity", "description",
        "名称", "参数", "参数名称", "变量", "变量名", "点名", "信号", "描述", "内容", "定义",
    ),
    "type": ("type", "datatype", "format", "dataformat", "类型", "数据类型", "数据格式", "格式"),
    "unit": ("unit", "units", "单位"),
    "scale": (
        "scale", "factor", "scalefactor", "multiplier", "gain", "resolution", "倍率", "系数", "比例",
        "比例因子", "分辨率",
    ),
    "table": (
        "function", "functioncode", "fc", "table", "registertype", "kind", "功能码", "寄存器类型", "功能",
    ),
    "length": ("length", "size", "words", "registers", "count", "quantityofregisters", "长度", "字数",
               "寄存器数", "寄存器数量", "个数"),
    "order": ("order", "byteorder", "wordorder", "字节序", "字序"),
}  # fmt: skip
_TYPES: dict[str, ValueType] = {
    "bool": "bool", "bit": "bool", "coil": "bool", "布尔": "bool", "int8": "int8", "uint8": "uint8",
    "int16": "int16", "s16": "int16", "sint16": "int16", "short": "int16", "signed16": "int16",
    "int": "int16",
    "16位有符号": "int16", "有符号16位": "int16", "有符号整数": "int16", "uint16": "uint16", "u16": "uint16",
    "ushort": "uint16", "word": "uint16", "unsigned16": "uint16", "uint": "uint16", "16位无符号": "uint16",
    "无符号16位": "uint16", "无符号整数": "uint16", "int32": "int32", "s32": "int32", "sint32": "int32",
    "long": "int32", "dint": "int32", "32位有符号": "int32", "有符号32位": "int32", "uint32": "uint32",
    "u32": "uint32", "ulong": "uint32", "dword": "uint32", "udint": "uint32", "32位无符号": "uint32",
    "无符号32位": "uint32", "int64": "int64", "s64": "int64", "uint64": "uint64", "u64": "uint64",
    "float": "float32", "float32": "float32", "f32": "float32", "real": "float32", "single": "float32",
    "ieee754": "float32", "浮点": "float32", "浮点数": "float32", "单精度浮点": "float32",
    "32位浮点": "float32",
    "double": "float64", "float64": "float64", "f64": "float64", "lreal": "float64", "双精度浮点": "float64",
    "float16": "float16", "bcd": "bcd16", "bcd16": "bcd16", "bcd32": "bcd32", "string": "string",
    "ascii": "string", "char": "string", "字符串": "string",
}  # fmt: skip
_TABLES: dict[str, Table] = {
    "1": "coil", "01": "coil", "0x01": "coil", "coil": "coil", "线圈": "coil",
    "2": "discrete", "02": "discrete", "0x02": "discrete", "discrete": "discrete",
    "discreteinput": "discrete", "离散输入": "discrete", "3": "holding", "03": "holding",
    "0x03": "holding", "holding": "holding",
    "holdingregister": "holding", "保持寄存器": "holding", "4": "input", "04": "input", "0x04": "input",
    "input": "input", "inputregister": "input", "输入寄存器": "input",
}  # fmt: skip
_ENTITIES: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_WIDER: dict[tuple[ValueType, int], ValueType] = {
    ("int16", 2): "int32", ("uint16", 2): "uint32", ("int16", 4): "int64", ("uint16", 4): "uint64",
    ("float32", 4): "float64", ("bcd16", 2): "bcd32",
}  # fmt: skip
"""`int` of two registers is an int32: lists often give the length in a column of its own."""


class CsvError(Exception):
    """A file is no register list that can be read; the text says what to do."""


class _Row(NamedTuple):
    line: int
    address: int
    entity: Table | None
    """The table that the number itself names: 3xxxx, 4xxxx."""
    cells: dict[str, str]


def import_csv(file: Path, *, table: Table = "holding", numbering: Numbering = "auto") -> Imported:
    """Make a profile of a list.

    Args:
        file: comma, semicolon or tab separated, in UTF-8 or GB 18030.
        table: where the list does not say.
        numbering: how the list counts its registers.

    Raises:
        CsvError: it has no columns of addresses and names, or none of its rows can be read.
        OSError: it cannot be read.
    """
    raw = file.read_bytes()
    if len(raw) > BYTES_MAX:
        raise CsvError(f"{file} is larger than 4 MiB: is it a register list?")
    rows, told, one_based = _rows(file, _decoded(raw, file))
    entity, first = _numbering(rows, numbering, told, one_based=one_based)
    channels, comments = [], []
    names: set[str] = set()
    for row in rows:
        channel = _channel(row, table, entity, first, told)
        if channel is None:
            continue
        channel["name"] = _unused(channel["name"], names)
        names.add(channel["name"])
        channels.append(channel)
        comments.append(" ".join(row.cells["name"].split()))
    if not channels:
        raise CsvError(f"no row of {file} can be read: {told[0] if told else 'it has none'}")
    plain = re.sub(r"[^a-z0-9-]+", "-", file.stem.lower()).strip("-")
    return Imported(
        name=plain if plain[:1].isalpha() else f"list-{plain}".rstrip("-"),
        model="",
        source=f"Imported from {file.name}; name the document and its edition here",
        notes=list(told), line={"driver": "modbus-rtu"}, channels=channels, comments=comments, told=told,
    )  # fmt: skip


def _unused(name: str, used: set[str]) -> str:
    return next(each for each in chain([name], (f"{name}_{n}" for n in count(2))) if each not in used)


def _decoded(raw: bytes, file: Path) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise CsvError(f"{file} is neither UTF-8 nor GB 18030: save it as UTF-8")


def _plain(heading: str) -> str:
    return re.sub(r"[\s_\-./()（）\[\]:：]+", "", heading.strip().lower())


def _rows(file: Path, text: str) -> tuple[list[_Row], list[str], bool]:
    """Find the heading and read what is below it; also tell whether the heading says 'register number'."""
    sample = text[:4096]
    delimiter = max(",;\t", key=sample.count)
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise CsvError(f"{file} cannot be read as CSV: {error}") from None
    headings = (at for at, cells in enumerate(lines) if {"address", "name"} <= _columns(cells).keys())
    number = next(headings, None)
    if number is None:
        raise CsvError(
            f"{file} has no line that heads a column of addresses and one of names (address, register, 地址; "
            "name, parameter, 名称)"
        )
    columns = _columns(lines[number])
    heading = _plain(lines[number][columns["address"]])
    rows, told = [], []
    for line, cells in enumerate(lines[number + 1 :], start=number + 2):
        found = {key: cells[at].strip() for key, at in columns.items() if at < len(cells)}
        if not found.get("address") or not found.get("name"):
            continue
        address = _address(found["address"])
        if address is None:
            told.append(f"line {line}: '{found['address']}' is no address; the row is left out")
            continue
        rows.append(_Row(line, *address, found))
    return rows, told, "number" in heading or "编号" in heading


def _columns(cells: Sequence[str]) -> dict[str, int]:
    """Say which column holds what; of several the one whose name stands first in the table of names."""
    headings = [_plain(cell) for cell in cells]
    found = {}
    for key, names in _COLUMNS.items():
        for name in names:
            if name in headings:
                found[key] = headings.index(name)
                break
    return found


def _address(text: str) -> tuple[int, Table | None] | None:
    """Read 30001, 0x1F, 1Fh, 4x0001, the first of `40001-40002`; the table is that of 3xxxx, 4xxxx."""
    first = re.split(r"\s*(?:-|–|~|～|to|至)\s*", text.strip(), maxsplit=1)[0].replace(" ", "")
    old = re.fullmatch(r"([0134])[xX](\d{4,5})", first)
    if old and not (old[1] == "0" and len(old[2]) == 4):
        return int(f"{old[1]}{old[2]:0>4}"), _ENTITIES[old[1]]
    hexadecimal = re.fullmatch(r"(?:0[xX]([0-9A-Fa-f]{1,4})|([0-9A-Fa-f]{1,4})[hH])", first)
    if hexadecimal:
        return int(hexadecimal[1] or hexadecimal[2], 16), None
    if not re.fullmatch(r"\d{1,6}", first):
        return None
    number = int(first)
    entity = _ENTITIES.get(first[0]) if len(first) in {5, 6} and first[0] in "34" else None
    return number, entity


def _numbering(
    rows: Sequence[_Row], numbering: Numbering, told: list[str], *, one_based: bool
) -> tuple[bool, int]:
    """Decide whether numbers name their table, and the number of the first register."""
    if numbering == "entity" or (numbering == "auto" and rows and all(row.entity for row in rows)):
        told.append("numbers like 30001 and 40001 name the table; 30001 and 40001 became address 0")
        return True, 1
    if numbering != "auto":
        told.append(f"the list counts from {numbering}, as asked")
        return False, int(numbering)
    wide = [
        row
        for row in rows
        if "32" in row.cells.get("type", "") or "float" in row.cells.get("type", "").lower()
    ]
    odd = len(wide) >= 3 and len(wide) == len(rows) and all(row.address % 2 for row in rows)
    if rows and min(row.address for row in rows) >= 1 and (one_based or odd):
        told.append(
            "the list seems to count from 1 ("
            + ("its heading says 'number'" if one_based else "all values of two registers are at odd numbers")
            + "): 1 was subtracted; import with --numbering 0 if that is wrong"
        )
        return False, 1
    told.append("addresses are taken as counted from 0; import with --numbering 1 if the first one is off")
    return False, 0


def _channel(
    row: _Row, table: Table, entity: bool, first: int, told: list[str]  # noqa: FBT001 - of _numbering
) -> dict[str, Any] | None:  # fmt: skip
    cells, address = row.cells, row.address
    where: Table = _TABLES.get(_plain(cells.get("table", "")), table)
    if entity:
        where = row.entity or where
        digits = str(address)
        address = int(digits[1:]) if row.entity and len(digits) >= 5 else address
    address -= first
    kind = _type(cells, where, told, row.line)
    if kind is None:
        return None
    size = (_whole(cells.get("length", "")) or 1) if kind == "string" else REGISTERS[kind]
    if not 0 <= address <= 65536 - size:
        told.append(
            f"line {row.line}: {row.address} is no address when the list counts from {first}; left out"
        )
        return None
    channel: dict[str, Any] = {
        "name": _name(cells["name"], where, address), "table": where, "address": address, "type": kind,
    }  # fmt: skip
    if kind == "string":
        channel["length"] = size
        if _whole(cells.get("length", "")) is None:
            told.append(f"line {row.line}: how long the text is is not said; taken as 1 register")
    order = cells.get("order", "").upper().replace("-", "").replace(" ", "")
    if order in {"ABCD", "BADC", "CDAB", "DCBA"} and order != "ABCD":
        channel["order"] = order
    scale = _scale(cells.get("scale", ""))
    if scale is not None and scale != 1 and kind not in {"bool", "string"}:
        channel["scale"] = scale
    if cells.get("unit") and len(cells["unit"]) <= 32:
        channel["unit"] = cells["unit"].replace("℃", "degC").replace("°C", "degC")
    return channel


def _type(cells: dict[str, str], table: Table, told: list[str], line: int) -> ValueType | None:
    """Read the type, with the length where the list gives that apart."""
    if table in {"coil", "discrete"}:
        return "bool"
    given = _plain(cells.get("type", ""))
    kind = _TYPES.get(given) or _TYPES.get(re.sub(r"(be|le|big|little|整型|型)$", "", given))
    length = _whole(cells.get("length", ""))
    if kind is None and not given:
        kind = "uint16"
        told.append(f"line {line}: no type is given; taken as uint16")
    if kind is None:
        told.append(f"line {line}: type '{cells['type']}' is not known; the row is left out")
        return None
    if kind == "bool":
        told.append(f"line {line}: which bit of the register is not said; taken as uint16")
        return "uint16"
    if kind in {"int8", "uint8"}:
        told.append(f"line {line}: which byte of the register is not said; taken as uint16")
        return "uint16"
    if length is not None and kind != "string" and length != REGISTERS[kind]:
        kind = _WIDER.get((kind, length), kind)
    return kind


def _whole(text: str) -> int | None:
    match = re.match(r"\d+", text)
    return int(match[0]) if match and 1 <= int(match[0]) <= 125 else None


def _scale(text: str) -> float | None:
    """Read 0.1, 1/10, /10, x0.1; None where there is none."""
    plain = text.replace(" ", "").replace(",", ".").lstrip("xX×*")
    match = re.fullmatch(r"(?:1?[/÷])(\d+)", plain)
    if match and int(match[1]):
        return 1 / int(match[1])
    try:
        found = float(plain)
    except ValueError:
        return None
    return found if found and abs(found) < float("inf") else None


def _name(text: str, table: Table, address: int) -> str:
    """Make a channel's name; a Chinese one has no Latin letters: then by table and address."""
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60].rstrip("_")
    latin = re.sub(r"[^a-z]", "", plain)
    if len(latin) < 2:
        return f"{cast('str', table)}_{address}"
    return plain if plain[0].isalpha() else f"r_{plain}"
