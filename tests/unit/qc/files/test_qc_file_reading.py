"""Files of readings: what cannot be read is told by its line, counts as missing, and costs nothing else."""

import csv
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.qc import ChannelQc, evaluate
from pipeline.qc.files import (
    FileUnusableError,
    Readings,
    Wanted,
    csv_file,
    judge,
    load_rules,
    parquet_file,
    read_readings,
    write_flagged,
)
from pipeline.records import Flag

RULES = """
[channel.t.range]
fail_high = 30.0
[channel.t.spike]
fail = 6.0
[channel."rel. 湿度"]
"""
DATA = """\
time,t,rel. 湿度,note
2026-03-01T00:00:00Z,20.1,45,a
2026-03-01T00:00:01Z,20.2,,b
2026-03-01T00:00:02Z,31.5,46,"c, d"
2026-03-01T00:00:03Z,2x.4,47,e
2026-03-01T00:00:04Z,20.5

not a time,20.6,48,f
2026-03-01T00:00:06Z,20,7,49,g
2026-03-01T00:00:07Z,20.8,1_0,h
"""


def written(folder: Path, text: str, name: str = "data.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, *channels: str) -> Readings:
    return read_readings(path, Wanted(channels or None))


def test_broken_rows_are_told_by_line_and_count_as_missing(tmp_path: Path) -> None:
    path = written(tmp_path, DATA)
    found = read(path, "t", "rel. 湿度")
    nan = math.nan
    np.testing.assert_array_equal(found.values[0], [20.1, 20.2, 31.5, nan, nan, 20.6, nan, 20.8])
    np.testing.assert_array_equal(found.values[1], [45, nan, 46, 47, nan, 48, nan, nan])
    assert found.timed.tolist() == [True] * 5 + [False, True, True]
    assert found.t_ns[6] - found.t_ns[0] == 6_000_000_000
    assert sorted(found.problems.first) == sorted([
        f"{path}:5: '2x.4' in column 't' is not a number: it counts as missing",
        f"{path}:6: 2 cells where the header has 4: its readings count as missing",
        f"{path}:8: 'not a time' is no time stamp: the row's readings count as missing",
        f"{path}:9: 5 cells where the header has 4: its readings count as missing",
        f"{path}:10: '1_0' in column 'rel. 湿度' is not a number: it counts as missing",
    ])  # fmt: skip
    assert found.problems.count == 5


@pytest.mark.parametrize("chunk_chars", [1, 30, 200])
def test_it_does_not_matter_where_the_text_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_chars: int
) -> None:
    path = written(tmp_path, DATA)
    whole = read(path, "t", "rel. 湿度")
    monkeypatch.setattr(csv_file, "CHUNK_CHARS", chunk_chars)
    cut = read(path, "t", "rel. 湿度")
    np.testing.assert_array_equal(whole.values, cut.values)
    np.testing.assert_array_equal(whole.t_ns, cut.t_ns)
    assert sorted(whole.problems.first) == sorted(cut.problems.first)


def test_flags_stand_behind_each_row_under_their_heading(tmp_path: Path) -> None:
    path, out = written(tmp_path, DATA), tmp_path / "out.csv"
    readings = read(path, "t", "rel. 湿度")
    judged = judge(readings, load_rules(written(tmp_path, RULES, "rules.toml")).value.channel)
    write_flagged(out, readings, judged, "utf-8")
    assert out.read_text(encoding="utf-8").splitlines() == [
        "time,t,rel. 湿度,note,t.flag,t.reason,rel. 湿度.flag,rel. 湿度.reason",
        "2026-03-01T00:00:00Z,20.1,45,a,1,,1,",
        "2026-03-01T00:00:01Z,20.2,,b,1,,9,missing",
        '2026-03-01T00:00:02Z,31.5,46,"c, d",4,range spike,1,',
        "2026-03-01T00:00:03Z,2x.4,47,e,9,missing,1,",
        "2026-03-01T00:00:04Z,20.5,,,9,missing,9,missing",
        "",
        "not a time,20.6,48,f,9,missing,9,missing",
        '2026-03-01T00:00:06Z,20,7,"49,g",9,missing,9,missing',
        "2026-03-01T00:00:07Z,20.8,1_0,h,1,,9,missing",
    ]
    assert judged.findings == 10
    assert judged.counts()["t"]["range"] == {
        "pass": 3, "not_evaluated": 3, "suspect": 0, "fail": 1, "missing": 0
    }  # fmt: skip
    assert not list(tmp_path.glob("*.part"))


