"""docs/settings.md lists every key of the site file, with the default that it has."""

import re

from tests.support.settings_page import page
from tests.support.tree import ROOT


def _keys_and_defaults(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^\| `([\w.]+)` \| (.+?) \|", text, re.MULTILINE)


def test_the_page_of_settings_lists_every_key_with_its_default() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert len(_keys_and_defaults(page())) > 80
    assert _keys_and_defaults(written) == _keys_and_defaults(page()), "write it anew: see docs/settings.md"


def test_every_key_says_what_it_means() -> None:
    assert re.findall(r"^\| `[\w.]+` \| .+? \|  \|$", page(), re.MULTILINE) == []
