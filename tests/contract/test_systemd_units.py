"""The files of systemd/, installed with the real program's path and judged by systemd's own tools."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tree import ROOT

PROGRAM = Path(sys.executable).parent / "yaosu"
UNITS = (
    "yaosu.service", "yaosu-collect.service", "yaosu-web.service", "yaosu-witness.service",
    "yaosu-sim@.service",
)  # fmt: skip
EXPOSURE_MAX_TENTHS = {"yaosu.service": 13} | dict.fromkeys(UNITS[1:], 10)
COMPILED = {"yaosu.service": "yaosu", "yaosu-collect.service": "yaosu-collect"}
"""Units that run compiled kernels, and the folder of their cache."""
EXAMPLES = {"gateway.toml", "collector.toml", "witness.toml"}


def _run(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "LC_ALL": "C", **(env or {})},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    done = _run(ROOT / "scripts" / "install-systemd", PROGRAM, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def _unit(installed: Path, name: str) -> Path:
    return installed / "etc/systemd/system" / name


def _lines(path: Path) -> list[str]:
    """Return the lines of a file that say something."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _settings(path: Path) -> list[tuple[str, str]]:
    """Return the assignments of a unit in order; a key may occur several times."""
    pairs = (line.partition("=") for line in _lines(path) if not line.startswith("["))
    return [(key, value) for key, found, value in pairs if found]


def _values(path: Path, key: str) -> list[str]:
    return [value for name, value in _settings(path) if name == key]


