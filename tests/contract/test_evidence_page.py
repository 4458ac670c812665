"""docs/evidence.md, followed by somebody on another machine: an empty folder, the file, a policy."""

import re
import shlex
from pathlib import Path

import pytest

from pipeline.evidence.cosignature import vkey
from pipeline.evidence.create import create
from pipeline.evidence.policy import LOG, Key
from tests.support.commanding import yaosu
from tests.support.paper_log import LAB_KEY, ORIGIN, TASK, paper_log, policy_text
from tests.support.tree import ROOT

PAGE = (ROOT / "docs/evidence.md").read_text(encoding="utf-8")


def commands(heading: str) -> list[list[str]]:
    """The `yaosu` commands of one section of the page."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("yaosu ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = paper_log()
    log.seal()
    create(log, TASK, tmp_path / "task.evidence")
    (tmp_path / "policy.txt").write_text(policy_text("both"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_verify_and_show_the_file(elsewhere: Path) -> None:
    verify, show = commands("Check a file on your own machine")
    done = yaosu(*verify)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("VERIFIED\n")
    assert "by its own clock" in done.out
    shown = yaosu(*show)
    assert shown.code == 0
    assert TASK in shown.out
    assert yaosu(*verify, "--json").json["verified"]


def test_a_changed_file_is_named_and_ends_with_one(elsewhere: Path) -> None:
    data = bytearray((elsewhere / "task.evidence").read_bytes())
    data[-3] ^= 1
    (elsewhere / "task.evidence").write_bytes(data)
    done = yaosu(*commands("Check a file on your own machine")[0])
    assert done.code == 1
    assert re.match(r"NOT GOOD: seq \d+: ", done.out)
    assert done.out.endswith("NOT VERIFIED\n")


def test_the_policy_of_the_page_has_the_lines_that_a_policy_may_have() -> None:
    shown = re.search(r"```\n# policy.txt\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    words = [line.split()[0] for line in shown[1].splitlines()]
    assert words == ["log", "witness", "witness", "group", "quorum"]


def test_with_the_logs_key_alone_it_says_that_nobody_outside_vouches(elsewhere: Path) -> None:
    key = vkey(Key(ORIGIN, LOG, LAB_KEY.public))
    done = yaosu("verify", "task.evidence", "--key", key)
    assert done.code == 0
    assert "nobody outside" in done.out
    assert "ignored: a signature of witness.institute.example/w1" in done.out


@pytest.mark.parametrize("arguments", [(), ("--policy", "policy.txt", "--key", "x"), ("--key", "x")])
def test_without_keys_nothing_is_called_verified(elsewhere: Path, arguments: tuple[str, ...]) -> None:
    done = yaosu("verify", "task.evidence", *arguments)
    assert done.code in {2, 78}
    assert "VERIFIED" not in done.out


def test_what_is_no_evidence_is_refused(elsewhere: Path) -> None:
    assert yaosu("verify", "policy.txt", "--policy", "policy.txt").code == 1
    assert yaosu("evidence", "show", "policy.txt").code == 1
    assert yaosu("verify", ".", "--policy", "policy.txt").code == 2
