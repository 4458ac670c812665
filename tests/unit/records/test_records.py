"""Flags, status codes, events, clocks and keys."""

import stat
from itertools import permutations
from pathlib import Path
from string import Formatter

import numpy as np
import pytest

from pipeline.records import Block, Channel, Flag, Layout, Status, SystemClock
from pipeline.records.clock import ClockState, OffsetClock
from pipeline.records.events import event_body, render_event
from pipeline.records.events_catalogue import CATALOGUE
from pipeline.records.flags import SEVERITY, status_name, worst
from pipeline.records.frame import Frame
from pipeline.records.signing import SigningKey, key_id, verify
from tests.crash.models import ManualClock
from tests.unit.records.blocks import simple_block

ORDER = [Flag.PASS, Flag.NOT_EVALUATED, Flag.MISSING, Flag.SUSPECT, Flag.FAIL]


def test_the_worst_flag_wins_whatever_the_order() -> None:
    for flags in permutations(ORDER, 3):
        assert worst(flags) == max(flags, key=ORDER.index)
    assert worst([]) == Flag.NOT_EVALUATED
    assert [int(SEVERITY[flag]) for flag in ORDER] == [1, 2, 3, 4, 5]


def test_every_status_code_has_a_name() -> None:
    assert status_name(Status.NO_ANSWER) == "no answer"
    assert status_name(Status.MODBUS_EXCEPTION + 2) == "modbus exception 2"
    assert status_name(40) == "status 40"
    assert all(status_name(code) for code in range(256))


@pytest.mark.parametrize("code", sorted(CATALOGUE))
def test_an_event_renders_its_arguments_in_both_languages(code: str) -> None:
    kind = CATALOGUE[code]
    fields = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in (kind.en, kind.zh)]
    assert fields[0] == fields[1], "both languages say the same"
    values = {name: f"value-of-{name}" for name in fields[0]}
    own = {name: values.get(name) for name in ("instrument", "channel")}
    args = {name: value for name, value in values.items() if name not in own}
    body = event_body(code, instrument=own["instrument"], channel=own["channel"], **args)
    assert body["severity"] == kind.severity
    for language in ("en", "zh"):
        shown = render_event(body, language)
        assert all(value in shown for value in values.values())
        assert "{" not in shown


def test_an_event_without_an_argument_or_of_a_newer_writer_still_shows() -> None:
    assert render_event(event_body("clock-step"), "en") == "UTC stepped by <step_s?> s"
    assert "42" in render_event({"code": "from-the-future", "args": {"answer": 42}}, "zh")
    with pytest.raises(KeyError):
        event_body("from-the-future")


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"vendor": "V", "model": "M", "serial": "S"}, "V M S"),
        ({"vendor": "", "model": "M", "serial": "S"}, "M S"),
        ({"vendor": "V", "model": "", "serial": "S", "revision": "2"}, "V S"),
        ({"vendor": "", "model": "", "serial": ""}, "–"),
    ],
)
def test_an_identity_shows_what_the_instrument_told(told: dict[str, str], shown: str) -> None:
    body = event_body("identity", instrument="bal-1", **told)
    assert render_event(body, "en") == f"bal-1 identifies itself as {shown}"
    assert render_event(body, "zh") == f"bal-1 自报身份：{shown}"


@pytest.mark.parametrize(
    ("basis", "downtime_s", "en", "zh"),
    [
        ("new", 0.0, "in a new journal", "记录为新建"),
        ("same-boot", 7.5, "downtime 7.5 s (by the clock of the machine", "停机 7.5 秒（机器未重启"),
        ("utc-synchronised", 60.0, "downtime 60.0 s (by UTC, synchronised", "停机 60.0 秒（按 UTC 计"),
        ("unknown", "unknown", "downtime unknown (no clock", "停机时长未知（无时钟"),
        ("from-the-future", 1.0, "downtime 1.0 s (from-the-future)", "停机 1.0 秒（from-the-future）"),
    ],
)
def test_a_start_says_in_words_what_its_downtime_rests_on(
    basis: str, downtime_s: float | str, en: str, zh: str
) -> None:
    body = event_body("daemon-start", boot=3, offset_ns=0, downtime_s=downtime_s, basis=basis)
    assert render_event(body, "en").startswith(f"Gateway started, boot 3, {en}")
    assert render_event(body, "zh").startswith(f"网关启动，第 3 次，{zh}")