def test_every_unit_is_installed_with_the_programs_path(installed: Path) -> None:
    assert sorted(path.name for path in _unit(installed, "").iterdir()) == sorted(UNITS)
    for name in UNITS:
        (command,) = _values(_unit(installed, name), "ExecStart")
        assert command.split()[0] == str(PROGRAM)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_accepts_the_unit_without_a_word(installed: Path, name: str) -> None:
    # An unknown value is a mere warning with exit code 0: standard error has to be empty too.
    environment = {"SYSTEMD_UNIT_PATH": f"{_unit(installed, '')}:/lib/systemd/system"}
    done = _run("systemd-analyze", "verify", "--man=no", _unit(installed, name), env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", UNITS)
def test_the_unit_is_not_more_exposed_than_promised(installed: Path, name: str) -> None:
    options = ("--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX_TENTHS[name]}")
    done = _run("systemd-analyze", "security", *options, _unit(installed, name))
    assert done.returncode == 0, done.stdout
    (level,) = re.findall(r"Overall exposure level for \S+: (\d+\.\d)", done.stdout)
    assert float(level) * 10 <= EXPOSURE_MAX_TENTHS[name]


def test_the_daemon_reports_to_the_manager_and_stays_down_on_a_wrong_configuration(installed: Path) -> None:
    unit = _unit(installed, "yaosu.service")
    assert _values(unit, "Type") == ["notify"]
    assert _values(unit, "WatchdogSec") == ["30"]
    assert _values(unit, "Restart") == ["on-failure"]
    assert _values(unit, "RestartPreventExitStatus") == ["78"]


def test_the_daemon_may_open_serial_devices_of_loaded_drivers_only(installed: Path) -> None:
    unit = _unit(installed, "yaosu.service")
    assert _values(unit, "DevicePolicy") == ["closed"]
    assert _values(unit, "DeviceAllow") == ["char-ttyUSB rw", "char-ttyACM rw", "char-ttyS rw"]
    for key in ("Wants", "After"):
        (value,) = _values(unit, key)
        assert {"modprobe@usbserial.service", "modprobe@cdc_acm.service"} <= set(value.split())


@pytest.mark.parametrize("name", UNITS)
def test_no_unit_waits_for_the_network(installed: Path, name: str) -> None:
    assert not any("network-online.target" in value for _, value in _settings(_unit(installed, name)))


def test_only_daemon_and_collector_may_make_memory_executable(installed: Path) -> None:
    # Numba's kernels run in them; everywhere else nothing of the kind does.
    denied = {name: _values(_unit(installed, name), "MemoryDenyWriteExecute") for name in UNITS}
    assert denied == {name: [] if name in COMPILED else ["yes"] for name in UNITS}


@pytest.mark.parametrize(("name", "folder"), COMPILED.items())
def test_compiled_kernels_have_a_cache_that_the_role_may_write(
    installed: Path, name: str, folder: str
) -> None:
    unit = _unit(installed, name)
    assert _values(unit, "CacheDirectory") == [folder]
    assert f"NUMBA_CACHE_DIR=%C/{folder}/numba" in _values(unit, "Environment")[0].split()


def test_the_daemon_can_read_the_id_of_the_running_boot(installed: Path) -> None:
    # ProcSubset=pid hides /proc/sys: every restart would then look like one of the machine.
    assert _values(_unit(installed, "yaosu.service"), "ProcSubset") == []


def test_the_pages_reach_the_door_and_the_store_but_no_key(installed: Path) -> None:
    web, daemon = _unit(installed, "yaosu-web.service"), _unit(installed, "yaosu.service")
    assert _values(web, "SupplementaryGroups") == ["yaosu yaosu-store"]
    assert set(_values(web, "InaccessiblePaths")[0].split()) >= {
        "-/var/lib/yaosu/journal", "-/var/lib/yaosu/persons.json", "-/var/lib/yaosu-collect",
    }  # fmt: skip
    assert _values(daemon, "UMask") == ["0077"]
    assert _values(daemon, "StateDirectoryMode") == ["0710"]


@pytest.mark.parametrize("name", UNITS)
def test_a_credential_example_is_a_comment_and_no_unit_holds_a_secret(name: str) -> None:
    text = (ROOT / "systemd" / name).read_text(encoding="utf-8")
    assert not re.search(r"^(?:LoadCredential|SetCredential|EnvironmentFile)=", text, re.MULTILINE)


def test_users_and_groups_of_the_units_are_declared(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = _run("systemd-sysusers", f"--root={tmp_path}", installed / "etc/sysusers.d/yaosu.conf")
    assert done.returncode == 0, done.stderr
    declared = {kind: (tmp_path / "etc" / kind).read_text(encoding="utf-8") for kind in ("passwd", "group")}
    users, groups = (
        {line.split(":")[0] for line in declared[kind].splitlines()} for kind in ("passwd", "group")
    )
    for name in UNITS:
        unit = _unit(installed, name)
        assert set(_values(unit, "User")) <= users
        assert {*_values(unit, "Group"), *" ".join(_values(unit, "SupplementaryGroups")).split()} <= groups
    entries = [line.split(":") for line in declared["group"].splitlines()]
    members = {name: set(listed.split(",")) for name, _, _, listed in entries}
    assert members["yaosu"] == {"yaosu-web"}
    assert members["yaosu-store"] == {"yaosu-collect", "yaosu-web"}


def test_folders_are_made_with_the_modes_that_keep_roles_apart(installed: Path) -> None:
    fields = [line.split() for line in _lines(installed / "etc/tmpfiles.d/yaosu.conf")]
    entries = {entry[1]: entry for entry in fields}
    assert entries["/etc/yaosu/credentials"][2:5] == ["0700", "root", "root"]
    assert entries["/var/lib/yaosu"][2:5] == ["0710", "yaosu", "yaosu"]
    assert entries["/var/lib/yaosu-store"][2:5] == ["2750", "yaosu-collect", "yaosu-store"]


def test_tmpfiles_accepts_the_folders(installed: Path, tmp_path: Path) -> None:
    # Ids of the user who runs the test, so that it needs no privilege; the owners are looked at above.
    own = f"{os.getuid()} {os.getgid()}"
    text = (installed / "etc/tmpfiles.d/yaosu.conf").read_text(encoding="utf-8")
    owned = re.sub(r"^([dz]\s+\S+\s+\d+)\s+\S+\s+\S+", rf"\1 {own}", text, flags=re.MULTILINE)
    rules = tmp_path / "yaosu.conf"
    rules.write_text(owned, encoding="utf-8")
    root = tmp_path / "root"
    root.mkdir()
    done = _run("systemd-tmpfiles", f"--root={root}", "--create", rules)
    assert (done.returncode, done.stderr) == (0, "")
    assert (root / "var/lib/yaosu").stat().st_mode & 0o7777 == 0o710
    assert (root / "var/lib/yaosu-store").stat().st_mode & 0o7777 == 0o2750
    assert (root / "etc/yaosu/credentials").stat().st_mode & 0o7777 == 0o700


_RULE_KEY = re.compile(
    r"""^(?:(?:ACTION|SUBSYSTEMS?|KERNELS?|GOTO|LABEL|SYMLINK|GROUP|MODE|TAG)|(?:ENV|ATTRS?)\{[.\w]+\})"""
    r"""(?:==|!=|\+=|=)"[^"]*"$"""
)


def test_every_udev_rule_is_well_formed_and_every_jump_lands() -> None:
    # `udevadm verify` is younger than Debian 12: this knows the grammar of udev(7) as far as it is used here.
    rules = _lines(ROOT / "systemd/99-yaosu.rules")
    for rule in rules:
        for part in re.split(r",\s*(?=[A-Z])", rule):
            assert _RULE_KEY.match(part), part
    text = "\n".join(rules)
    assert set(re.findall(r'GOTO="(\w+)"', text)) == set(re.findall(r'LABEL="(\w+)"', text))


def test_a_program_that_is_not_there_is_not_installed() -> None:
    done = _run(ROOT / "scripts" / "install-systemd", "/nowhere/yaosu")
    assert done.returncode == 2
    assert "install Yaosu first" in done.stderr


def test_a_package_names_the_program_of_the_machine_to_come(tmp_path: Path) -> None:
    made = _run(ROOT / "scripts" / "install-systemd", "/opt/not-here/bin/yaosu", tmp_path / "out")
    assert made.returncode == 0, made.stderr
    unit = tmp_path / "out/etc/systemd/system/yaosu.service"
    assert "ExecStart=/opt/not-here/bin/yaosu run -c" in unit.read_text()
    refused = _run(ROOT / "scripts" / "install-systemd", "not-here/yaosu", tmp_path / "other")
    assert refused.returncode == 2
    assert not (tmp_path / "other").exists()


def test_a_path_that_a_unit_would_read_otherwise_is_refused(tmp_path: Path) -> None:
    program = tmp_path / "per cent %i" / "yaosu"
    program.parent.mkdir()
    program.touch(mode=0o755)
    done = _run(ROOT / "scripts" / "install-systemd", program, tmp_path / "out")
    assert done.returncode == 2
    assert not (tmp_path / "out").exists()


def test_the_configurations_that_the_units_name_exist_as_examples(installed: Path) -> None:
    named = {
        name
        for unit in UNITS
        for command in _values(_unit(installed, unit), "ExecStart")
        for name in re.findall(r"-c /etc/yaosu/(\S+)", command)
    }
    assert named == EXAMPLES
    assert all((ROOT / "config/examples" / name).is_file() for name in named)