def test_a_file_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("as it was", encoding="utf-8")
    readings = read(written(tmp_path, DATA), "t", "rel. 湿度")
    judged = judge(readings, load_rules(written(tmp_path, RULES, "rules.toml")).value.channel)

    def no_room(line: str, opened: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(csv_file, "_fitted", no_room)
    with pytest.raises(OSError, match="No space"):
        write_flagged(out, readings, judged, "utf-8")
    assert out.read_text(encoding="utf-8") == "as it was"
    assert not list(tmp_path.glob("*.part"))


def test_the_flags_of_a_file_are_those_of_its_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(20261122)
    values = rng.normal(20, 4, 2000).round(2)
    lines = [f"{k * 100},{value}" for k, value in enumerate(values.tolist())]
    path = written(tmp_path, "ms;t\n" + "\n".join(lines).replace(",", ";"))
    qc = load_rules(written(tmp_path, RULES.partition('[channel."')[0], "rules.toml")).value.channel
    readings = read_readings(path, Wanted(("t",), time_format="ms"))
    judged, found = judge(readings, qc), evaluate(np.arange(2000) * 100_000_000, values, qc["t"])
    np.testing.assert_array_equal(judged.flag[0], found.flag)
    np.testing.assert_array_equal(judged.reason[0], found.reason)


def test_a_stray_quotation_mark_costs_its_own_line_only(tmp_path: Path) -> None:
    text = 'time,t\n0,1\n1,"2\n2,3\n3,"4"\n4,5\n'
    found = read(written(tmp_path, text), "t")
    assert found.values[0].tolist() == [1, 2, 3, 4, 5]
    bad = read(written(tmp_path, 'time,t,u\n0,1,1\n1,"2,2\n2,3,3\n'), "t")
    np.testing.assert_array_equal(bad.values[0], [1, math.nan, 3])


def test_line_ends_delimiters_and_byte_order_marks_of_other_systems_are_read(tmp_path: Path) -> None:
    found = read(written(tmp_path, "\ufefftime\tt\r\n2026-03-01T00:00:00Z\t1.5\r\n"), "t")
    assert found.values[0].tolist() == [1.5]
    assert found.time == "time"


def test_an_encoding_may_be_stated_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, "时间,温度\n0,1.5\n", encoding="gb18030")
    with pytest.raises(FileUnusableError, match=r":1: the header is not UTF-8; .*--encoding gb18030"):
        read(path)
    found = read_readings(path, Wanted(("温度",), encoding="gb18030"))
    assert (found.time, found.values.tolist()) == ("时间", [[1.5]])
    with pytest.raises(FileUnusableError, match="no encoding 'klingon'"):
        read_readings(path, Wanted(None, encoding="klingon"))


