"""What no file of the project may hold, and what its requirements, catalogues and pages must."""

import hashlib
import re
import string
import tomllib
from pathlib import Path

import pytest

from tests.support.tree import ROOT, VENDOR, is_vendored, own_files, project_files, text_of

# Patterns are written so that this file does not match them.
FORBIDDEN_ANYWHERE = {
    "a path of somebody's machine": r"(?<![\w.~>})-])/(?:work|root|home|tmp|Users|opt/pypi|opt/wheels)/",
    "an address of a package index": r"pypi\.[a-z.]+/(?:web/)?simple|pythonhosted\.org",
    "an index option": r"--(?:extra-)?index-url[= ]|--find-links[= ]",
    "unfinished work": r"\b(?:T[O]DO|F[I]XME)\b",
}
FORBIDDEN_IN_PYTHON = {
    "a skipped test": r"\bpytest\.(?:mark\.)?(?:skip|skipif|importorskip)\b",
    "unwritten code": r"\braise NotImplemented[E]rror\b",
}


def _findings(pattern: str, paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        for number, line in enumerate((text_of(path) or "").splitlines(), start=1):
            if re.search(pattern, line):
                found.append(f"{path}:{number}: {line.strip()[:120]}")
    return found


@pytest.mark.parametrize("pattern", FORBIDDEN_ANYWHERE.values(), ids=FORBIDDEN_ANYWHERE.keys())
def test_no_file_holds(pattern: str) -> None:
    assert _findings(pattern, [path for path in project_files() if not is_vendored(path)]) == []


@pytest.mark.parametrize("pattern", FORBIDDEN_IN_PYTHON.values(), ids=FORBIDDEN_IN_PYTHON.keys())
def test_no_python_file_holds(pattern: str) -> None:
    assert _findings(pattern, own_files(".py")) == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_hashed_and_free_of_addresses(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^\s*-(?!-hash=)", text, re.MULTILINE), "options belong to the machine's pip"
    for requirement in text.replace("\\\n", " ").splitlines():
        assert re.match(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement


def test_development_requirements_contain_the_runtime_ones() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))

    assert pins("requirements.txt") < pins("requirements-dev.txt")


def _messages(language: str) -> dict[str, str]:
    catalogue = tomllib.loads((ROOT / f"dashboard/messages/{language}.toml").read_text(encoding="utf-8"))

    def flatten(prefix: str, table: dict[str, object]) -> dict[str, str]:
        flat: dict[str, str] = {}
        for key, value in table.items():
            if isinstance(value, dict):
                flat |= flatten(f"{prefix}{key}.", value)
            else:
                flat[f"{prefix}{key}"] = str(value)
        return flat

    return flatten("", catalogue)


def _placeholders(message: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(message) if name is not None)


def test_chinese_and_english_messages_are_in_step() -> None:
    english, chinese = _messages("en"), _messages("zh")
    assert english, "the catalogue holds no message"
    assert english.keys() == chinese.keys()
    differing = [key for key in english if _placeholders(english[key]) != _placeholders(chinese[key])]
    assert differing == []
    assert [key for key in english if not english[key].strip() or not chinese[key].strip()] == []


def test_every_vendored_file_is_listed_with_its_hash() -> None:
    manifest = tomllib.loads((ROOT / VENDOR / "MANIFEST.toml").read_text(encoding="utf-8"))
    for entry in manifest["file"]:
        assert entry.keys() >= {"path", "package", "version", "licence", "sha256"}
    listed = {entry["path"]: entry["sha256"] for entry in manifest["file"]}
    present = {
        str(path.relative_to(VENDOR)): hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
        for path in project_files()
        if is_vendored(path) and path.name != "MANIFEST.toml"
    }
    assert listed == present


def test_the_changelog_speaks_of_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[?(?:Unreleased|{re.escape(version)})\b", changelog, re.MULTILINE)


def _relative_links(text: str) -> list[str]:
    text = re.sub(
        r"^(```|~~~).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL
    )  # code shows, it does not link
    links = re.findall(r"\]\(<?([^)>\s]+)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    return [link for link in links if not re.match(r"[a-z]+:|#", link)]


def test_relative_links_of_the_pages_resolve() -> None:
    broken = [
        f"{page}: {link}"
        for page in own_files(".md")
        for link in _relative_links((ROOT / page).read_text(encoding="utf-8"))
        if not (ROOT / page.parent / link.split("#")[0]).exists()
    ]
    assert broken == []
