"""Subjects of the risk index on pages: how they are written, and who is shown which."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dashboard.language import Messages
    from dashboard.sessions import Role

CLOSED_KINDS = frozenset({"person"})
"""Kinds of subjects that a regulator is not shown: the index is the laboratory's own tool."""


def subject_text(subject: str, text: Messages, names: Mapping[str, str]) -> str:
    """Write a subject out: its kind in words, its id or the name behind it."""
    kind, _, name = subject.partition(":")
    word = text.word("risk_kind", kind)
    if not name:
        return word
    shown = text.word("element", name) if kind == "element" else names.get(name, name)
    return f"{word} {shown}"


def may_see(subject: str, role: Role) -> bool:
    """Tell whether a role is shown a subject."""
    return role == "lab" or subject.partition(":")[0] not in CLOSED_KINDS
