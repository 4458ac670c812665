"""The page docs/settings.md; `python -m tests.support.settings_page` prints it."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.model import CredentialRef
from gateway.site.model import SiteSettings

NOT_LISTED = "instrument"
"""Instruments and channels have keys by driver; their settings classes list them."""
HEAD = """\
# Every key of the site file

With its default and its meaning; `-` for a key that must be given where its table is there. Tables are
named by their path: `elements.alarms.webhook.url` is `url` in `[elements.alarms.webhook]`. Instruments and
channels are left out: their keys depend on the driver ([configuration](configuration.md)). A test holds keys
and defaults in step with the settings classes; to write this page anew:
`python -m tests.support.settings_page > docs/settings.md`.
"""


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if annotation is CredentialRef else [annotation]
    return [model for part in typing.get_args(annotation) for model in _models(part)]


def _default(value: Any) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case str() | Path():
            return f'"{value}"'
        case tuple():
            return "[" + ", ".join(_default(one) for one in value) + "]"
        case dict():
            return "{}"
    return str(value)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    """Give (key, default, meaning) of a table and of those within it."""
    for name, field in model.model_fields.items():
        inner = _models(field.annotation)
        if name != NOT_LISTED and inner:
            for one in inner:
                yield from _rows(one, f"{prefix}{name}.")
        elif name != NOT_LISTED:
            default = field.get_default(call_default_factory=True)
            shown = "-" if default is PydanticUndefined else f"`{_default(default)}`"
            yield f"{prefix}{name}", shown, " ".join((field.description or "").split())


def page() -> str:
    """Write the page."""
    lines, table = [HEAD], ""
    for key, default, meaning in _rows(SiteSettings, ""):
        first = key.partition(".")[0]
        if first != table:
            table = first
            lines.append(f"\n## `[{table}]`\n\n| key | default | meaning |\n|---|---|---|\n")
        lines.append(f"| `{key}` | {default} | {meaning.replace('|', '/')} |\n")
    return "".join(lines)


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - the page
