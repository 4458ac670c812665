import re
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from pipeline import elements
from pipeline.elements import MalformedBody, vocabulary
from pipeline.elements.checks import CHECKS
from pipeline.elements.codec import from_body, to_body
from pipeline.elements.reason_texts import REASONS
from pipeline.elements.refusal import REFUSALS, Refused
from pipeline.elements.registry_shapes import Equipment, Metrology
from pipeline.elements.shapes import Binding, TaskStart, Verdict
from pipeline.elements.state import Posted
from pipeline.elements.texts import ENUMERATIONS, render_reason, say
from tests.unit.elements.bench import UTC0, actor, registry

SOURCE = Path(elements.__file__).parent


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def has_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


@pytest.mark.parametrize("code", REASONS)
def test_both_languages_tell_the_same(code: str) -> None:
    english, chinese = REASONS[code]
    assert fields(english) == fields(chinese)
    assert has_chinese(chinese)
    assert not has_chinese(english)


@pytest.mark.parametrize("code", REFUSALS)
def test_refusals_tell_the_same_and_what_to_do(code: str) -> None:
    texts = REFUSALS[code]
    assert fields(texts.en) == fields(texts.zh)
    assert fields(texts.hint_en) == fields(texts.hint_zh)
    assert has_chinese(texts.zh)
    assert has_chinese(texts.hint_zh)


def test_every_code_that_a_check_can_give_has_its_texts() -> None:
    given: set[str] = set()
    rooms = [*SOURCE.glob("checks/*.py"), *SOURCE.glob("batches/*.py")]
    rooms += [SOURCE / "lookback/check.py", SOURCE / "lookback/older.py", SOURCE / "hand/check.py"]
    for path in [*rooms, SOURCE / "judge.py"]:
        text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8"))
        for code in re.findall(r'\.add\( ?[^,]+, f?"([^"]+)"', text):
            given |= {code.replace("{role}", role) for role in ("environment", "storage")}
        given |= set(re.findall(r'code = "([^"]+)" if \w', text))
    given = {code for code in given if "{" not in code}
    assert len(given) > 40
    assert given <= set(REASONS), given - set(REASONS)
    dynamic = {"equipment-stopped", "equipment-limited", "check-weight-missing", "result-missing"}
    dynamic |= {"steps-not-judged", "replicates-not-judged"}
    dynamic |= {"range-left", "limited-range-left", "step-not-reached", "step-cycles-missing"}
    dynamic |= {"qc-failed", "qc-warned", "qc-not-evaluated"}
    dynamic |= {f"correction-{why}" for why in ("unknown", "of-other", "withdrawn", "unit", "not-numeric")}
    dynamic |= {"correction-not-applied", "entry-not-foreseen", "entry-late", "entry-corrected"}
    assert set(REASONS) - given <= dynamic | {"check-weight-pending", "result-pending"}


def test_every_refusal_that_is_raised_has_its_texts() -> None:
    raised: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        raised |= set(re.findall(r'Refused\(\s*"([^"]+)"', path.read_text(encoding="utf-8")))
    assert raised == set(REFUSALS)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("element", vocabulary.Element), ("status", vocabulary.VerdictStatus),
        ("finality", vocabulary.Finality),
        ("purpose", vocabulary.Purpose), ("role", vocabulary.Role), ("phase", vocabulary.TaskPhase),
        ("disposition", vocabulary.Disposition), ("overall", vocabulary.Overall),
        ("service", vocabulary.ServiceState), ("registry", vocabulary.RegistryType),
    ],
)  # fmt: skip
def test_every_word_has_its_expressions(name: str, words: object) -> None:
    assert set(ENUMERATIONS[name]) == set(get_args(words))
    assert all(has_chinese(expression.zh) for expression in ENUMERATIONS[name].values())


