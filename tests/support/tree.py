"""The files of the project, as the tidy tests see them."""

import ast
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
VENDOR = Path("dashboard/static/vendor")
_NOT_OURS = {"build", "dist", "node_modules", "venv", "__pycache__"}


@cache
def project_files() -> tuple[Path, ...]:
    """Return all files that are or would be committed, relative to ROOT.

    Without git (an unpacked archive) it is every file outside caches, builds and hidden folders.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        found = [path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file()]
        return tuple(sorted(path for path in found if not _is_hidden_or_made(path)))
    # A file that was deleted but not yet committed is listed still.
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()))


def _is_hidden_or_made(path: Path) -> bool:
    return any(part in _NOT_OURS or part.startswith(".") for part in path.parts[:-1])


def is_vendored(path: Path) -> bool:
    """Tell whether somebody else wrote this file."""
    return path.is_relative_to(VENDOR)


def own_files(*suffixes: str) -> list[Path]:
    """Return the files with one of these suffixes that we wrote, relative to ROOT."""
    return [path for path in project_files() if path.suffix in suffixes and not is_vendored(path)]


def text_of(path: Path) -> str | None:
    """Return the text of a project file, None when it is binary."""
    content = (ROOT / path).read_bytes()
    return None if b"\0" in content else content.decode("utf-8")


def parsed(source: str | bytes) -> ast.Module:
    """Parse Python.

    CPython 3.11 now and then loses count of its own recursion in a process that has done much before
    ("AST constructor recursion depth mismatch", github.com/python/cpython/issues/106905): it is asked again.
    """
    try:
        return ast.parse(source)
    except SystemError:
        return ast.parse(source)
