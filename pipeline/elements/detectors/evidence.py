"""What a detector hands out: a fact from the records with its seqs, for a person to look at."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline.elements.shapes import Draft
from pipeline.elements.state import EVIDENCE_MAX
from pipeline.records.events import event_body

if TYPE_CHECKING:
    from pipeline.records.events import Language

CaseId = Literal["A1", "A2", "A3", "A4", "B1", "B2", "B3", "B4", "B5"]
PREFIX = "evidence-"
"""Beginning of the code of every event that a detector leads to."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact that belongs to a case. Its arguments never hold a reading: regulators see them."""

    code: str
    """Code of its event, without the prefix."""
    case: CaseId
    subject: str
    """Instrument, channel, sample, person, element or segment that it is about."""
    task: str = ""
    """Empty where it is about the journal and not about one task."""
    seqs: tuple[int, ...] = ()
    """The records that show it, the first ones."""
    args: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What makes it the same fact when it is met again."""
        return f"{self.code}|{self.case}|{self.subject}|{self.args.get('reason', '')}"

    def draft(self) -> Draft:
        """Make the event of it."""
        seqs = sorted({seq for seq in self.seqs if seq >= 0})[:EVIDENCE_MAX]
        body = event_body(
            PREFIX + self.code, task=self.task, subject=self.subject, case=self.case, seqs=seqs, **self.args
        )
        return Draft("event", body)


@dataclass(frozen=True, slots=True)
class CaseText:
    """One case of the rules on inaccurate and false reports, as the data file words it."""

    clause: str
    en: str
    zh: str

    def text(self, language: Language) -> str:
        """Say it in a language."""
        return self.en if language == "en" else self.zh


@cache
def cases() -> dict[str, CaseText]:
    """Read the cases with their clauses: a data file, since rules are amended and records are not."""
    content = tomllib.loads((Path(__file__).parent / "cases.toml").read_text(encoding="utf-8"))
    return {entry["id"]: CaseText(entry["clause"], entry["en"], entry["zh"]) for entry in content["case"]}
