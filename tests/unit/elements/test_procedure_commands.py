"""Marks of steps and replicates, starts in bad air, and methods whose formulas are wrong."""

from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigInvalid
from pipeline.elements import Refused, read_registry
from pipeline.elements.codec import to_body
from pipeline.elements.registry_shapes import Limit, ResultSpec
from tests.unit.elements.bench import UTC0, Bench, opened, weighing
from tests.unit.elements.stories import formula
from tests.unit.elements.table_material_method import FILL, REST


def refused(bench: Bench, command: str, **args: Any) -> str:
    with pytest.raises(Refused) as caught:
        bench.plan(command, **args)
    return caught.value.code


def test_a_step_is_marked_by_its_name_and_ended_without_one() -> None:
    bench = opened({("method", "weighing"): weighing(steps=(REST, FILL))})
    task = bench.start()
    assert bench.do("task.step", task=task, step="rest") == {"task": task, "step": "rest"}
    assert bench.do("task.step", task=task) == {"task": task, "step": ""}
    assert refused(bench, "task.step", task=task, step="fry") == "unknown-step"
    assert refused(bench, "task.step", task=task, step="rest", replicate=True) == "wrong-argument"
    assert refused(bench, "task.step", task=task, replicate="yes") == "wrong-argument"
    assert refused(bench, "task.step", task=task, stepp="rest") == "unknown-argument"
    bench.do("task.stop", task=task)
    assert refused(bench, "task.step", task=task, step="rest") == "task-not-running"


def test_a_method_without_steps_has_none_to_mark() -> None:
    bench = opened()
    assert refused(bench, "task.step", task=bench.start(), step="rest") == "unknown-step"


def test_a_repeated_key_marks_once() -> None:
    bench = opened({("method", "weighing"): weighing(steps=(REST,))})
    task = bench.start()
    who = bench.someone()
    bench.do("task.step", who, task=task, step="rest")
    assert bench.plan("task.step", who, task=task, step="rest").drafts == ()


def test_replicates_are_numbered_and_averaged() -> None:
    bench = opened({("method", "weighing"): weighing(replicates=3, replicate_rsd_max_pct=5.0)})
    bench.check_passes()
    task = bench.start()
    for number, load in enumerate((50.0, 50.3, 49.7)):
        if number:
            assert bench.do("task.step", task=task, replicate=True)["replicate"] == number + 1
        bench.air(1)
        bench.weight(0.0, load)
    bench.finish(task)
    [result] = bench.view(task)["results"]
    assert result["facts"]["replicates"] == [50.0, 50.3, 49.7]
    assert result["value"] == 50.0
    # u² = 2 · 0.00015² of one weighing + 0.3²/3 of the scatter
    assert result["uncertainty"] == pytest.approx(2 * (2 * 0.00015**2 + 0.03) ** 0.5, rel=1e-12)
    assert bench.verdict(task, "measurement")["status"] == "ok"


def test_a_start_in_bad_air_is_refused_where_the_method_says_so() -> None:
    limits = (Limit("temperature", 19.0, 25.0),)
    bench = opened({("method", "weighing"): weighing(environment_limits=limits, start_outside="refuse")})
    bench.air(1, 25.1)
    start = {"sample": "S-1", "method": "weighing", "instrument": "bal-1"}
    assert refused(bench, "task.start", **start) == "environment-outside"
    bench.air(1, 25.0)
    bench.start()


def test_air_that_was_read_too_long_ago_speaks_for_nothing() -> None:
    bench = opened({("method", "weighing"): weighing(start_outside="refuse")})
    bench.air(1, 40.0)
    bench.advance(10.1)
    task = bench.start()
    assert "environment-outside-at-start" not in bench.codes(task, "environment")


def test_corrected_values_count_where_the_frames_carry_them() -> None:
    bench = opened({("method", "weighing"): formula("last(w)")})
    task = bench.start()
    bench.air(1)
    bench.weight(50.0, correction="C-7")
    bench.finish(task)
    [result] = bench.view(task)["results"]
    assert result["value"] == 50.001
    assert result["facts"]["corrections"] == {"bal-1.weight": "C-7"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"formula": "net(w"}, "column 6"), ({"formula": "net(w)", "unit": "mL"}, "which is no 'mL'"),
        ({"algorithm": "magic", "formula": ""}, "no algorithm 'magic'"), ({"formula": ""}, "column 1"),
    ],
)  # fmt: skip
def test_a_program_cannot_import_a_formula_that_cannot_be_computed(changes: Any, told: str) -> None:
    bench = opened()
    data = to_body(formula("net(w)"))
    data["results"][0] |= changes
    entry = {"type": "method", "id": "m", "valid_from_ns": UTC0, "data": data}
    with pytest.raises(Refused) as caught:
        bench.plan("registry.import", records=[entry])
    assert caught.value.code == "registry-invalid"
    assert told in caught.value.en


METHOD = "[[method]]\nid = 'm'\ncode = 'C'\nedition = '1'\n"
INPUT = "inputs = [{ name = 'w', channel = 'weight', unit = 'g' }]"


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        (f"[[method.results]]\nquantity = 'q'\nformula = 'net(w'\n{INPUT}\nunit = 'g'\n", 7, "column 6"),
        (f"[[method.results]]\nquantity = 'q'\nformula = 'nat(w)'\n{INPUT}\nunit = 'g'\n", 7, "did you mean"),
        (f"[[method.results]]\nquantity = 'q'\nformula = 'net(w)'\n{INPUT}\nunit = 'mL'\n", 7, "no 'mL'"),
        ("[[method.results]]\nquantity = 'q'\nalgorithm = 'net-weight'\n", 6, "is not given so"),
        ("[[method.steps]]\nname = 's'\nquantity = 'p'\n", 6, "holds nothing"),
        ("[[method.steps]]\nname = 's'\nlow = 1.0\n", 6, "no reading shows"),
        (
            "[[method.steps]]\nname='s'\nkind='mark'\nduration_min_s=5\nduration_max_s=4\n",
            8,
            "above its",
        ),
    ],
)
def test_a_file_with_a_wrong_procedure_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, told: str
) -> None:
    path = tmp_path / "r.toml"
    path.write_text(METHOD + text, encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        read_registry(path)
    [found] = caught.value.findings
    assert (found.line, told in found.message + (found.hint or "")) == (line, True), found


def test_a_file_with_everything_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(
        METHOD + "step_cycles = 200\ntraining = ['BAL']\nreplicates = 2\nreplicate_rpd_max_pct = 5.0\n"
        "start_outside = 'refuse'\n"
        "metrology = [{ channel = 'weight', unit = 'g', uncertainty_max = 0.001 }]\n"
        "redundant = [{ channels = ['p_a', 'p_b'], difference_max = 0.1 }]\n"
        "[[method.results]]\nquantity = 'density'\nformula = 'net(w) / v'\nunit = 'g/mL'\ndecimals = 3\n"
        f"{INPUT}\nconstants = [{{ name = 'v', value = 10.0, unit = 'mL', u = 0.01 }}]\n"
        "decision = { rule = 'guard-band', high = 2.0, guard_factor = 1.0 }\n"
        "[[method.steps]]\nname = 'dwell'\nquantity = 'temperature'\nlow = 84.0\nhigh = 86.0\n",
        encoding="utf-8",
    )
    bench = Bench()
    bench.do("registry.import", records=read_registry(path).records)
    [method] = bench.elements.registry("method")
    assert method["data"]["step_cycles"] == 200
    assert method["data"]["results"][0]["decision"]["guard_factor"] == 1.0
    assert ResultSpec("q").algorithm == "formula"
