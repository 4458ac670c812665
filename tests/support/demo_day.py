"""A demonstration as a process of its own: its day played, its door and pages asked, ended in order."""

from __future__ import annotations

import html
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msgpack
import orjson

from gateway.demo.script import SCRIPT
from simulators.days import Act
from tests.support.bench import MAIN

if TYPE_CHECKING:
    from pathlib import Path

WAIT_S = 150.0
WITNESS_S = 60.0
TASKS = [name for step in SCRIPT if isinstance(step, Act) for name, key in step.keep.items() if key == "task"]
"""Names of the day's tasks, in the order in which they are started."""


@dataclass
class Played:
    """A demonstration whose day was played, asked and looked at while it ran, and then ended."""

    folder: Path
    report: dict[str, Any]
    views: dict[str, Any]
    """Answers of the daemon's door, by name."""
    pages: dict[tuple[str, str], str]
    """Text of pages by path and language."""
    evidence: dict[str, Any]
    """What `yaosu verify` says of the evidence of one task."""
    names: dict[str, Any]
    """What the steps of the day kept: tasks, the alarm, the look-back."""

    def task(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = self.views[f"tasks/{self.names[name]}"]
        return shown

    def reason(self, name: str, element: str, *codes: str) -> dict[str, Any]:
        """Find a reason of the newest verdict of an element, which cites records."""
        verdict = next(one for one in self.task(name)["verdicts"] if one["element"] == element)
        found: list[dict[str, Any]] = [reason for reason in verdict["reasons"] if reason["code"] in codes]
        assert found, f"{name}, {element}: {[reason['code'] for reason in verdict['reasons']]}"
        return found[0]

    def says(self, path: str, en: str, zh: str) -> None:
        """Whether a page says it in both languages."""
        path = path.format(**self.names)
        for language, words in (("en", en), ("zh", zh)):
            text, wanted = self.pages[path, language], words.format(**self.names)
            assert wanted in text, f"{path} in {language} does not say {wanted!r}:\n{text}"


PAGES = (
    "/", "/tasks", "/events", "/alarms", "/alarms/{alarm}", "/lookbacks/{lookback}", "/batches/DR-0412",
    "/charts", "/charts/C-1", "/risk", "/risk/instrument:bal-1", "/trust",
    *(f"/tasks/{{{name}}}" for name in (
        "attempt-1", "hold-test", "check", "weighing", "sound", "late", "residue", "reject", "last-check",
    )),
)  # fmt: skip
VIEWS = (
    "lookbacks/{lookback}", "alarms/{alarm}", "batches/DR-0412", "charts/C-1",
    "risk?subject=instrument:bal-1",
)  # fmt: skip


def text_of(page: str) -> str:
    """Give the words of a page without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def yaosu(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], capture_output=True, text=True, check=False, timeout=WAIT_S
    )


class Live:
    """A running demonstration, as its terminal shows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", MAIN, "demo", "--json", "--port", "0", "--keep", str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip
        self.lines: list[str] = []

    def read_until(self, words: str) -> str:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if words in line:
                return line
        raise AssertionError(f"no {words!r} in:\n{''.join(self.lines)}")

    def end(self) -> dict[str, Any]:
        """End it in order; its report."""
        self._process.send_signal(signal.SIGTERM)
        out, err = self._process.communicate(timeout=WAIT_S)
        assert self._process.returncode == 0, "".join([*self.lines, err])
        report: dict[str, Any] = orjson.loads(out)
        return report


def evidence_of(folder: Path, task: str) -> dict[str, Any]:
    """Make and check an evidence file, once all of it is sealed and the witness has seen it."""
    path, site = folder / "task.evidence", str(folder / "gateway.toml")
    made = yaosu(
        "evidence", "create", "--task", task, "--out", str(path), "-c", site, "--wait", str(WITNESS_S)
    )
    assert made.returncode == 0, made.stderr
    checked = yaosu("verify", str(path), "--policy", str(folder / "policy.txt"), "--json")
    content: dict[str, Any] = orjson.loads(checked.stdout)
    return content


def views_of(folder: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Ask the daemon's door: names of what the day left, and views of it."""
    door = httpx.HTTPTransport(uds=str(folder / "state" / "door.sock"))
    with httpx.Client(transport=door, base_url="http://door/v1/", timeout=WAIT_S) as client:

        def ask(path: str) -> Any:
            return client.get(path).json()

        tasks = sorted(one["task"] for one in ask("tasks"))
        names = dict(zip(TASKS, tasks, strict=True))
        names["alarm"] = next(one["alarm"] for one in ask("alarms") if one["step"] == "closed")
        names["lookback"] = next(
            one["lookback"] for one in ask("lookbacks") if one["cause"] == "check-failed"
        )
        paths = [f"tasks/{task}" for task in tasks] + [path.format(**names) for path in VIEWS]
        return names, {path: ask(path) for path in paths}


def pages_of(url: str, names: dict[str, str]) -> dict[tuple[str, str], str]:
    """Load the pages in both languages."""
    pages = {}
    with httpx.Client(base_url=url, timeout=WAIT_S) as client:
        for path in (one.format(**names) for one in PAGES):
            for language in ("en", "zh"):
                answer = client.get(path, params={"lang": language})
                assert answer.status_code == 200, f"{path}: {answer.status_code}"
                pages[path, language] = text_of(answer.text)
    return pages


def proved(path: Path) -> set[int]:
    """Give the numbers of the records that an evidence file holds."""
    with path.open("rb") as stream:
        stream.readline()
        header = msgpack.unpackb(stream.read(int.from_bytes(stream.read(4), "big")))
    return {seq for first, last in header["records"] for seq in range(first, last + 1)}