def test_rendering() -> None:
    args = {"instrument": "p-2", "certificate": "C-9", "due_utc_ns": UTC0}
    assert render_reason("calibration-overdue", "p-2", args, "en") == (
        "certificate C-9 of p-2 was due 2026-05-28 20:26 UTC"
    )
    assert "C-9" in render_reason("calibration-overdue", "p-2", args, "zh")
    assert render_reason("calibration-overdue", "p-2", {"instrument": None}, "en").count("?>") == 2
    assert "from-the-future" in render_reason("from-the-future", "x", {}, "zh")
    assert (say("disposition", "retest", "zh"), say("disposition", "retest", "en")) == ("复测", "retest")
    assert say("disposition", "burn", "en") == "burn"


def test_the_checks_come_in_the_order_of_the_elements() -> None:
    assert tuple(CHECKS) == vocabulary.ELEMENTS
    assert set(get_args(vocabulary.Element)) == set(vocabulary.ELEMENTS)


def test_shapes_go_to_bodies_and_back() -> None:
    for data in registry().values():
        assert from_body(type(data), to_body(data)) == data
    start = TaskStart("t", "test", "m", "1", ("a",), (Binding("operator", "p", 1),), actor())
    assert from_body(TaskStart, to_body(start)) == start
    assert to_body(start)["action"] == "start"


def test_unknown_keys_are_for_later_versions() -> None:
    body = {**to_body(Binding("operator", "p", 1)), "mood": "good"}
    assert from_body(Binding, body) == Binding("operator", "p", 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"role": "boss"}, "role is 'boss'"),
        ({"target": 5}, "target should be str, not int"),
        ({"from_run_ns": True}, "from_run_ns should be int, not bool"),
        ({"from_run_ns": 1.0}, "from_run_ns should be int, not float"),
        ({"late": 1}, "late should be bool, not int"),
    ],
)
def test_a_wrong_value_is_named(changes: dict[str, object], told: str) -> None:
    with pytest.raises(MalformedBody, match=re.escape(told)):
        from_body(Binding, {**to_body(Binding("operator", "p", 1)), **changes})


def test_a_missing_key_and_a_wrong_level_are_named() -> None:
    with pytest.raises(MalformedBody, match="target is missing"):
        from_body(Binding, {"role": "operator", "from_run_ns": 1})
    with pytest.raises(MalformedBody, match="body should be a map, not list"):
        from_body(Binding, [])  # type: ignore[arg-type]
    body = to_body(Equipment("a", metrology=Metrology("check")))
    body["metrology"]["channels"] = [{"channel": 5}]
    with pytest.raises(MalformedBody, match=r"metrology\.channels\[0\]\.channel should be str"):
        from_body(Equipment, body)


def test_integers_of_a_file_serve_as_floats() -> None:
    assert from_body(Posted, {"verdict": to_body(VERDICT), "seq": None}).seq is None


@dataclass
class Mixed:
    either: dict[str, str | int]
    maybe: str | int | None = None


@pytest.mark.parametrize("value", ["t-1", 3, 0, ""])
def test_each_alternative_of_a_union_is_taken(value: str | int) -> None:
    mixed = Mixed({"a": value, "b": "x"}, value)
    assert from_body(Mixed, to_body(mixed)) == mixed
    assert from_body(Mixed, {"either": {}, "maybe": None}) == Mixed({})


@pytest.mark.parametrize(
    ("value", "kind"), [(1.5, "float"), (True, "bool"), (None, "NoneType"), ([], "list")]
)
def test_what_fits_no_alternative_is_told_with_all_of_them(value: object, kind: str) -> None:
    told = f"either.a should be str, not {kind}; or either.a should be int, not {kind}"
    with pytest.raises(MalformedBody, match=re.escape(told)):
        from_body(Mixed, {"either": {"a": value}})


VERDICT = Verdict("t", "people", "ok", "final", None, "tick", 1, late=False, reasons=(), facts={})


def test_a_refusal_reads_well() -> None:
    refusal = Refused("instrument-busy", instrument="bal-1", task="t-1")
    assert str(refusal) == (
        "bal-1 is in use by running task t-1"
        " — stop that task first (yaosu task stop t-1), or use another instrument"
    )
