"""Replace a small file so that a crash leaves either the old content or the new one, never a piece."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`: a disk that is about to be full takes a part, and only the next write fails.

    Raises:
        OSError: not all of it was written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Write beside the file, fsync, rename over it, fsync the folder.

    Raises:
        OSError: it could not be written; the old content stands.
    """
    temporary = path.with_name(path.name + ".new")
    # A temporary file left behind by a crash may have another mode.
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
