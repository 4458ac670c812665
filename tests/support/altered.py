"""Evidence files that somebody has changed."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

from pipeline.evidence.verify import MAGIC


def altered(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The file with another header."""
    data = path.read_bytes()
    start = len(MAGIC) + 4
    (length,) = struct.unpack(">I", data[len(MAGIC) : start])
    header = msgpack.unpackb(data[start : start + length])
    change(header)
    packed = msgpack.packb(header)
    other = path.with_suffix(".other")
    other.write_bytes(MAGIC + struct.pack(">I", len(packed)) + packed + data[start + length :])
    return other