def test_a_key_is_made_once_kept_closed_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "journal.key"
    key = SigningKey.load_or_create(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load_or_create(path).public == key.public
    assert key.id == key_id(key.public)
    signature = key.sign(b"message")
    assert verify(key.public, signature, b"message")
    assert not verify(key.public, signature, b"messagf")
    assert not verify(key.public, signature[:-1], b"message")
    assert not verify(b"short", signature, b"message")


def test_an_open_or_damaged_key_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "journal.key"
    SigningKey.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        SigningKey.load_or_create(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="backup"):
        SigningKey.load_or_create(path)


def test_clocks_run_forward_and_say_how_far_utc_is_trusted() -> None:
    clock = SystemClock(offset_ns=10**18)
    first, second = clock.run_ns(), clock.run_ns()
    assert second >= first > 10**18
    assert clock.utc_ns() > 1_600_000_000 * 10**9
    state = clock.state()
    assert state.pack() == [int(state.synchronised), state.error_ns]
    base = ManualClock()
    shifted = OffsetClock(base, 5)
    assert (shifted.run_ns(), shifted.utc_ns(), shifted.state()) == (
        base.run + 5,
        base.utc,
        ClockState(True, 1000),
    )


def test_a_layout_numbers_the_channels_of_each_kind_and_refuses_twins() -> None:
    layout = Layout((Channel("a"), Channel("b", "i8"), Channel("c"), Channel("d", "text")))
    assert layout.slots == (0, 0, 1, 0)
    assert layout.of_kind("f8") == [0, 2]
    with pytest.raises(ValueError, match="unique"):
        Layout((Channel("a"), Channel("a")))


def test_numbers_for_qc_are_nan_where_a_value_is_not_good() -> None:
    times = np.arange(2, dtype=np.int64)
    block = Block(
        "m", Layout((Channel("a"), Channel("b", "i8"), Channel("t", "text"))), times, times, times, times,
        np.array([[0, 0], [0, 1], [0, 0]], np.uint8), np.array([[1.5, 2.5]]), np.array([[7, 0]]),
        np.empty((0, 2), np.uint64), (("x", None),),
    )  # fmt: skip
    values = block.numeric()
    assert values[0].tolist() == [1.5, 2.5]
    assert values[1][0] == 7
    assert np.isnan(values[1][1])
    assert np.isnan(values[2]).all()
    assert block.column("t") == ("x", None)
    assert block.column("b").tolist() == [7, 0]  # type: ignore[union-attr]
    plain = simple_block(rows=2)
    assert plain.numeric() is plain.f8


def test_a_frame_numbers_its_rows_and_knows_their_stored_times() -> None:
    block = simple_block(rows=3, t_utc_ns=100, step_ns=0)
    normal = np.zeros((1, 3), np.int64)
    frame = Frame(block, 7, np.ones((1, 3), np.uint8), normal, normal)
    assert frame.ordinals().tolist() == [7, 8, 9]
    assert frame.t_store_ns is block.t_utc_ns
    moved = Frame(block, 7, frame.flag, normal, normal, t_store_off_ns=np.arange(3))
    assert moved.t_store_ns.tolist() == [100, 101, 102]


def test_since_when_the_disk_fails_is_told_as_a_time() -> None:
    body = event_body("storage-trouble", since=1_795_399_011_683_496_354, error="no space")
    assert "since 2026-11-23 01:56:51 UTC: no space" in render_event(body, "en")
    assert "2026-11-23 01:56:51 UTC" in render_event(body, "zh")
