"""Exit codes of every command (sysexits where one fits)."""

from enum import IntEnum


class Exit(IntEnum):
    """What a command's exit code tells its caller to do next."""

    OK = 0
    """Done, nothing to report."""
    FINDINGS = 1
    """Done, and something was found: read the output."""
    USAGE = 2
    """The command line is wrong."""
    UNAVAILABLE = 69
    """A service, port or device is not there."""
    IO = 74
    """Reading or writing a file failed."""
    RETRY = 75
    """A passing failure: the same command may succeed later."""
    CONFIG = 78
    """The configuration is wrong; nothing was started."""
