"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Refused(Exception):  # noqa: N818 - what becomes of the file
    """The file is no evidence; the message says where it fails. `seq` is the first record concerned."""

    def __init__(self, message: str, seq: int | None = None) -> None:
        super().__init__(message)
        self.seq = seq


class Cosigned(NamedTuple):
    """A witness of the policy has seen the log at this size, by its own clock."""

    witness: str
    size: int
    t_s: int


@dataclass
class Checked:
    """What was found. The file proves what it says when `problems` is empty."""

    problems: list[str] = field(default_factory=list)
    bad_seq: int | None = None
    """First record concerned by the first problem that concerns one."""
    task: str = ""
    journal: str = ""
    origin: str = ""
    records: int = 0
    seqs: tuple[int, int] | None = None
    sealed_size: int = 0
    """Records that the log's own key has sealed, from seq 0 on."""
    witnessed_size: int = 0
    """Records that the policy's quorum has seen, from seq 0 on."""
    cosigned: list[Cosigned] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """Signatures of keys that the policy does not name."""
    changes: list[str] = field(default_factory=list)
    """In words: where the log or a witness changed its key, which the old key has signed."""
    unwitnessed: tuple[int, int] | None = None
    """First and last record of the file that the quorum has not seen yet."""

    def add(self, problem: str, seq: int | None = None) -> None:
        """Note a problem."""
        self.problems.append(problem if seq is None else f"seq {seq}: {problem}")
        self.bad_seq = seq if self.bad_seq is None else self.bad_seq