def test_columns_of_numbers_are_found(tmp_path: Path) -> None:
    text = "t_utc,a,note,b,empty\n" + "\n".join(f"{k},{k}.5,x,nan," for k in range(5)) + "\n5,1,y,7,\n"
    found = read(written(tmp_path, text))
    assert found.channels == ("a", "b")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r":1: there is no header line"),
        ("time,t\n", "there are no rows below the header"),
        ("time,t\n\n\n", "there are no rows below the header"),
        ("time,t,t\n0,1,2\n", "2 columns are called 't'"),
        ("time,tt\n0,1\n", "no column 't'; did you mean 'tt'"),
        ("when,t\nyesterday,1\n", "'yesterday' is neither ISO 8601"),
        ("t,u\n0,1\n", "holds the time stamps and no readings"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_words_that_help(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(FileUnusableError, match=words):
        read(written(tmp_path, text), "t")


def test_problems_are_counted_beyond_those_that_are_kept(tmp_path: Path) -> None:
    found = read(written(tmp_path, "time,t\n" + "".join(f"{k},x\n" for k in range(1500))), "t")
    assert (found.problems.count, len(found.problems.first)) == (1500, 1000)


def test_bytes_that_are_no_text_spoil_their_cell_only(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"time,t\n0,1\n1,\xff\xfe\n2,3\0\n3,4\n")
    np.testing.assert_array_equal(read(path, "t").values[0], [1, math.nan, math.nan, 4])


CELLS = st.sampled_from(
    ["", "1.5", "nan", "inf", "-1e999", "x", '"', '"a', '"1,5"', "1_0", "\0", "\x85", "2026-03-01", "é", "1 "]
)
LINES = st.lists(CELLS, min_size=1, max_size=5).map(",".join)


@given(st.lists(LINES, max_size=20), st.sampled_from([1, 7, 4096]))
def test_no_text_makes_it_fail_and_every_line_is_a_row(lines: list[str], chunk_chars: int) -> None:
    text = "time,t,u\n" + "\n".join(lines)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "CHUNK_CHARS", chunk_chars)
        path, out = written(Path(folder), text), Path(folder) / "out.csv"
        try:
            found = read_readings(path, Wanted(("t", "u"), time="time", time_format="iso"))
        except FileUnusableError:
            assert not any(lines)
            return
        rows = sum(1 for line in lines if line)
        assert found.values.shape == (2, rows)
        assert found.t_ns.shape == found.timed.shape == (rows,)
        judged = judge(found, {"t": ChannelQc(), "u": ChannelQc()})
        assert (judged.flag[:, ~found.timed] == Flag.MISSING).all()
        write_flagged(out, found, judged, "utf-8")
        with out.open(encoding="utf-8", newline="") as stream:
            widths = {len(row) for row in csv.reader(stream) if row}
        assert widths == {7}


def test_parquet_goes_in_and_comes_out(tmp_path: Path) -> None:
    source = read(written(tmp_path, DATA), "t", "rel. 湿度")
    rules = load_rules(written(tmp_path, RULES, "rules.toml")).value.channel
    first, second, text = tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.csv"
    write_flagged(first, source, judge(source, rules), "utf-8")
    again = read(first, "t", "rel. 湿度")
    np.testing.assert_array_equal(again.values, source.values)
    np.testing.assert_array_equal(again.t_ns, source.t_ns)
    np.testing.assert_array_equal(again.timed, source.timed)
    assert again.time == "time"
    plain = tmp_path / "plain.parquet"
    arrow = parquet_file.load_pyarrow(plain, "pyarrow.parquet")
    arrow.write_table(parquet_file.read_table(first).select(["time", "t", "rel. 湿度"]), plain)
    readings = read(plain, "t", "rel. 湿度")
    write_flagged(second, readings, judge(readings, rules), "utf-8")
    flags = ["t.flag", "t.reason", "rel. 湿度.flag", "rel. 湿度.reason"]
    twice = [parquet_file.read_table(path).select(flags) for path in (first, second)]
    assert twice[0].equals(twice[1])
    write_flagged(text, readings, judge(readings, rules), "utf-8")
    assert text.read_text(encoding="utf-8").splitlines()[3].endswith(',31.5,46,4,"range spike",1,""')
    assert read(plain).channels == ("t", "rel. 湿度")


def test_parquet_of_texts_and_numbers_since_1970_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    arrow = parquet_file.load_pyarrow(path, "pyarrow")
    table = arrow.table({"time": [0.5, 1.5, None], "t": ["1.5", "x", None], "n": [1, None, 3]})
    parquet_file.load_pyarrow(path, "pyarrow.parquet").write_table(table, path)
    found = read(path, "t", "n")
    assert found.t_ns.tolist() == [500_000_000, 1_500_000_000, 0]
    np.testing.assert_array_equal(found.values, [[1.5, math.nan, math.nan], [1, math.nan, 3]])
    assert [line.removeprefix(f"{path}: ") for line in found.problems.first] == [
        "row 3: '' is no time stamp: the row's readings count as missing",
        "row 2: 'x' in column 't' is not a number: it counts as missing",
    ]


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileUnusableError, match="this is not a Parquet file"):
        read(written(tmp_path, "time,t\n0,1\n", "data.parquet"), "t")


def test_without_pyarrow_the_way_to_install_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(parquet_file, "import_module", absent)
    with pytest.raises(FileUnusableError, match=r"pip install 'yaosu\[parquet\]', or use CSV"):
        read(written(tmp_path, "", "data.parquet"), "t")
