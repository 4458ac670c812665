"""What the roles write on standard error: one entry a line, whatever a device or a peer put into it."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

# sd-daemon(3): the journal of the service manager takes a line's priority from its beginning.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7
# httpx and paho write a line per request, uvicorn tells of servers that are parts of ours.
_CHATTY = ("httpx", "httpcore", "mqtt", "uvicorn")


def visible(text: str) -> str:
    """Return a text with its control characters written out."""
    # A line break would begin an entry of its own, forged by whoever sent the text; an escape sequence
    # would drive the terminal of whoever reads it.
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class OneLine(logging.Formatter):
    """One entry to a line: control characters of a message are shown, a traceback's lines are indented.

    With `for_journal` every line begins with its priority, so that `journalctl -p warning` finds it.
    """

    def __init__(self, *, for_journal: bool = False) -> None:
        super().__init__()
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        """Format one entry."""
        lines = [visible(f"{record.levelname} {record.name}: {record.getMessage()}")]
        if record.exc_info:
            trace = self.formatException(record.exc_info)
            lines += ["    " + visible(line) for line in trace.splitlines()]
        prefix = f"<{_priority(record.levelno)}>" if self._for_journal else ""
        return "\n".join(prefix + line for line in lines)


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), _DEBUG)


def _is_journal(stream: TextIO) -> bool:
    """Tell whether a stream is the journal's own, not one that was redirected since (systemd.exec(5))."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def log_to_stderr() -> None:
    """Send what the roles tell to standard error, which the service manager stamps and stores."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine(for_journal=_is_journal(sys.stderr)))
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    for chatty in _CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
